"""What the ML backend finds itself, by `/doctor`: the checks of `ml-backend doctor`."""

from collections.abc import Callable, Iterator, Mapping
from typing import Any

from common.doctor import Diagnosis, Finding, Level, problem, warning
from consensus.errors import BackendError

ABOUT = "ML backend"
LONGEST = 2000
"""Characters of a sentence."""
_UNKNOWN = "what it finds itself is not known"


def examined(ask: Callable[[int], Mapping[str, Any]], project: int, *, named: bool) -> Iterator[Diagnosis]:
    """Give what it finds.

    Parameters
    ----------
    ask : callable
        Gives its answer for a project.
    named : bool
        Whether the environment names one; if not, that is something to consider.
    """
    try:
        yield from _read(ask(project), project)
    except BackendError as error:
        doctor = f"ml-backend doctor --project {project}"
        finding = problem(str(error), _UNKNOWN, doctor) if named else warning(str(error), _UNKNOWN, doctor)
        yield Diagnosis(ABOUT, project, "its own checks", finding)


def _read(answer: Mapping[str, Any], project: int) -> list[Diagnosis]:
    try:
        return [
            Diagnosis(ABOUT, project, _sentence(row["check"]), _finding(row)) for row in list(answer["findings"])
        ]
    except (KeyError, TypeError, ValueError):
        raise BackendError("the ML backend answers /doctor with no findings: is it of this release?") from None


def _finding(row: Mapping[str, Any]) -> Finding:
    return Finding(Level(row["level"]), *(_sentence(row[name]) for name in ("seen", "why", "remedy")))


def _sentence(text: object) -> str:
    if not isinstance(text, str):
        raise TypeError("no sentence")
    return "".join(letter if letter.isprintable() else " " for letter in text)[:LONGEST]
