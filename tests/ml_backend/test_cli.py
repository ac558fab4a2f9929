import re

import pytest
from typer.testing import CliRunner

from ml_backend import cli
from ml_backend.errors import NothingToLearnError
from ml_backend.settings import get_settings


@pytest.fixture(autouse=True)
def unconfigured(monkeypatch: pytest.MonkeyPatch) -> None:
    """An environment without Label Studio."""
    for name in ("LABEL_STUDIO_URL", "LABEL_STUDIO_API_KEY"):
        monkeypatch.delenv(name, raising=False)
    get_settings.cache_clear()


@pytest.mark.parametrize(("command", "option"), [("serve", "--port"), ("train", "--project")])
def test_help_names_the_options(command: str, option: str) -> None:
    """Each command explains its options."""
    shown = CliRunner().invoke(cli.cli, [command, "--help"]).output
    assert option in re.sub(r"\x1b\[[0-9;]*m", "", shown)


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


def test_nothing_to_learn_is_no_failure(monkeypatch: pytest.MonkeyPatch) -> None:
    """A project without annotations ends well and says that no version was made."""

    def nothing(*_: object) -> None:
        raise NothingToLearnError("project 7 has no annotation to learn from yet")

    monkeypatch.setattr(cli, "_train", nothing)
    ended = CliRunner().invoke(cli.cli, ["train", "--project", "7"])
    assert ended.exit_code == 0
    assert "No new version was made" in ended.output
