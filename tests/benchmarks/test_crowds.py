"""Simulated crowds of each kind."""

import numpy as np
import pytest

pytest.importorskip("crowdkit", reason="crowd-kit is not installed (extra benchmarks)")

import crowds
from crowds import KINDS, METHODS, accuracies, links


@pytest.fixture(autouse=True)
def _small(monkeypatch: pytest.MonkeyPatch) -> None:
    """300 items, 20 annotators, 6 votes an item."""
    monkeypatch.setattr(crowds, "sizes", lambda _: (300, 20, 6))


@pytest.mark.parametrize("kind", KINDS)
def test_a_crowd_votes_once_on_each_item(kind: str) -> None:
    """Whatever kind it is; and the same seed makes the same crowd."""
    votes, again = (KINDS[kind](np.random.default_rng(5)) for _ in range(2))
    pairs = np.column_stack([votes.item, votes.annotator])
    assert len(np.unique(pairs, axis=0)) == len(pairs)
    assert len(np.unique(votes.item)) == votes.n_items == len(votes.truth)
    assert max(votes.answer.max(), votes.truth.max()) < votes.n_classes
    assert again.answer.tolist() == votes.answer.tolist()


def test_every_method_is_right_about_some_links() -> None:
    """Each has an accuracy, and `default` is on these links above its usual model."""
    right = dict(zip(METHODS, accuracies(links(np.random.default_rng(2))), strict=True))
    assert all(0.5 < accuracy < 1 for accuracy in right.values())
    assert right["default"] >= right["usual"]
