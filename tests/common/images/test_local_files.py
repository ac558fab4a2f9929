import os
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from common.errors import FetchError
from common.images.local_files import LocalFiles


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A folder with a file at its top and one below, beside a secret."""
    folder = tmp_path / "files"
    (folder / "sub").mkdir(parents=True)
    (folder / "a.png").write_bytes(b"top")
    (folder / "sub" / "b.png").write_bytes(b"below")
    (tmp_path / "secret.png").write_bytes(b"secret")
    return folder


@pytest.fixture
def files(root: Path) -> LocalFiles:
    """Up to ten bytes each."""
    return LocalFiles(root, 10)


def reason(files: LocalFiles, path: str) -> str:
    """Why a file is not read."""
    with pytest.raises(FetchError) as refused:
        files.read(path)
    return refused.value.reason


@pytest.mark.parametrize(
    ("path", "body"),
    [("a.png", b"top"), ("sub/b.png", b"below"), ("./sub//b.png", b"below"), ("sub/./b.png", b"below")],
)
def test_files_are_read(files: LocalFiles, path: str, body: bytes) -> None:
    """A path below the folder gives its file."""
    assert files.read(path) == body


@pytest.mark.parametrize(
    "path",
    [
        "",
        "../secret.png",
        "sub/../../secret.png",
        "sub/../a.png",
        "/etc/passwd",
        "//etc/passwd",
        "a.png\0",
        "sub",
        ".",
    ],
)
def test_no_path_leads_out(files: LocalFiles, path: str) -> None:
    """Steps upward, absolute paths, folders and the end of a C string are refused."""
    assert reason(files, path) == "path_not_allowed"


@pytest.mark.parametrize("path", ["gone.png", "sub/gone/b.png", "x" * 300, "\udcff.png", "%2e%2e/secret.png"])
def test_what_is_not_there_is_missing(files: LocalFiles, path: str) -> None:
    """Names that no file has, or that none can have; percent signs are part of a name here."""
    assert reason(files, path) == "missing"


def test_a_file_is_no_folder(files: LocalFiles) -> None:
    """A path through a file is refused."""
    assert reason(files, "a.png/b.png") in {"path_not_allowed", "missing"}


def test_links_stay_inside(files: LocalFiles, root: Path) -> None:
    """A link to another place in the folder is followed; one that leaves it, or leads to itself, is not."""
    (root / "in.png").symlink_to("sub/b.png")
    (root / "inside").symlink_to("sub")
    (root / "out.png").symlink_to("../secret.png")
    (root / "absolute.png").symlink_to(root.parent / "secret.png")
    (root / "outside").symlink_to("..")
    (root / "round.png").symlink_to("round.png")
    (root / "broken.png").symlink_to("gone.png")
    assert files.read("in.png") == files.read("inside/b.png") == b"below"
    for path in ("out.png", "absolute.png", "outside/secret.png", "outside/files/a.png/../b", "round.png"):
        assert reason(files, path) == "path_not_allowed"
    assert reason(files, "broken.png") == "missing"


def test_the_folder_may_be_a_link(root: Path) -> None:
    """The folder of the settings may itself be reached by a link."""
    link = root.parent / "link"
    link.symlink_to(root)
    assert LocalFiles(link, 10).read("a.png") == b"top"


def test_a_link_that_is_made_meanwhile_leads_nowhere(
    files: LocalFiles, root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Between the check and the opening somebody puts a link to the secret in the place of a folder."""
    (root.parent / "other").mkdir()
    (root.parent / "other" / "b.png").write_bytes(b"secret")
    is_file = Path.is_file

    def swapped(path: Path) -> bool:
        answer = is_file(path)
        (root / "sub").rename(root / "moved")
        (root / "sub").symlink_to("../other")
        return answer

    monkeypatch.setattr(Path, "is_file", swapped)
    assert reason(files, "sub/b.png") == "path_not_allowed"


def test_only_regular_files_are_opened(files: LocalFiles, root: Path) -> None:
    """A pipe would wait for ever, and a device never ends."""
    os.mkfifo(root / "pipe.png")
    (root / "device.png").symlink_to("/dev/zero")
    assert reason(files, "pipe.png") == "path_not_allowed"
    assert reason(files, "device.png") == "path_not_allowed"


def test_large_files_are_refused(files: LocalFiles, root: Path) -> None:
    """Ten bytes are read, eleven are too many, and so is a file that claims a terabyte."""
    (root / "ten.png").write_bytes(b"x" * 10)
    (root / "eleven.png").write_bytes(b"x" * 11)
    with (root / "huge.png").open("wb") as huge:
        huge.truncate(10**12)
    assert files.read("ten.png") == b"x" * 10
    assert reason(files, "eleven.png") == reason(files, "huge.png") == "too_many_bytes"


def test_a_file_that_cannot_be_read_has_a_reason(files: LocalFiles, monkeypatch: pytest.MonkeyPatch) -> None:
    """No permission, which these tests may have for everything, or a disk that fails."""

    def refuse(*_: object, **__: object) -> int:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(os, "open", refuse)
    assert reason(files, "a.png") == "unreadable"


def test_a_folder_that_is_gone_holds_nothing(tmp_path: Path) -> None:
    """A disk that is not mounted any more."""
    assert reason(LocalFiles(tmp_path / "gone", 10), "a.png") == "missing"


@given(st.text(alphabet=st.sampled_from("abs./\\%2eubpng\0~é"), max_size=30))
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_any_path_is_inside_or_refused(files: LocalFiles, path: str) -> None:
    """No text gives the secret."""
    try:
        body = files.read(path)
    except FetchError:
        return
    assert body in (b"top", b"below")
