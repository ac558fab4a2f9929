"""What the commands print with, and options that several of them have."""

from typing import Annotated

import typer

ProjectOption = Annotated[int, typer.Option(min=1, help="Id of the project in Label Studio.")]


def number(value: float | None) -> str:
    """Show a share with three digits, or a dash where there is none."""
    return "-" if value is None else f"{value:.3f}"
