"""Names of folders and files for whatever labels and addresses there are."""

import unicodedata
from pathlib import PurePosixPath, PureWindowsPath

from hypothesis import example, given
from hypothesis import strategies as st

from consensus.core.dataset.names import FileNames, file_name, folder_names, original_name, safe_name

TEXTS = st.text(max_size=12) | st.sampled_from(
    ["..", ".", "a/../../b", "C:\\x", "NUL.txt", "com1", "%41", "é", "e\u0301"]
)


def folded(name: str) -> str:
    """What a file system that ignores case takes for the same."""
    return unicodedata.normalize("NFC", unicodedata.normalize("NFC", name).casefold())


@given(TEXTS)
@example("%")
@example("\u202egnp.exe")
def test_a_safe_name_is_one_step_below_on_every_system_and_can_be_read_back(text: str) -> None:
    """It is no device, leads nowhere, and ends in neither a dot nor a blank."""
    name = safe_name(text)
    assert PurePosixPath(name).parts == (name,)
    assert PureWindowsPath(name).parts == (name,)
    assert not PureWindowsPath(name).is_reserved()
    assert name.rstrip(" .") == name
    assert original_name(name) == text


def test_a_long_name_is_cut_and_keeps_apart_what_differs_at_its_end() -> None:
    """Where a name is cut a digest of all of it follows."""
    names = {safe_name("ä" * 300 + end) for end in "ab"}
    assert len(names) == 2
    assert all(len(name.encode()) <= 180 for name in names)


@given(st.lists(TEXTS, max_size=8))
@example(["cat", "Cat", "CAT", "cAt", "README.md", "readme.md"])
def test_folders_of_labels_differ_where_case_makes_no_difference(labels: list[str]) -> None:
    """In whatever order the labels come, and beside the files that are there."""
    names = folder_names(labels, ["README.md"])
    assert len({folded(name) for name in [*names.values(), "README.md"]}) == len(set(labels)) + 1
    assert names == folder_names(labels[::-1], ["README.md"])
    assert all(original_name(name) == label for label, name in names.items() if "~" not in name)


def test_further_files_of_a_name_are_numbered_in_their_order() -> None:
    """A file that has the name of a number already keeps it."""
    names = FileNames()
    stems = ["a", "a-2", "A", "a"]
    assert [names.add("cat", stem, ".jpg") for stem in stems] == ["a.jpg", "a-2.jpg", "A-3.jpg", "a-4.jpg"]
    assert names.add("dog", "a", ".jpg") == "a.jpg"


def test_very_many_files_of_one_name_take_no_longer_each() -> None:
    """As of addresses that differ in their folders alone."""
    names = FileNames()
    assert [names.add("cat", "image", ".jpg") for _ in range(30_000)][-1] == "image-30000.jpg"


@given(st.text(max_size=30))
@example("/data/upload/1/../../../etc/passwd")
@example("/data/local-files/?d=..%2F..%2Fx.png")
@example("file:///etc/passwd%00.png")
def test_the_name_of_a_file_leads_nowhere_whatever_the_address(address: str) -> None:
    """It has a stem, and an ending of an image or none."""
    stem, ending = file_name(address)
    assert PureWindowsPath(stem + ending).parts == PurePosixPath(stem + ending).parts == (stem + ending,)
    assert stem
