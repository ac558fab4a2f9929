"""What the commands print with, and options that several of them have."""

from typing import Annotated

import typer

ProjectOption = Annotated[int, typer.Option(min=1, help="Id of the project in Label Studio.")]

DryRunOption = Annotated[bool, typer.Option("--dry-run", help="Show what would be removed; change nothing.")]
YesOption = Annotated[bool, typer.Option("--yes", "-y", help="Do not ask whether to go on.")]

ForceOption = Annotated[
    bool, typer.Option("--force", help="Although the project is not connected to this backend.")
]


def number(value: float | None) -> str:
    """Show a share with three digits, or a dash where there is none."""
    return "-" if value is None else f"{value:.3f}"
