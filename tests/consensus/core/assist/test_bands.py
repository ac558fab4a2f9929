"""What becomes of a suggestion by its score."""

from hypothesis import given
from hypothesis import strategies as st

from consensus.core.assist.bands import Lines, band_of

SCORES = st.floats(0, 1)


@given(lines=st.tuples(SCORES, SCORES).map(sorted), score=SCORES)
def test_a_label_is_in_one_band(lines: list[float], score: float) -> None:
    """Accepted strictly above its line, looked at first strictly below the other."""
    review_below, accept_above = lines
    band = band_of([(Lines(accept_above, review_below), score)])
    assert (band == "accept") == (score > accept_above)
    assert (band == "below") == (score < review_below)


def test_labels_are_accepted_together() -> None:
    """Each by its own lines; one that is too low holds the others back, and nothing is no suggestion."""
    easy, hard = Lines(0.5, 0.2), Lines(0.9, 0.6)
    assert band_of([(easy, 0.6), (hard, 0.95)]) == "accept"
    assert band_of([(easy, 0.6), (hard, 0.7)]) == "between"
    assert band_of([(easy, 0.99), (hard, 0.5)]) == "below"
    assert band_of([]) == "between"
