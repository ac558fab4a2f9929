import sqlite3
from importlib.metadata import version
from pathlib import Path

import pytest
from typer.testing import CliRunner

from ml_backend import cli
from ml_backend.commands import training
from ml_backend.errors import LabelStudioError, NothingToLearnError, UnusableProjectError
from ml_backend.settings import get_settings

PROJECT = ("--project", "7")


@pytest.fixture(autouse=True)
def unconfigured(monkeypatch: pytest.MonkeyPatch) -> None:
    """An environment without Label Studio."""
    for name in ("LABEL_STUDIO_URL", "LABEL_STUDIO_API_KEY"):
        monkeypatch.delenv(name, raising=False)
    get_settings.cache_clear()


def test_a_fault_that_a_person_can_fix_is_one_line(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: object
) -> None:
    """Training without a key exits 1 and names the variables, without a traceback."""
    monkeypatch.setenv("ML_BACKEND_DATA_DIR", str(tmp_path))
    monkeypatch.setattr("sys.argv", ["ml-backend", "train", "--project", "7"])
    with pytest.raises(SystemExit) as ended:
        cli.main()
    shown = capsys.readouterr().err
    assert ended.value.code == 1
    assert "LABEL_STUDIO_API_KEY" in shown
    assert "Traceback" not in shown


def test_the_version_is_shown() -> None:
    """That of the package."""
    shown = CliRunner().invoke(cli.cli, ["--version"])
    assert (shown.exit_code, shown.output) == (0, f"{version('label-studio-consensus')}\n")


@pytest.mark.parametrize(
    ("fault", "shown"),
    [
        (LabelStudioError("answered 400: [bold] is no [label]"), "error: answered 400: [bold] is no [label]"),
        (OSError(28, "No space left on device", "/d/model.npz"), "No space left on device: '/d/model.npz'"),
        (sqlite3.OperationalError("database is locked"), "database is locked"),
        (ModuleNotFoundError("No module named 'flask'", name="flask"), "pip install '.[ml]'"),
        (ModuleNotFoundError("No module named 'torch.nn'", name="torch.nn"), "torch.nn is not installed"),
    ],
)
def test_every_fault_from_outside_is_one_sentence(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], fault: Exception, shown: str
) -> None:
    """A refusal, a full disk, a locked file, a missing package: the message is printed as it is, brackets too."""

    def fail(*_: object, **__: object) -> None:
        raise fault

    monkeypatch.setattr(training, "_train", fail)
    monkeypatch.setattr("sys.argv", ["ml-backend", "train", "--project", "7"])
    with pytest.raises(SystemExit) as ended:
        cli.main()
    assert ended.value.code == 1
    assert shown in capsys.readouterr().err


def test_a_fault_of_ours_is_not_hidden(monkeypatch: pytest.MonkeyPatch) -> None:
    """A module of this package that is missing is no matter of installation."""

    def fail(*_: object, **__: object) -> None:
        raise ModuleNotFoundError("No module named 'ml_backend.gone'", name="ml_backend.gone")

    monkeypatch.setattr(training, "_train", fail)
    monkeypatch.setattr("sys.argv", ["ml-backend", "train", "--project", "7"])
    with pytest.raises(ModuleNotFoundError):
        cli.main()


@pytest.mark.parametrize(("option", "value"), [("--port", "99999"), ("--port", "-1"), ("--workers", "0")])
def test_an_option_that_does_not_fit_is_one_sentence(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], option: str, value: str
) -> None:
    """A port or a number of workers that cannot be is refused before anything is started."""
    monkeypatch.setattr("sys.argv", ["ml-backend", "serve", option, value])
    monkeypatch.setattr("ml_backend.serving.serve.serve", lambda settings: pytest.fail(f"started with {settings}"))
    with pytest.raises(SystemExit) as ended:
        cli.main()
    assert ended.value.code == 1
    assert f"{option}: Input should be" in capsys.readouterr().err


@pytest.mark.parametrize("command", ["serve", "train", "predict", "connect", "doctor", "versions", "promote x"])
def test_a_data_folder_that_cannot_be_made_is_said_before_the_start(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path, command: str
) -> None:
    """In one sentence, and not by every worker as it dies."""
    (tmp_path / "file").touch()
    monkeypatch.setenv("ML_BACKEND_DATA_DIR", f"{tmp_path}/file/data")
    monkeypatch.setattr("sys.argv", ["ml-backend", *command.split(), *(() if command == "serve" else PROJECT)])
    monkeypatch.setattr("ml_backend.serving.serve.serve", lambda settings: pytest.fail(f"started with {settings}"))
    with pytest.raises(SystemExit) as ended:
        cli.main()
    shown = capsys.readouterr().err
    assert ended.value.code == 1
    assert f"ML_BACKEND_DATA_DIR: '{tmp_path}/file/data' must be a folder" in shown
    assert shown.count("\n") == 1


def test_what_has_to_be_mended_is_a_failure(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Who trains by a timer learns that no image can be read, or no annotation fits."""

    def unusable(*_: object, **__: object) -> None:
        raise UnusableProjectError("no image of project 7 can be read (private_address 12 times)")

    monkeypatch.setattr(training, "_train", unusable)
    monkeypatch.setattr("sys.argv", ["ml-backend", "train", *PROJECT])
    with pytest.raises(SystemExit) as ended:
        cli.main()
    assert ended.value.code == 1
    assert capsys.readouterr().err.startswith("error: no image of project 7 can be read")


def test_nothing_to_learn_is_no_failure(monkeypatch: pytest.MonkeyPatch) -> None:
    """A project without annotations ends well and says that no version was made."""

    def nothing(*_: object, **__: object) -> None:
        raise NothingToLearnError("project 7 has no annotation to learn from yet")

    monkeypatch.setattr(training, "_train", nothing)
    ended = CliRunner().invoke(cli.cli, ["train", "--project", "7"])
    assert ended.exit_code == 0
    assert "No new version was made" in ended.output
