"""What a person asks of an import."""

from dataclasses import dataclass
from pathlib import Path

from consensus.transfer.storages import LocalFiles, PlannedStorage

OVERLAP = 3
"""Annotators an image where nobody says how many: fewer votes settle little."""


@dataclass(frozen=True)
class ImportOptions:
    """What a person asks of an import.

    Attributes
    ----------
    project : str
        Id or title; a project is made where none has the title.
    overlap : int or None
        Annotators an image, for a project that is made.
    parallel : int
        Requests with images at a time.
    local_files : LocalFiles or None
        Where Label Studio serves files that are not uploaded; None: they are.
    storages : tuple of PlannedStorage
        Of buckets, to be made where the project has none.
    restore : bool
        Whether images come back that were imported before and whose tasks were deleted in Label Studio since.
    """

    project: str
    verify: bool = False
    control: str | None = None
    add_labels: bool = False
    overlap: int | None = None
    batch: int = 32
    parallel: int = 4
    restore: bool = False
    config: Path | None = None
    local_files: LocalFiles | None = None
    storages: tuple[PlannedStorage, ...] = ()
