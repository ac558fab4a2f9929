import numpy as np
import pytest

from ml_backend.core.finetune.probe import probe
from ml_backend.core.finetune.targets import ControlTargets

ROWS = np.arange(40)
PARTS = {"learned": ROWS[:24], "chosen": ROWS[24:32], "judged": ROWS[32:]}


def clouds(seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Two kinds of embeddings far from one another, and their kinds."""
    kinds = ROWS % 2
    noise = np.random.default_rng(seed).normal(scale=0.1, size=(40, 4))
    return (noise + kinds[:, None]).astype(np.float32), np.eye(2, dtype=np.float32)[kinds]


@pytest.mark.parametrize("multiple", [False, True])
def test_embeddings_that_tell_labels_apart_are_always_right(multiple: bool) -> None:  # noqa: FBT001
    """Both for a single and for a multiple choice."""
    embeddings, shares = clouds()
    targets = ControlTargets(shares, np.ones(40, dtype=np.float32), multiple)
    assert probe(embeddings, targets, **PARTS) == 1


def test_only_rows_with_a_weight_judge() -> None:
    """Of eight judging rows two are wrong on purpose: they count a fourth, and not at all without weight."""
    embeddings, shares = clouds()
    shares[-2:] = shares[-2:, ::-1]
    weights = np.ones(40, dtype=np.float32)
    assert probe(embeddings, ControlTargets(shares, weights, multiple=False), **PARTS) == 6 / 8
    weights[-2:] = 0
    assert probe(embeddings, ControlTargets(shares, weights, multiple=False), **PARTS) == 1


def test_it_works_without_rows_to_choose_by() -> None:
    """The strength of the regularisation is then chosen by the rows that are learned from."""
    embeddings, shares = clouds()
    targets = ControlTargets(shares, np.ones(40, dtype=np.float32), multiple=False)
    assert probe(embeddings, targets, learned=ROWS[:24], chosen=ROWS[:0], judged=ROWS[32:]) == 1
