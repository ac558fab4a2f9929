"""What the commands print with, and options that several of them have."""

from typing import Annotated

import typer
from rich.console import Console

ProjectOption = Annotated[int, typer.Option(help="Id of the project in Label Studio.")]


def to_person() -> Console:
    """Give a console on standard error, for what is no result."""
    return Console(stderr=True)


def say(sentence: str) -> None:
    """Print as it is: a bracket in a message is no markup."""
    to_person().print(sentence, markup=False, highlight=False, soft_wrap=True)


def number(value: float | None) -> str:
    """Show a share with three digits, or a dash where there is none."""
    return "-" if value is None else f"{value:.3f}"
