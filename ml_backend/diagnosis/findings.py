"""What a check says."""

from dataclasses import dataclass
from enum import StrEnum


class Level(StrEnum):
    """Whether something is to be done."""

    FINE = "fine"
    WARNING = "warning"
    PROBLEM = "problem"


@dataclass(frozen=True)
class Finding:
    """What was seen, and for a problem or a warning why it matters and what helps.

    Parameters
    ----------
    level : Level
    seen, why, remedy : str
        Sentences for an operator, without a full stop at their end.
    """

    level: Level
    seen: str
    why: str = ""
    remedy: str = ""


def fine(seen: str) -> Finding:
    """Say that nothing is to be done."""
    return Finding(Level.FINE, seen)


def warning(seen: str, why: str, remedy: str = "") -> Finding:
    """Say that something may be to be done."""
    return Finding(Level.WARNING, seen, why, remedy)


def problem(seen: str, why: str, remedy: str) -> Finding:
    """Say that something is to be done."""
    return Finding(Level.PROBLEM, seen, why, remedy)
