from collections.abc import Sequence

import numpy as np
import pytest
from hypothesis import given
from made_label_matrices import any_said, matrix_from
from made_votes import few_examples

from consensus.core.arrays import Floats
from consensus.core.model.dawid_skene import maximum_likelihood
from consensus.core.model.em import e_step
from consensus.core.model.trust import FittedModel, fitted_model
from consensus.core.votes.label_matrix import LabelMatrix


def learned(label_matrix: LabelMatrix, trust: Sequence[float] | None = None, n_parts: int = 1) -> FittedModel:
    """Dawid and Skene's estimate of items, in one part or more."""
    parts = list(label_matrix.split(n_parts))
    fixed = np.full(label_matrix.n_annotators, np.nan) if trust is None else np.array(trust)
    return fitted_model(maximum_likelihood(lambda function: map(function, parts), fixed), 0.0, 1.0, fixed)


def simulated(n_items: int, n_classes: int, per_item: int, seed: int) -> list[dict[int, int]]:
    """Simulated votes of some of 8 annotators on items of unequal classes, right in 0.6 to 0.95."""
    generator = np.random.default_rng(seed)
    truth = generator.choice(n_classes, size=n_items, p=generator.dirichlet(np.full(n_classes, 4.0)))
    said = []
    for true in truth:
        those = generator.choice(8, size=per_item, replace=False)
        right = generator.random(per_item) < 0.6 + 0.05 * those
        wrong = (true + generator.integers(1, n_classes, per_item)) % n_classes
        said.append(dict(zip(those.tolist(), np.where(right, true, wrong).tolist(), strict=True)))
    return said


def by_loops(said: list[dict[int, int]], n_annotators: int, n_classes: int) -> Floats:
    """The posterior by plain loops: shares, then at most 200 rounds of maximum likelihood."""
    size, tiny = (n_annotators, n_classes, n_classes), 1e-10
    belief = [
        [sum(what == one for what in each.values()) / max(len(each), 1) for one in range(n_classes)]
        for each in said
    ]
    belief = [row if sum(row) else [1 / n_classes] * n_classes for row in belief]
    known = np.zeros(size)
    for _ in range(201):
        counts, rows = np.full(size, tiny), np.full(n_classes, tiny)
        for each, row in zip(said, belief, strict=True):
            for by, what in each.items():
                for true in range(n_classes):
                    counts[by, true, what] += row[true]
            rows += np.array(row) * bool(each)
        table = counts / counts.sum(axis=2, keepdims=True)
        prevalence = rows / rows.sum()
        belief = []
        for each in said:
            score = np.log(prevalence) + sum(
                (np.log(table[by, :, what]) for by, what in each.items()), np.zeros(1)
            )
            mass = np.exp(score - score.max())
            belief.append((mass / mass.sum()).tolist())
        if np.abs(table - known).max() <= 1e-5:
            break
        known = table
    return np.array(belief)


@few_examples
@given(any_said())
def test_posterior_is_that_of_counting_one_by_one(whole: tuple[list[dict[int, int]], int, int]) -> None:
    """Maximum likelihood ends where plain loops do."""
    said, n_annotators, n_classes = whole
    label_matrix = matrix_from(said, n_annotators, n_classes)
    found = e_step(label_matrix, learned(label_matrix).confusion)
    np.testing.assert_allclose(found, by_loops(said, n_annotators, n_classes), atol=1e-6)


@pytest.mark.filterwarnings("ignore:The (inplace|copy) keyword")  # the oracle uses pandas as of old
@pytest.mark.parametrize(("n_classes", "per_item", "seed"), [(2, 8, 1), (3, 8, 2)])
def test_posterior_is_that_of_crowd_kit(n_classes: int, per_item: int, seed: int) -> None:
    """crowd-kit's DawidSkene, run for long, believes the same of simulated votes."""
    pandas = pytest.importorskip("pandas", reason="crowd-kit, the oracle, comes with the extra benchmarks")
    reason = "the oracle comes with the extra benchmarks"
    oracle = pytest.importorskip("crowdkit.aggregation.classification.dawid_skene", reason=reason)
    said = simulated(80, n_classes, per_item, seed)
    rows = [(task, by, what) for task, one in enumerate(said) for by, what in one.items()]
    method = oracle.DawidSkene(n_iter=40, tol=0)
    expected = method.fit_predict_proba(pandas.DataFrame(rows, columns=["task", "worker", "label"]))
    label_matrix = matrix_from(said, 8, n_classes)
    found = e_step(label_matrix, learned(label_matrix).confusion)
    np.testing.assert_allclose(found, expected[list(range(n_classes))].sort_index().to_numpy(), atol=1e-3)


def test_rates_by_hand() -> None:
    """Unanimous items leave no doubt: each annotator's rates are 1 and 0, and the prevalence is the share."""
    label_matrix = matrix_from([{0: 0, 1: 0}, {0: 0, 1: 0}, {0: 1, 1: 1}], 2, 2)
    confusion = learned(label_matrix).confusion
    np.testing.assert_allclose(confusion.table, [[[1, 0], [0, 1]]] * 2, atol=1e-9)
    np.testing.assert_allclose(confusion.prevalence, [2 / 3, 1 / 3], atol=1e-9)


def test_a_vote_alone_counts() -> None:
    """Without a prior whoever votes alone is believed, as in the published estimate."""
    confusion = learned(matrix_from([{0: 0}, {0: 1}], 1, 2)).confusion
    assert confusion.evidence.sum() == 2
    np.testing.assert_allclose(confusion.table[0], np.eye(2), atol=1e-9)


def test_gold_teaches() -> None:
    """Of four items of known class somebody who errs once has rates 1/2 and 1."""
    label_matrix = matrix_from([{0: 0}, {0: 1}, {0: 1}, {0: 1}], 1, 2, {0: [0], 1: [0], 2: [1], 3: [1]})
    np.testing.assert_allclose(learned(label_matrix).confusion.table[0], [[1 / 2, 1 / 2], [0, 1]], atol=1e-9)


def test_trust_by_hand_is_kept() -> None:
    """Set by hand, 0.5 is right in 3 of 4, whatever the votes."""
    found = learned(matrix_from(simulated(40, 2, 8, 5), 8, 2), [0.5] + [np.nan] * 7)
    np.testing.assert_allclose(found.confusion.table[0], [[3 / 4, 1 / 4], [1 / 4, 3 / 4]])
    assert found.trust[0] == 0.5


def test_parts_teach_what_the_whole_does() -> None:
    """Cut in three, items teach the same."""
    label_matrix = matrix_from(simulated(90, 3, 4, 6), 8, 3)
    np.testing.assert_allclose(
        learned(label_matrix, n_parts=3).confusion.table, learned(label_matrix).confusion.table, atol=1e-9
    )


def test_a_hundred_and_fifty_against_gold_are_finite() -> None:
    """Where all say what gold rules out, what is left has no likelihood to a double, and still counts once."""
    label_matrix = matrix_from(
        [dict.fromkeys(range(150), 0), dict.fromkeys(range(150), 1)] * 3, 150, 3, {0: [1, 2]}
    )
    found = learned(label_matrix)
    assert np.isfinite(found.confusion.table).all()
    assert found.confusion.evidence[0].sum() == pytest.approx(6)
