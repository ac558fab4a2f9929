import json
from collections.abc import Iterator

import pytest
from typer.testing import CliRunner

from common.doctor import Diagnosis, fine, problem, warning
from ml_backend import cli, doctor
from ml_backend.settings import get_settings

FINE = Diagnosis("Label Studio", None, "release", fine("release 1.23.2"))
WARNING = Diagnosis(
    "this backend", None, "clock", warning("its clock is [30] s ahead", "why", "follow a time server")
)
PROBLEM = Diagnosis(
    "project 7, Made", 7, "webhook", problem("no webhook", "nothing is trained", "ml-backend connect")
)


def run(monkeypatch: pytest.MonkeyPatch, diagnoses: list[Diagnosis], *options: str) -> tuple[int, str]:
    """Status and output of the command where the checks find this."""

    def examined(*_: object, **__: object) -> Iterator[Diagnosis]:
        yield from diagnoses

    get_settings.cache_clear()
    monkeypatch.setattr(doctor, "examine", examined)
    ended = CliRunner().invoke(cli.cli, ["doctor", *options])
    return ended.exit_code, ended.output


def test_only_problems_change_the_status(monkeypatch: pytest.MonkeyPatch) -> None:
    """All fine is 0, so is a warning; a problem is 1."""
    assert run(monkeypatch, [FINE])[0] == 0
    assert run(monkeypatch, [FINE, WARNING])[0] == 0
    assert run(monkeypatch, [FINE, WARNING, PROBLEM])[0] == 1


def test_what_was_seen_comes_with_why_and_remedy(monkeypatch: pytest.MonkeyPatch) -> None:
    """Grouped by what it is about, counted at the end; a bracket is no markup."""
    _, shown = run(monkeypatch, [FINE, WARNING, PROBLEM])
    lines = [line.strip() for line in shown.splitlines()]
    assert [line for line in lines if line in ("Label Studio", "This backend", "Project 7, Made")] == [
        "Label Studio",
        "This backend",
        "Project 7, Made",
    ]
    assert "its clock is [30] s ahead" in shown
    assert "because: nothing is trained" in lines
    assert "remedy: ml-backend connect" in lines
    assert lines[-1] == "1 to do, 1 to consider, 1 fine."


def test_json_holds_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    """For programs: every finding, and whether all is fine."""
    status, shown = run(monkeypatch, [FINE, PROBLEM], "--json")
    rows = json.loads(shown)
    assert (status, rows["fine"]) == (1, False)
    assert rows["findings"][1] == {
        "about": "project 7, Made",
        "project": 7,
        "check": "webhook",
        "level": "problem",
        "seen": "no webhook",
        "why": "nothing is trained",
        "remedy": "ml-backend connect",
    }
