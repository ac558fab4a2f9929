"""Given labels that a model finds wrong."""

import numpy as np

from consensus.core.assist.confident_learning import likely_wrong


def test_what_the_model_is_not_sure_enough_of_is_not_accused() -> None:
    """Another label counts from the mean probability on that it gets where it was given."""
    given = np.array([0, 0, 1, 1], dtype=np.int32)
    suggested = np.array([1, 1, 1, 1], dtype=np.int32)
    own, score = np.array([0.3, 0.2, 0.8, 0.6]), np.array([0.7, 0.69, 0.8, 0.6])  # the mean of 1 is 0.7
    assert likely_wrong(given, own, suggested, score, 2).tolist() == [0]


def test_planted_faults_come_first() -> None:
    """A tenth of the labels are swapped; nine in ten of the accused are, and of the swapped more than half."""
    draws = np.random.default_rng(3)
    truth = draws.integers(0, 3, 2000).astype(np.int32)
    given = truth.copy()
    swapped = draws.random(2000) < 0.1
    given[swapped] = (given[swapped] + 1) % 3
    odds = draws.normal(size=(2000, 3)) + 5 * np.eye(3)[truth]
    probability = np.exp(odds) / np.exp(odds).sum(axis=1, keepdims=True)
    suggested = probability.argmax(axis=1).astype(np.int32)
    rows = np.arange(2000)
    accused = likely_wrong(given, probability[rows, given], suggested, probability[rows, suggested], 3)
    assert swapped[accused].mean() > 0.9
    assert swapped[accused[:20]].all()
    assert swapped[accused].sum() > 0.5 * swapped.sum()
