from dataclasses import replace

import numpy as np
import pytest

pytest.importorskip("crowdkit", reason="crowd-kit is not installed (extra benchmarks)")

from data_sets import CrowdSet
from made_sets import made_set
from peers import PEERS, wawa


def shuffled(votes: CrowdSet) -> CrowdSet:
    """Return the same votes, their rows in another order."""
    row = np.random.default_rng(1).permutation(len(votes.item))
    return replace(votes, item=votes.item[row], annotator=votes.annotator[row], answer=votes.answer[row])


@pytest.mark.parametrize("name", PEERS)
def test_every_method_finds_the_truth_and_the_order_of_rows_is_nothing_to_it(name: str) -> None:
    """Three of four annotators are right: so is each method, however its rows and the classes are ordered."""
    votes = made_set()
    belief = PEERS[name].run(votes)
    assert belief.shape == (12, 3)
    assert belief.argmax(axis=1).tolist() == votes.truth.tolist()
    if name != "GLAD":  # its gradient steps add up in the order of the rows
        assert PEERS[name].run(shuffled(votes)) == pytest.approx(belief, abs=1e-6)


def test_a_class_without_votes_gets_nothing() -> None:
    """crowd-kit knows the answers that occur; the others are there with 0."""
    votes = replace(made_set(), classes=np.array(["c0", "c1", "c2", "c3"], dtype=object))
    assert PEERS["DS"].run(votes)[:, 3].tolist() == [0] * 12


def test_majority_counts_votes() -> None:
    """Its weights are the tallies."""
    votes = made_set()
    assert PEERS["MV"].run(votes) == pytest.approx(votes.tallies)


def test_wawa_weighs_a_vote_by_agreement() -> None:
    """Annotator 0 agrees with the majority on 8 of 12 items, the others on all."""
    weights = wawa(made_set())
    assert weights[0].tolist() == pytest.approx([3, 8 / 12, 0])
    assert weights[1].tolist() == pytest.approx([0, 3 + 8 / 12, 0])
