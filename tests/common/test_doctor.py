from collections.abc import Iterator

import pytest

from common.doctor import Finding, Level, fine, run_checks
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
