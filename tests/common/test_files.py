import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from common import files
from common.errors import FilesError
from common.files import (
    check_outputs,
    database_files,
    held,
    replacing,
    replacing_folder,
    scratch_folder,
    write_whole,
)


def test_a_fault_in_the_middle_keeps_the_old_file(tmp_path: Path) -> None:
    """What cannot be written whole leaves what was there, and no other file."""
    path = tmp_path / "a"
    path.write_text("old")

    def fail() -> None:
        with replacing(path) as unfinished:
            unfinished.write_text("ne")
            raise OSError(28, "No space left on device")

    with pytest.raises(OSError, match="No space left"):
        fail()
    assert (path.read_text(), list(tmp_path.iterdir())) == ("old", [path])
    write_whole(path, "new")
    assert (path.read_text(), list(tmp_path.iterdir())) == ("new", [path])


def test_a_lock_is_held_by_one_and_ends_with_its_process(tmp_path: Path) -> None:
    """Another holder is told at once that it is taken; a process that is killed gives it back."""
    path = tmp_path / "folder" / "a.lock"
    with held(path, wait=True) as mine, held(path, wait=False) as second:
        assert (mine, second) == (True, False)
    program = (
        "import os, sys\nfrom pathlib import Path\nfrom common.files import held\n"
        "with held(Path(sys.argv[1]), wait=True):\n    os.kill(os.getpid(), 9)\n"
    )
    subprocess.run([sys.executable, "-c", program, str(path)], check=False)
    with held(path, wait=False) as mine:
        assert mine


