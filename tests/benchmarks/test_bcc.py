"""The three Bayesian models, against enumeration of all truths and against loops."""

import itertools

import numpy as np
import pytest

pytest.importorskip("scipy", reason="scipy is not installed")

import bcc
from bcc import RIGHT, WRONG, fit_ebcc, fit_ibcc, fit_ptbcc
from scipy.sparse import csr_matrix
from scipy.special import digamma, gammaln

VOTES = [(0, 0, 0), (0, 1, 0), (1, 0, 1), (1, 1, 0), (2, 0, 1), (2, 1, 1), (2, 2, 1), (3, 2, 0)]
"""Item, annotator, answer: four items, three annotators, two classes."""


def matrices(votes: list[tuple[int, int, int]], n_classes: int = 2) -> tuple[csr_matrix, np.ndarray]:
    """Return the one-hot matrix and the tallies."""
    item, annotator, answer = np.array(votes).T
    shape = (item.max() + 1, (annotator.max() + 1) * n_classes)
    one_hot = csr_matrix((np.ones(len(votes)), (item, annotator * n_classes + answer)), shape=shape)
    tallies = np.zeros((item.max() + 1, n_classes))
    np.add.at(tallies, (item, answer), 1)
    return one_hot, tallies


def log_beta(counts: np.ndarray) -> float:
    """Logarithm of the normaliser of a Dirichlet."""
    return float(gammaln(counts).sum() - gammaln(counts.sum()))


def log_joint(truths: tuple[int, ...]) -> float:
    """Log probability of the votes and of some truths in IBCC, prevalence and error rates integrated out."""
    classes = np.ones(2)
    np.add.at(classes, list(truths), 1)
    total = log_beta(classes) - log_beta(np.ones(2))
    for annotator, truth in itertools.product(range(3), range(2)):
        prior = np.where(np.arange(2) == truth, RIGHT, WRONG)
        counts = prior.copy()
        for item, who, answer in VOTES:
            counts[answer] += who == annotator and truths[item] == truth
        total += log_beta(counts) - log_beta(prior)
    return total


def test_ibcc_is_close_to_the_exact_posterior() -> None:
    """Summed over all 16 truths, the exact posterior is near the fitted one, and the evidence above the bound."""
    truths = list(itertools.product(range(2), repeat=4))
    joint = np.array([log_joint(each) for each in truths])
    evidence = np.logaddexp.reduce(joint)
    exact = np.exp(joint - evidence) @ np.array(truths)
    fit = fit_ibcc(*matrices(VOTES))
    assert fit.posterior[:, 1] == pytest.approx(exact, abs=0.15)
    assert (fit.posterior[:, 1] > 0.5).tolist() == (exact > 0.5).tolist()
    assert evidence - 1 < fit.bound < evidence


def test_ibcc_is_a_fixed_point() -> None:
    """The two steps, written as loops, leave the fitted posterior as it is."""
    fit = fit_ibcc(*matrices(VOTES))
    classes = 1 + fit.posterior.sum(axis=0)
    answers = np.empty((3, 2, 2))
    for annotator, answer, truth in np.ndindex(answers.shape):
        beliefs = [fit.posterior[i, truth] for i, who, what in VOTES if (who, what) == (annotator, answer)]
        answers[annotator, answer, truth] = (RIGHT if answer == truth else WRONG) + sum(beliefs)
    log_belief = np.tile(digamma(classes), (4, 1))
    for item, annotator, answer in VOTES:
        log_belief[item] += digamma(answers[annotator, answer]) - digamma(answers[annotator].sum(axis=0))
    belief = np.exp(log_belief)
    assert belief / belief.sum(axis=1, keepdims=True) == pytest.approx(fit.posterior, abs=2e-3)


def test_one_vote_is_believed_by_the_prior_odds() -> None:
    """One vote is a case by hand: at the fixed point of q the log-odds are those of the two expected rates."""
    q = fit_ibcc(*matrices([(0, 0, 0)])).posterior[0, 0]
    right = digamma(1 + q) + digamma(RIGHT + q) - digamma(RIGHT + WRONG + q)
    wrong = digamma(2 - q) + digamma(WRONG + 1 - q) - digamma(RIGHT + WRONG + 1 - q)
    assert np.log(q / (1 - q)) == pytest.approx(right - wrong, abs=0.02)
    assert q > RIGHT / (RIGHT + WRONG)


def test_ebcc_keeps_the_best_of_its_seeds() -> None:
    """More seeds give a bound that is at least as good, and beliefs that add up to 1."""
    of_one, of_five = (fit_ebcc(*matrices(VOTES), seeds=seeds) for seeds in (1, 5))
    assert of_five.bound >= of_one.bound
    assert of_five.posterior.sum(axis=1).tolist() == pytest.approx([1] * 4)


def test_agreement_is_believed() -> None:
    """Where ten annotators agree on each of twenty items, all three models believe them."""
    votes = [(item, annotator, item % 2) for item in range(20) for annotator in range(10)]
    for fit in fit_ibcc(*matrices(votes)), fit_ebcc(*matrices(votes)), fit_ptbcc(*matrices(votes)):
        assert fit.posterior.argmax(axis=1).tolist() == [0, 1] * 10
        assert fit.posterior.max(axis=1).min() > 0.99


def test_a_class_that_nobody_chose_is_not_believed() -> None:
    """Its prior is next to nothing in EBCC, and the bound stays a number."""
    one_hot, tallies = matrices([*VOTES, (4, 0, 2)], n_classes=3)
    fit = fit_ebcc(one_hot[:4], tallies[:4])
    assert np.isfinite(fit.bound)
    assert fit.posterior[:, 2].max() < 1e-3


def test_ptbcc_is_a_fixed_point(monkeypatch: pytest.MonkeyPatch) -> None:
    """With a single prototype the two steps, written as loops, leave the fitted posterior as it is."""
    monkeypatch.setattr(bcc, "PROTOTYPES", 1)
    fit = fit_ptbcc(*matrices(VOTES), seeds=1)
    answers = np.where(np.eye(2, dtype=bool), RIGHT, WRONG)
    for item, _, answer in VOTES:
        answers[answer] += fit.posterior[item]
    log_belief = np.tile(digamma(bcc.OF_CLASS + fit.posterior.sum(axis=0)), (4, 1))
    for item, _, answer in VOTES:
        log_belief[item] += digamma(answers[answer]) - digamma(answers.sum(axis=0))
    belief = np.exp(log_belief)
    assert belief / belief.sum(axis=1, keepdims=True) == pytest.approx(fit.posterior, abs=2e-3)


def test_ptbcc_learns_what_the_prototypes_are() -> None:
    """Four who always say the first class outvote three who are right; one prototype is theirs and no evidence."""
    votes = [(item, annotator, item % 2 if annotator < 3 else 0) for item in range(30) for annotator in range(7)]
    one_hot, tallies = matrices(votes)
    assert tallies.argmax(axis=1).tolist() == [0] * 30
    assert fit_ptbcc(one_hot, tallies).posterior.argmax(axis=1).tolist() == [0, 1] * 15


def test_ptbcc_keeps_the_best_of_its_seeds() -> None:
    """More seeds give a bound that is at least as good, and beliefs that add up to 1."""
    of_one, of_five = (fit_ptbcc(*matrices(VOTES), seeds=seeds) for seeds in (1, 5))
    assert of_five.bound >= of_one.bound
    assert of_five.posterior.sum(axis=1).tolist() == pytest.approx([1] * 4)
