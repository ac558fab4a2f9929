"""Options that several commands share, and how their help is laid out."""

from pathlib import Path
from typing import Annotated

import typer

ProjectOption = Annotated[
    int, typer.Option("--project", min=1, help="Id of the project: the number in its address.")
]
ConfigOption = Annotated[
    Path | None, typer.Option("--config", help="Settings file (TOML); CONSENSUS_CONFIG by default.")
]


def flowing(docstring: str | None) -> str:
    r"""Make a line of each paragraph, so that the help breaks lines where the terminal ends: typer keeps breaks.

    Examples
    --------
    >>> flowing("Add.\n\n    To what\n    is there.")
    'Add.\n\nTo what is there.'
    """
    return "\n\n".join(" ".join(paragraph.split()) for paragraph in (docstring or "").split("\n\n"))
