from collections.abc import Iterator

import pytest
import typer

from common.doctor import Diagnosis, Finding, Level, fine, problem, report, run_checks
from common.errors import SuiteError


@pytest.mark.parametrize(
    ("error", "shown"), [(SuiteError("the disk is full"), "the disk is full"), (KeyError("secret"), "KeyError")]
)
def test_a_check_that_fails_is_a_problem_and_the_others_are_run(error: Exception, shown: str) -> None:
    """What it found before stays; an unexpected error's text, which may hold anything, is not shown."""

    def failing(_: int) -> Iterator[Finding]:
        yield fine("half of it")
        raise error

    def succeeding(number: int) -> Iterator[Finding]:
        yield fine(f"saw {number}")

    diagnoses = list(run_checks("here", 7, {"first": failing, "second": succeeding}, 3))
    assert [(row.check, row.finding.level) for row in diagnoses] == [
        ("first", Level.FINE),
        ("first", Level.PROBLEM),
        ("second", Level.FINE),
    ]
    assert shown in diagnoses[1].finding.seen
    assert "secret" not in diagnoses[1].finding.seen
    assert diagnoses[2].finding.seen == "saw 3"


@pytest.mark.parametrize("columns", [40, 80])
def test_what_is_copied_stands_there_whole(
    columns: int, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """An address or a version in a remedy is not cut, however narrow the terminal."""
    monkeypatch.setattr("sys.stdout.isatty", lambda: True)
    monkeypatch.setenv("COLUMNS", str(columns))
    address = "http://ml-backend.internal.example.org:9090"
    found = problem("not connected", "it learns nothing", f"ml-backend connect --project 7 --url {address}")
    with pytest.raises(typer.Exit):
        report(lambda _: [Diagnosis("project 7", 7, "connection", found)], as_json=False)
    assert address in capsys.readouterr().out


def test_json_on_a_terminal_steers_nothing(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """What others wrote is harmless there, too."""
    monkeypatch.setattr("sys.stdout.isatty", lambda: True)
    report(lambda _: [Diagnosis("project 7", 7, "connection", fine("cat\x9b31m\u202egpj"))], as_json=True)
    assert not {"\x9b", "\u202e"} & set(capsys.readouterr().out)
