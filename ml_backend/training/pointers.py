"""Small files that name something, replaced in one step: a reader in any process sees one name or the other."""

import os
from pathlib import Path


def read_name(path: Path) -> str | None:
    """Give what a pointer names; None where it is missing or empty."""
    try:
        name = path.read_text("utf-8").strip()
    except FileNotFoundError:
        return None
    return name or None


def write_name(path: Path, name: str) -> None:
    """Let a pointer name something else, on the disk when this returns. One program at a time may do so.

    Raises
    ------
    OSError
        If it cannot be written; it names then what it named before.
    """
    unfinished = path.with_name(f".{path.name}")  # one that a killed program has left is overwritten
    try:
        unfinished.write_text(name, "utf-8")
        to_disk(unfinished)
        unfinished.replace(path)
    finally:
        unfinished.unlink(missing_ok=True)
    to_disk(path.parent)


def to_disk(path: Path) -> None:
    """Wait until a file, or a folder's list of names, would survive a power cut."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
