"""Given labels that are simulated, and what is counted of them."""

import numpy as np
import pytest

pytest.importorskip("cleanlab", reason="cleanlab comes with the extra benchmarks")
pytest.importorskip("crowdkit", reason="crowd-kit comes with the extra benchmarks")

from accusations import KINDS, claim, contradicted, given_labels, simulated_crowd
from made_sets import made_set


def test_a_given_label_is_contradicted_where_another_has_more_votes() -> None:
    """Three of four votes are right on every item: whoever says otherwise is contradicted."""
    votes = made_set()
    given = votes.truth.copy()
    given[:2] = (given[:2] + 1) % votes.n_classes
    assert np.flatnonzero(contradicted(votes, given)).tolist() == [0, 1]
    number, believed, right = claim(votes, given)
    assert (number, right) == (2, 0.0)
    assert 0 < believed < 2


@pytest.mark.parametrize("kind", KINDS)
def test_simulated_given_labels_err_as_their_kind_does(kind: str) -> None:
    """About 15 in 100 at random or like the crowd; all of one class, and few beside it, for a whole class."""
    votes = simulated_crowd(3, np.random.default_rng(0))
    wrong = given_labels(votes, kind, np.random.default_rng(1)) != votes.truth
    of_class = np.array([wrong[votes.truth == number].mean() for number in range(4)])
    if kind == "for a whole class":
        assert of_class.max() > 0.9
        assert np.sort(of_class)[:3].max() < 0.1
    else:
        assert wrong.mean() == pytest.approx(0.15, abs=0.03)
