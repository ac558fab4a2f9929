import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from made_votes import any_votes, chosen, few_examples, fitted, gold_of, listed_of, simulated_choices, votes_of
from plain_loops import Known, independent, learned, perceived, predicted

from consensus.core.model import em
from consensus.core.model.dependence import GRID
from consensus.core.model.fit import ModelName
from consensus.core.votes import label_matrix
from consensus.core.votes.classifications import classify
from consensus.core.votes.votes import Votes, spelled_out

every_model = pytest.mark.parametrize("model", ["default", "dawid-skene"])


def said_of(votes: Votes) -> tuple[list[dict[int, int]], int]:
    """What was said of each item, and the number of classes: labels of tasks, or wrong and right of questions."""
    rows = zip(votes.task, votes.annotator, votes.label, votes.vote, strict=True)
    if votes.choice == "single":
        said: list[dict[int, int]] = [{} for _ in range(votes.n_tasks)]
        for task, by, label, _ in rows:
            if label >= 0:
                said[task][int(by)] = int(label)
        return said, votes.n_labels
    asked: dict[tuple[int, int], dict[int, int]] = {}
    for task, by, label, vote in rows:
        asked.setdefault((int(task), int(label)), {}).update({int(by): int(vote > 0)} if vote else {})
    return [asked[key] for key in sorted(asked)], 2


def correlation(said: list[dict[int, int]], known: Known) -> float:
    """The best of the grid, moved to the top of the parabola through three points, and what hides added."""
    prior = [10 * (0.15 * math.log(one + 0.01) + 0.85 * math.log(1 - one)) for one in GRID]
    score = [weight + predicted(said, known, one) for weight, one in zip(prior, GRID, strict=True)]
    best = min(max(score.index(max(score)), 1), len(GRID) - 2)
    (x, y, z), (a, b, c) = GRID[best - 1 : best + 2], score[best - 1 : best + 2]
    slope, other = (b - a) / (y - x), (c - b) / (z - y)
    bend = (other - slope) / (z - x)
    top = (x + y) / 2 - slope / (2 * bend) if bend < 0 else GRID[score.index(max(score))]
    return float(1 - (1 - min(max(top, x), z)) ** 2)


def believed(
    said: list[dict[int, int]], known: Known, n_classes: int, even_votes: float
) -> tuple[np.ndarray, np.ndarray, list[float]]:
    """Posterior and variance of each item, and the trust, all by plain loops."""
    trust = [
        max((sum(table[at][at] for at in range(n_classes)) / n_classes - 1 / n_classes) / (1 - 1 / n_classes), 0.0)
        if n_classes > 1
        else 0.0
        for table in known.table
    ]
    votes = [sum(one) + 1e-9 for one in known.evidence]
    average = sum(map(math.prod, zip(trust, votes, strict=True))) / sum(votes)
    weight = [one / average if average > 0 else 0.0 for one in trust]
    shared = correlation(said, known)
    posterior, variance = [], []
    for one in said:
        first = independent(one, known, 0.5, shared)
        both = zip(first, perceived(one, weight, n_classes, even_votes), strict=True)
        posterior.append([(one_way + other_way) / 2 for one_way, other_way in both])
        doubt = 0.0
        for by in one:
            right = min(max(known.accuracy[by], 1e-3), 1 - 1e-3)
            doubt += min(1 / ((sum(known.evidence[by]) + known.own_strength) * right * (1 - right)), 1)
        doubt /= (1 + max(len(one) - 1, 0) * shared) ** 2
        moves = [a * (1 - a) / (2 * max(p * (1 - p), 1e-12)) for a, p in zip(first, posterior[-1], strict=True)]
        variance.append([doubt * move**2 for move in moves])
    return np.array(posterior), np.array(variance), trust


@few_examples
@given(any_votes(choices=("single", "each")))
def test_belief_is_that_of_plain_loops(votes: Votes) -> None:
    """Posterior, variance and trust are those of the method written down vote by vote."""
    said, n_classes = said_of(votes)
    belief = fitted(votes)
    if not said:
        assert len(belief.posterior) == 0
        return
    known = learned(said, {}, [None] * votes.n_annotators, n_classes)
    posterior, variance, trust = believed(said, known, n_classes, belief.model.even_votes)
    np.testing.assert_allclose(belief.model.trust, trust, atol=1e-8)
    rows = classify(votes, listed_of())
    if votes.choice == "single":
        posterior, variance = posterior[rows.task, rows.label], variance[rows.task, rows.label]
    else:
        posterior, variance = posterior[:, 1], variance[:, 1]
    np.testing.assert_allclose(belief.posterior, posterior, atol=1e-8)
    np.testing.assert_allclose(belief.variance, variance, atol=1e-8)


