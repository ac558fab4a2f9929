"""Speed, with numbers that can be counted."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from made_votes import few_examples

from consensus.core.people.speed import find_speed


def test_medians_against_those_of_the_others() -> None:
    """Medians 2, 10 and 30: for the first the others' median is 20, for the second 16, for the third 6."""
    who = np.repeat(np.arange(3), 3).astype(np.int32)
    found = find_speed(who, np.array([1, 2, 900, 10, 10, 10, 20, 30, 31.0]), 3)
    assert found.seconds.tolist() == [2, 10, 30]
    assert found.others.tolist() == [20, 16, 6]
    assert found.timed.tolist() == [3, 3, 3]
    assert found.fast.tolist() == [2, 0, 0]


def test_unknown_times_and_newcomers() -> None:
    """Unknown times are left out; who has fewer than three does not count among the others."""
    who = np.array([0, 0, 0, 0, 1, 2], dtype=np.int32)
    found = find_speed(who, np.array([4, 5, 6, np.nan, 1, 0.0]), 3)
    assert found.timed.tolist() == [3, 1, 0]
    assert found.seconds[:2].tolist() == [5, 1]
    assert np.isnan(found.seconds[2])
    assert np.isnan(found.others[0])
    assert found.others[1:].tolist() == [5, 5]
    assert np.isnan(found.p_value[[0, 2]]).all()


def test_too_fast_takes_more_than_a_few() -> None:
    """Three annotations in a second where others take ten have p 1/8; thirty of them leave no doubt."""
    for n, expected in ((3, 1 / 8), (30, 0.5**30)):
        who = np.repeat([0, 1, 2], [n, 5, 5]).astype(np.int32)
        seconds = np.repeat([1.0, 10.0, 10.0], [n, 5, 5])
        assert find_speed(who, seconds, 3).p_value[0] == pytest.approx(expected, rel=1e-3)
        assert find_speed(who, seconds, 3).p_value[1] == 1


def test_nobody() -> None:
    """No annotators, no figures."""
    assert find_speed(np.zeros(0, dtype=np.int32), np.zeros(0), 0).p_value.tolist() == []


@given(st.lists(st.tuples(st.integers(0, 3), st.floats(0.1, 100)), max_size=40))
@few_examples
def test_medians_are_numpys(rows: list[tuple[int, float]]) -> None:
    """Of each annotator's times, and of the other annotators' medians."""
    who = np.array([row[0] for row in rows], dtype=np.int32)
    seconds = np.array([row[1] for row in rows])
    found = find_speed(who, seconds, 4)
    medians = {one: np.median(seconds[who == one]) for one in range(4) if (who == one).any()}
    counting = {one: median for one, median in medians.items() if (who == one).sum() >= 3}
    for one in range(4):
        assert found.seconds[one] == pytest.approx(medians.get(one, np.nan), nan_ok=True)
        others = [median for other, median in counting.items() if other != one]
        assert found.others[one] == pytest.approx(np.median(others) if others else np.nan, nan_ok=True)
