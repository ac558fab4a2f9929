"""Trainings that die, have no space or meet each other: real processes on real folders."""

import contextlib
import errno
import multiprocessing
import shutil
import subprocess
from collections.abc import Iterator
from datetime import timedelta
from multiprocessing.process import BaseProcess
from pathlib import Path

import killed_training
import pytest
from training_parts import NOW, annotated, trainer

from common.files import held
from ml_backend.model_registry import ModelRegistry
from ml_backend.settings import Settings

LIMIT_S = 120
# Children begin with everything imported, in a process that has not computed anything: OpenMP survives no fork.
CHILDREN = multiprocessing.get_context("forkserver")
# Python 3.11 gives that process no search path of ours, so it imports by installed names what the module imports.
CHILDREN.set_forkserver_preload(
    [
        "ml_backend.training.train",
        "ml_backend.label_studio.pulling",
        "scipy.optimize",
        "sklearn.cluster",
        "sklearn.decomposition",
    ]
)


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The data of a backend with one good version."""
    folder = tmp_path_factory.mktemp("trained") / "backend"
    settings = Settings.model_validate({"data_dir": folder, "weights": "random"})
    trainer(settings, annotated(10, 20)).train(7, NOW)
    return folder


@pytest.fixture
def folder(trained: Path, tmp_path: Path) -> Path:
    """A copy of it."""
    return Path(shutil.copytree(trained, tmp_path / "backend"))


def start(folder: Path, step: str = "none", largest_file: int | None = None) -> BaseProcess:
    """A training in a process of its own."""
    child = CHILDREN.Process(target=killed_training.main, args=(folder, step, largest_file))
    child.start()
    return child


def exit_code(child: BaseProcess) -> int | None:
    """How a process ended, once it has; minus the signal's number if one ended it."""
    child.join(LIMIT_S)
    return child.exitcode


def serves(folder: Path) -> str:
    """The version that answers, loaded whole."""
    artifact = ModelRegistry(folder).current(7)
    assert artifact is not None
    return artifact.model_version


def train_again(folder: Path) -> str:
    """The version that a training after the fault makes; it leaves nothing half-written."""
    settings = Settings.model_validate({"data_dir": folder, "weights": "random"})
    made = trainer(settings, annotated(14, 20)).train(7, NOW + timedelta(hours=2))
    assert unfinished(folder) == []
    return made.serving


def unfinished(folder: Path) -> list[str]:
    """What lies there and is not whole."""
    return [path.name for path in (folder / "projects" / "7").glob("**/.*")]


@pytest.mark.parametrize("step", [step for step in killed_training.STEPS if step != "none"])
def test_a_killed_training_leaves_a_whole_version(folder: Path, step: str) -> None:
    """Wherever it dies, the version before answers or the new one does, whole; and the next training succeeds.

    What has answered is kept to go back to; what never did goes with that training.
    """
    before = serves(folder)
    assert exit_code(start(folder, step)) == -9
    answered = step in ("after it answers", "before it is shown", "while cleaning up")
    assert (serves(folder) == before) is not answered
    for version in ModelRegistry(folder).versions(7):
        assert ModelRegistry(folder).load(7, version).model_version == version
    assert serves(folder) != train_again(folder) == serves(folder)
    assert len(ModelRegistry(folder).versions(7)) == (3 if answered else 2)


@contextlib.contextmanager
def small_disk(folder: Path, spare: int) -> Iterator[None]:
    """A file system at the folder with what was there before, and some free kilobytes."""
    kept = folder.with_name("kept")
    folder.rename(kept)
    folder.mkdir()
    kilobytes = spare + 4 * sum(1 + path.stat().st_size // 4096 for path in [kept, *kept.rglob("*")])
    mount = ["mount", "-t", "tmpfs", "-o", f"size={kilobytes}k", "none", str(folder)]
    if subprocess.run(mount, capture_output=True, check=False).returncode:
        pytest.skip("no file system can be mounted here: only the limit of a file's size is tested")
    try:
        subprocess.run(["cp", "-r", f"{kept}/.", str(folder)], check=True)
        yield
    finally:
        subprocess.run(["umount", str(folder)], check=True)


@pytest.mark.parametrize("spare", [0, 4, 8, 12, 16, 24, 32])
def test_a_full_disk_leaves_the_last_version(folder: Path, spare: int) -> None:
    """On a file system with so many free kilobytes, a training fails without a trace or succeeds."""
    with small_disk(folder, spare):
        before = serves(folder)
        code = exit_code(start(folder))
        assert code in (0, errno.ENOSPC)
        failed = code != 0
        assert (serves(folder) == before) is failed
        assert (ModelRegistry(folder).versions(7) == [before]) is failed
        assert unfinished(folder) == []


@pytest.mark.parametrize("largest_file", [0, 1000])
def test_a_write_that_is_cut_off_leaves_the_last_version(folder: Path, largest_file: int) -> None:
    """No file may grow beyond the limit: the version cannot be written, and nothing of it remains."""
    before = serves(folder)
    assert exit_code(start(folder, largest_file=largest_file)) == errno.EFBIG
    assert (serves(folder), ModelRegistry(folder).versions(7)) == (before, [before])
    assert serves(folder) != train_again(folder) == serves(folder)


def test_trainings_of_a_project_exclude_each_other(folder: Path) -> None:
    """While one holds the project another one waits, and then makes its version."""
    before = serves(folder)
    with held(folder / "projects" / "7" / "training.lock", wait=True):
        child = start(folder)
        child.join(3)
        assert child.is_alive()
        assert ModelRegistry(folder).versions(7) == [before]
    assert exit_code(child) == 0
    assert len(ModelRegistry(folder).versions(7)) == 2
