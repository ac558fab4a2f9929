"""What is to be expected of suggestions."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import binomtest

from consensus.core.assist.expected import (
    Judged,
    conformal_share,
    expectation,
    fewest_judged,
    share_interval,
    thresholds_for,
)


def judged(score: np.ndarray, wrong: np.ndarray, group: np.ndarray | None = None) -> Judged:
    """Suggestions that somebody has decided."""
    groups = np.zeros(len(score)) if group is None else group
    return Judged(
        groups.astype(np.int32), score.astype(float), wrong.astype(float), np.ones(len(score), dtype=bool)
    )


@given(n=st.integers(1, 300), wrong=st.integers(0, 300))
def test_the_interval_is_that_of_clopper_and_pearson(n: int, wrong: int) -> None:
    """As scipy has it for whole counts."""
    wrong = min(wrong, n)
    exact = binomtest(wrong, n).proportion_ci(method="exact")
    assert share_interval(wrong, n) == pytest.approx((exact.low, exact.high), abs=1e-9)


@given(n=st.integers(1, 100), wrong=st.floats(0, 1))
def test_a_fraction_lies_between_its_neighbours(n: int, wrong: float) -> None:
    """The bounds of probabilities that are summed up grow with the sum."""
    low, high = share_interval(wrong * (n - 1), n)
    below, above = share_interval(int(wrong * (n - 1)), n), share_interval(int(wrong * (n - 1)) + 1, n)
    assert 0 <= below[0] <= low <= above[0] <= 1
    assert 0 <= below[1] <= high <= above[1] <= 1


def test_the_fewest_that_promise_are_enough() -> None:
    """One less is too little."""
    for precision in (0.8, 0.95, 0.98):
        n = fewest_judged(precision, 1)
        assert share_interval(1, n)[1] <= 1 - precision < share_interval(1, n - 1)[1]


def test_a_threshold_is_where_the_wrong_begin() -> None:
    """A thousand suggestions, all right above one half and half of them wrong below it."""
    score = np.linspace(0, 1, 1000)
    wrong = (score < 0.5) & (np.arange(1000) % 2 == 0)
    (threshold,) = thresholds_for(judged(score, wrong), 1, 0.95)
    assert threshold.score is not None
    assert 0.4 < threshold.score < 0.6
    assert threshold.expected.upper <= 0.05
    assert threshold.expected.n == (score >= threshold.score).sum()


def test_what_is_too_little_promises_nothing() -> None:
    """Not even where all of it is right; what is known is told."""
    (threshold,) = thresholds_for(judged(np.ones(50), np.zeros(50)), 1, 0.98)
    assert (threshold.score, threshold.expected.n) == (None, 50)
    assert thresholds_for(judged(np.ones(0), np.zeros(0)), 2, 0.98)[1].score is None


def test_labels_that_are_too_few_alone_are_taken_together() -> None:
    """The promise is about them as a whole; a label that can stand alone does."""
    group = np.repeat([0, 1, 2], [300, 100, 100])
    alone, *together = thresholds_for(judged(np.full(500, 0.9), np.zeros(500), group), 3, 0.98)
    assert (alone.groups, alone.score) == ((0,), 0.9)
    assert [threshold.groups for threshold in together] == [(1, 2)] * 2
    assert [threshold.score for threshold in together] == [0.9, 0.9]


def test_the_promise_holds() -> None:
    """Over 300 draws the precision above the threshold is below what was asked for in at most one in forty."""
    draws = np.random.default_rng(5)
    broken = promised = 0
    for _ in range(300):
        score = draws.uniform(size=600)
        (threshold,) = thresholds_for(judged(score, draws.uniform(size=600) < (1 - score) / 3), 1, 0.9)
        if threshold.score is not None:
            promised += 1
            broken += (1 - threshold.score) / 6 > 0.1  # the mean of (1 - score) / 3 above it
    assert promised > 200
    assert broken <= 300 / 40 + 3 * np.sqrt(300 / 40)


def test_an_expectation_tells_what_it_rests_on() -> None:
    """Decided suggestions count as 0 or 1, others with the posterior."""
    mixed = Judged(
        np.zeros(4, dtype=np.int32), np.ones(4), np.array([0, 1, 0.25, 0.25]), np.array([True, True, False, False])
    )
    known = expectation(mixed)
    assert (known.n, known.decided, known.wrong, known.share) == (4, 2, 1.5, 0.375)


def test_gold_bounds_the_share() -> None:
    """One wrong of 99 gold tasks, half of the candidates accepted."""
    assert conformal_share(1, 99, 1000, 500) == 4 / 100
    assert conformal_share(0, 0, 10, 5) == 1.0


def test_decided_suggestions_count_alone_where_they_are_enough() -> None:
    """Uncertain votes take a fifth of the others for wrong, which would promise nothing."""
    score, decided = np.ones(500), np.arange(500) < 200
    mixed = Judged(np.zeros(500, dtype=np.int32), score, np.where(decided, 0.0, 0.2), decided)
    (threshold,) = thresholds_for(mixed, 1, 0.98)
    assert (threshold.score, threshold.expected.n, threshold.expected.decided) == (1.0, 200, 200)
    few = Judged(mixed.group, score, mixed.wrong, np.arange(500) < 182)
    assert thresholds_for(few, 1, 0.98)[0].score is None