@few_examples
@given(any_votes(), st.sampled_from(["default", "dawid-skene"]))
def test_beliefs_are_probabilities(votes: Votes, model: ModelName) -> None:
    """Posteriors are in [0, 1], over the labels of a single choice they sum to 1, and doubt is finite."""
    belief = fitted(votes, model)
    assert ((belief.posterior >= 0) & (belief.posterior <= 1)).all()
    assert np.isfinite(belief.variance).all()
    assert (belief.variance >= 0).all()
    if votes.choice == "single":
        total = np.bincount(classify(votes, listed_of()).task, belief.posterior)
        np.testing.assert_allclose(total[np.unique(votes.task)], 1, atol=1e-9)


@every_model
@few_examples
@given(votes=any_votes(choices=("multiple",)))
def test_a_multiple_choice_is_its_questions(model: ModelName, votes: Votes) -> None:
    """What a multiple choice implies is believed as if it had been asked label by label."""
    spelled = spelled_out(votes)
    np.testing.assert_allclose(fitted(votes, model).posterior, fitted(spelled, model).posterior, atol=1e-12)


@every_model
@pytest.mark.parametrize("n_labels", [2, 70])
def test_threads_change_nothing(model: ModelName, n_labels: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Items spread over three threads teach and are believed what they are on one."""
    votes, _ = simulated_choices(np.array([0.9, 0.8, 0.7, 0.6]), 80, n_labels, 3, seed=4)
    gold = gold_of([(0, 1, True), (79, 0, True)])
    one = fitted(votes, model, gold=gold)
    monkeypatch.setattr(em, "BLOCK_VOTES", 10)
    three = fitted(votes, model, gold=gold)
    np.testing.assert_allclose(three.posterior, one.posterior, atol=1e-9)
    np.testing.assert_allclose(three.model.trust, one.model.trust, atol=1e-9)


@pytest.mark.parametrize("n_labels", [2, 4, 70])
def test_a_warm_start_believes_the_same(n_labels: int) -> None:
    """From what was learned without a few tasks posteriors are about the same."""
    votes, _ = simulated_choices(np.array([0.9, 0.85, 0.8, 0.75, 0.7, 0.6]), 400, n_labels, 4, seed=6)
    cold = fitted(votes).posterior
    few = fitted(votes, start=fitted(votes.rows(votes.task < 397)).model.confusion)
    np.testing.assert_allclose(few.posterior, cold, atol=5e-3 if n_labels < 65 else 0.02)


@every_model
def test_from_65_labels_the_chosen_ones_are_asked_about(model: ModelName) -> None:
    """64 labels have a matrix of 64 classes, 65 one of two: wrong and right."""
    for n_labels, n_classes in ((64, 64), (65, 2)):
        votes = chosen({(0, 0): 3, (0, 1): 3, (1, 0): 5, (1, 1): 3}, n_labels)
        assert fitted(votes, model).model.confusion.table.shape == (2, n_classes, n_classes)
        assert len(label_matrix.class_names(votes)) == n_classes
        assert (label_matrix.label_matrix_of(votes, classify(votes, listed_of()), gold_of())[1] is None) == (
            n_labels == 64
        )


def test_too_many_rates_are_not_learned(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where annotators times labels squared are more than the most, labels are asked about too."""
    votes = chosen({(0, 0): 3, (0, 1): 3, (1, 0): 5, (1, 1): 3}, 10)
    monkeypatch.setattr(label_matrix, "MOST_RATES", 200)
    assert fitted(votes).model.confusion.table.shape == (2, 10, 10)
    monkeypatch.setattr(label_matrix, "MOST_RATES", 199)
    assert fitted(votes).model.confusion.table.shape == (2, 2, 2)
    assert len(label_matrix.class_names(votes)) == 2


def test_trust_by_hand_decides_by_hand() -> None:
    """One vote of trust 1/2 (right in 3 of 4) among two labels: 3/4, and 3/4 perceived, as it weighs 1."""
    posterior = fitted(chosen({(0, 0): 0, (1, 0): 1}, 2), trust=np.array([0.5])).posterior
    np.testing.assert_allclose(posterior, [3 / 4, 1 / 4, 1 / 4, 3 / 4], atol=1e-9)


def test_gold_is_no_vote() -> None:
    """Gold of a task that nobody voted on, or whose vote is wrong, leaves the task's posterior to the votes."""
    votes, _ = simulated_choices(np.full(6, 0.9), 60, 3, 5, seed=9)
    plain, taught = fitted(votes), fitted(votes, gold=gold_of([(0, int(votes.label[0]), True)]))
    np.testing.assert_allclose(taught.posterior, plain.posterior, atol=0.05)


def test_no_labels_and_no_votes() -> None:
    """Nothing is believed of nothing, without a warning."""
    for choice in ("single", "multiple", "each"):
        belief = fitted(votes_of(choice, [], 3, 2, 0))  # type: ignore[arg-type]
        assert len(belief.posterior) == 0
        assert np.isfinite(belief.model.trust).all()
