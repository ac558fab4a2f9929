"""The exported folders beside the imported ones and the truth."""

from pathlib import Path

import pytest
from demonstration.checking import check_cleaned
from demonstration.cleaning import Cleaned, Folders, compare
from demonstration.digits import Digit, write_folders
from demonstration.errors import DemoError


def images(*given: str, truth: str = "3") -> list[Digit]:
    """Images that show a three, with the labels given to them."""
    return [Digit(f"image-{number}.png", b"png", truth, label) for number, label in enumerate(given)]


def test_what_was_mended_and_broken_is_told_apart(tmp_path: Path) -> None:
    """Of three wrong ones one is mended, one left out and one stays; of two right ones one is broken."""
    imported = images("8", "8", "8", "3", "3")
    write_folders(imported, tmp_path / "photos")
    exported = images("3", "8", "8", "9", "3")
    write_folders([exported[0], *exported[2:]], tmp_path / "cleaned")
    cleaned = compare(imported, tmp_path / "photos", tmp_path / "cleaned")
    assert cleaned == Cleaned(Folders(5, 3), Folders(4, 2), mended=1, broken=1)


@pytest.mark.parametrize(("after", "mended", "broken"), [(3, 1, 0), (2, 1, 1)])
def test_an_export_that_mends_nothing_ends_the_demo(after: int, mended: int, broken: int) -> None:
    """Whether as much is wrong as before, or as much was broken as mended."""
    with pytest.raises(DemoError, match="should mend"):
        check_cleaned(Cleaned(Folders(5, 3), Folders(5, after), mended, broken))