@pytest.fixture
def temporary(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder in which scratch folders are made."""
    monkeypatch.setattr(files.tempfile, "gettempdir", lambda: str(tmp_path))
    return tmp_path


def test_what_a_killed_process_left_is_deleted_and_what_is_in_use_stays(temporary: Path) -> None:
    """Only a folder whose lock nobody holds goes, and a folder of another kind never does."""
    left, other = temporary / "kind-left", temporary / "other-left"
    for folder in (left, other):
        folder.mkdir()
        folder.with_name(f"{folder.name}.lock").touch()
    with scratch_folder("kind-", 1) as first, scratch_folder("kind-", 1) as second:
        assert (left.exists(), other.exists(), first.exists(), second.exists()) == (False, True, True, True)
    assert sorted(path.name for path in temporary.iterdir()) == ["other-left", "other-left.lock"]


@pytest.mark.usefixtures("temporary")
def test_no_folder_is_deleted_while_it_is_being_made(monkeypatch: pytest.MonkeyPatch) -> None:
    """A sweep between any two steps of another process that makes its folder leaves that folder alone."""
    make, folders = Path.mkdir, []

    def make_and_sweep(path: Path, *arguments: object, **options: object) -> None:
        make(path, *arguments, **options)
        if path.name.startswith("kind-") and not folders:
            folders.append(path)
            with scratch_folder("kind-", 1):  # another process starts, and sweeps
                pass

    monkeypatch.setattr(Path, "mkdir", make_and_sweep)
    with scratch_folder("kind-", 1) as folder:
        assert (folder.exists(), folders) == (True, [folder])


@pytest.mark.usefixtures("temporary")
def test_a_lock_that_is_swept_before_it_is_held_leaves_the_folder_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    """A sweep may take the lock file away just before its owner holds it; the folder is then never swept."""
    real = files.held

    def start_another() -> None:
        with scratch_folder("kind-", 1):
            pass

    def swept_first(path: Path, *, wait: bool) -> object:
        if wait:
            monkeypatch.setattr(files, "held", real)
            path.touch()
            start_another()
        return real(path, wait=wait)

    monkeypatch.setattr(files, "held", swept_first)
    with scratch_folder("kind-", 1) as folder:
        start_another()
        assert folder.exists()


def test_too_little_room_is_said(temporary: Path) -> None:
    """With what is needed, what there is, and the remedy."""
    with pytest.raises(FilesError, match=r"about 1000000000\.0 GB are needed .* are free; let .* TMPDIR"):
        scratch_folder("kind-", 10**18).__enter__()
    assert list(temporary.iterdir()) == []


def test_sigterm_leaves_nothing_behind(tmp_path: Path) -> None:
    """A process that is terminated deletes its folder."""
    program = (
        "import os, signal\n"
        "from common.files import scratch_folder\n"
        "with scratch_folder('kind-', 1) as room:\n"
        "    print(room.exists(), flush=True)\n"
        "    os.kill(os.getpid(), signal.SIGTERM)\n"
        "    signal.pause()\n"
    )
    ended = subprocess.run(
        [sys.executable, "-c", program],
        env={**os.environ, "TMPDIR": str(tmp_path)},
        capture_output=True,
        check=False,
    )
    assert (ended.returncode, ended.stdout) == (128 + signal.SIGTERM, b"True\n")
    assert list(tmp_path.iterdir()) == []


@pytest.fixture
def folder() -> Iterator[None]:
    """Files of a command: an input by its name, a symbolic link and a hard link, a folder of inputs."""
    Path("in.csv").touch()
    Path("sub").mkdir()
    Path("sub/part.csv").touch()
    Path("link.csv").symlink_to("in.csv")
    Path("hard.csv").hardlink_to("in.csv")
    Path("store.db").touch()


@pytest.mark.usefixtures("folder")
@pytest.mark.parametrize(
    ("out", "message"),
    [
        ("in.csv", r"--out would overwrite --rules \(in.csv\); name another file"),
        ("./sub/../in.csv", "--out would overwrite --rules"),
        ("link.csv", "--out would overwrite --rules"),
        ("hard.csv", "--out would overwrite --rules"),
        ("sub/part.csv", "--out would overwrite the votes"),
        ("sub/new.csv", "--out would overwrite the votes"),
        ("store.db", "--out would overwrite the store"),
        ("store.db-wal", "--out would overwrite the store's -wal file"),
        ("who.csv", "--out would overwrite --annotators"),
        ("no/x.csv", "no/x.csv cannot be written: there is no folder no; make it"),
        (".", "cannot be written: it is a folder"),
        ("/dev/null", "/dev/null cannot be written: it is a device or a pipe; name a file"),
    ],
)
def test_an_output_that_would_do_harm_is_refused(out: str, message: str) -> None:
    """Whether it is an input, the store or another output, and however its path is written."""
    inputs = {"--rules": Path("in.csv"), "the votes": Path("sub"), "--gold": None}
    with pytest.raises(FilesError, match=message):
        check_outputs(
            {"--annotators": Path("who.csv"), "--out": Path(out), "--state": None},
            {**inputs, **database_files(Path("store.db"))},
        )


@pytest.mark.usefixtures("folder")
def test_an_output_of_its_own_is_taken() -> None:
    """Inputs may be the same file twice: reading does no harm."""
    check_outputs({"--out": Path("out.csv")}, {"--rules": Path("in.csv"), "--gold": Path("in.csv")})


KILLED = """
import os, signal, sys
from pathlib import Path
from common.files import replacing_folder

steps = iter(range(9))

def step(*_, **__):
    if next(steps) == int(sys.argv[2]):
        os.kill(os.getpid(), signal.SIGKILL)

rename, sync = Path.rename, os.sync
Path.rename = lambda path, to: (step(), rename(path, to), step())
os.sync = lambda: (step(), sync())
with replacing_folder(Path(sys.argv[1]), lambda _: None) as folder:
    (folder / "new").write_text("whole")
"""


@pytest.mark.parametrize("there", [True, False])
@pytest.mark.parametrize("at", range(5))
def test_a_folder_is_whole_whenever_its_writer_is_killed(tmp_path: Path, at: int, there: bool) -> None:  # noqa: FBT001
    """The next writer finds the old one or the new one, and nothing is left beside it."""
    folder = tmp_path / "made"
    if there:
        folder.mkdir()
        (folder / "old").write_text("whole")
    words = [sys.executable, "-c", KILLED, str(folder), str(at)]
    subprocess.run(words, check=False, timeout=30)
    seen = []

    def look(place: Path) -> None:
        seen.extend(
            path.name for path in (place.iterdir() if place.exists() else ()) if path.read_text() == "whole"
        )

    with replacing_folder(folder, look) as unfinished:
        assert not [*unfinished.iterdir()]
        (unfinished / "third").write_text("whole")
    assert seen in (["old"] if there else [], ["new"])
    assert [path.name for path in folder.iterdir()] == ["third"]
    assert [path.name for path in tmp_path.iterdir() if path.name.startswith(".")] == []


def test_one_process_at_a_time_writes_a_folder(tmp_path: Path) -> None:
    """The second one is told, and the first is not disturbed."""
    with replacing_folder(tmp_path / "made", lambda _: None) as folder:
        (folder / "new").write_text("whole")
        with (
            pytest.raises(FilesError, match="another process"),
            replacing_folder(tmp_path / "made", lambda _: None),
        ):
            pass
    assert [path.name for path in (tmp_path / "made").iterdir()] == ["new"]
