"""Options that several commands share."""

from pathlib import Path
from typing import Annotated

import typer

ProjectOption = Annotated[
    int, typer.Option("--project", min=1, help="Id of the project: the number in its address.")
]
ConfigOption = Annotated[
    Path | None, typer.Option("--config", help="Settings file (TOML); CONSENSUS_CONFIG by default.")
]
