"""What becomes of a suggestion by its score: accepted above a line, looked at by people below it."""

from collections.abc import Iterable
from typing import Literal, NamedTuple

Band = Literal["accept", "between", "below"]


class Lines(NamedTuple):
    """Scores above which a label is accepted, and below which it is looked at first; in [0, 1], not crossed."""

    accept_above: float
    review_below: float


def band_of(scored: Iterable[tuple[Lines, float]]) -> Band:
    """Return what becomes of labels as a whole, each with its lines and its score; people look at what is between.

    Examples
    --------
    >>> lines = Lines(accept_above=0.9, review_below=0.5)
    >>> [band_of([(lines, score)]) for score in (0.91, 0.9, 0.5, 0.49)]
    ['accept', 'between', 'between', 'below']
    >>> band_of([(lines, 0.95), (lines, 0.6)])
    'between'
    """
    pairs = list(scored)
    if any(score < lines.review_below for lines, score in pairs):
        return "below"
    return "accept" if pairs and all(score > lines.accept_above for lines, score in pairs) else "between"
