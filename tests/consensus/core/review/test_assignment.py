"""Items spread over reviewers."""

from collections import Counter

from hypothesis import given
from hypothesis import strategies as st

from consensus.core.review.assignment import Waiting, spread

NAMES = ["a", "b", "c"]


def test_what_somebody_has_stays_theirs() -> None:
    """Others get what is free, until all have as much."""
    items = [Waiting([], "a"), Waiting([], "a"), Waiting([]), Waiting([]), Waiting([])]
    assert spread(items, ["a", "b"], NAMES) == ["a", "a", "b", "b", "a"]
    assert spread([Waiting([], "c")], ["a"], NAMES) == ["c"]


def test_what_was_given_to_somebody_who_is_gone_is_given_again() -> None:
    """So is what somebody has annotated meanwhile."""
    assert spread([Waiting([], "gone"), Waiting(["b"], "b")], ["a", "b"], NAMES) == ["b", "a"]


def test_what_nobody_may_have_is_nobodys() -> None:
    """All have annotated it."""
    assert spread([Waiting(["a", "b"]), Waiting([])], ["a", "b"], NAMES) == [None, "a"]


@given(st.lists(st.sets(st.sampled_from(NAMES), max_size=2)))
def test_nobody_has_their_own_and_nobody_much_more_than_others(annotators: list[set[str]]) -> None:
    """Whatever was annotated by whom; it is the same each time."""
    items = [Waiting(sorted(names)) for names in annotators]
    chosen = spread(items, NAMES, NAMES)
    assert chosen == spread(items, NAMES, NAMES)
    assert all(name not in names for name, names in zip(chosen, annotators, strict=True))
    free = [name for name, names in zip(chosen, annotators, strict=True) if not names]
    if len(free) == len(items):
        counts = Counter(chosen)
        assert max(counts[name] for name in NAMES) - min(counts[name] for name in NAMES) <= 1
