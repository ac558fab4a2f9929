"""Lines of single labels, as forms and addresses write them: from which score on suggestions are accepted."""

import json
from collections.abc import Sequence
from math import floor, nan

from werkzeug.exceptions import BadRequest

Line = tuple[str, tuple[str, ...], float]
"""Control, labels, and the lowest score that is accepted."""
DIGITS = range(2, 17)


def line_text(line: Line) -> str:
    """Write a line.

    Examples
    --------
    >>> line_text(("kind", ("cat",), 0.9))
    '[0.9, "kind", "cat"]'
    """
    control, labels, score = line
    return json.dumps([score, control, *labels])


def line_in(text: str) -> Line:
    """Read a line.

    Raises
    ------
    BadRequest
        Where it is none.
    """
    try:
        score, control, *labels = json.loads(text)
        number = float(score)
    except (ValueError, TypeError, RecursionError):
        control, labels, number = "", [], nan
    if not (0 <= number <= 1 and labels and all(isinstance(name, str) for name in (control, *labels))):
        raise BadRequest(f"{text[:200]!r} is no line of a label; use a number from 0 to 1")
    return control, tuple(labels), number


def short(lowest: float, others: Sequence[float]) -> float:
    """Return the shortest number from which on a score is accepted, and lower ones are not.

    Examples
    --------
    >>> short(0.98765, [0.9]), short(0.98765, [0.9873]), short(0.5, [])
    (0.98, 0.9876, 0.5)
    """
    below = max(others, default=-1.0)
    numbers = (floor(lowest * 10**digits) / 10**digits for digits in DIGITS)
    return next((number for number in numbers if below < number <= lowest), lowest)
