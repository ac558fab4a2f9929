"""Three published models that no package offers, fitted by variational Bayes: IBCC, EBCC and PTBCC.

Votes are a sparse matrix of items by (annotator, answer), as `CrowdSet.one_hot`. Its transpose times the beliefs
counts each annotator's answers by class (M step); itself times the expected log rates adds up what the votes say
of each item (E step).
"""

from dataclasses import dataclass

import numpy as np
from scipy.sparse import csr_matrix
from scipy.special import digamma, entr, gammaln, softmax

from consensus.core.arrays import Codes, Floats

PREVALENCE = 1.0
"""Pseudo-count of every class in IBCC; EBCC takes the shares of the votes, added up over the items."""
RIGHT, WRONG = 4.0, 1.0
"""Pseudo-counts of an annotator's right answer and of each wrong one."""
NEVER = 1e-6
GROUPS = 10
"""Subtypes of a class in EBCC."""
SUBTYPES = 0.1
"""Pseudo-counts of the subtypes of a class, shared out evenly among them."""
PROTOTYPES = 2
"""Confusion matrices in PTBCC that all annotators share; these three are the ones of some 150 settings with which
it is right most often on the sets of docs/accuracy.md: chosen with the truth, as its paper's are not at hand."""
OF_PROTOTYPE, OF_CLASS = 0.1, 10.0
"""Pseudo-counts of each prototype in an annotator's mixture, and of every class, in PTBCC."""
MOST_ROUNDS = 500
TOLERANCE = 1e-3
"""A fit ends where no belief moves by more in a round."""


@dataclass(frozen=True, eq=False)
class Fit:
    """The outcome of a fit.

    Attributes
    ----------
    posterior : (n_items, n_classes) float64
        Rows add up to 1.
    bound : float
        Evidence lower bound: the larger, the better the fit explains the votes.
    """

    posterior: Floats
    bound: float


def fit_ibcc(one_hot: csr_matrix, tallies: Floats) -> Fit:
    """Fit independent Bayesian classifier combination: one confusion matrix an annotator.

    Kim and Ghahramani, "Bayesian classifier combination", AISTATS 2012. It is EBCC with one subtype; the fit
    starts from the shares of the votes.
    """
    prior = pseudo_counts(np.full(tallies.shape[1], PREVALENCE), 1)
    return _fit(one_hot, _shares(tallies), prior, np.random.RandomState(0))


def fit_ebcc(one_hot: csr_matrix, tallies: Floats, seeds: int = 5) -> Fit:
    """Fit enhanced Bayesian classifier combination: annotators share mistakes through subtypes of a class.

    Li, Rubinstein and Cohn, "Exploiting worker correlation for label aggregation in crowdsourcing", ICML 2019,
    with the paper's hyper-parameters. Starts are random; of some seeds the fit with the largest bound is returned.
    """
    shares = _shares(tallies)
    # A class that nobody ever chose has a prior, too, if hardly any.
    prior = pseudo_counts(np.maximum(shares.sum(axis=0), NEVER), GROUPS)
    # The published code's generator: where a fit ends depends on its start, and figures are compared with its own.
    starts = [np.random.RandomState(seed) for seed in range(seeds)]
    fits = (_fit(one_hot, shares, prior, start) for start in starts)
    return max(fits, key=lambda fit: fit.bound)


def fit_ptbcc(one_hot: csr_matrix, tallies: Floats, seeds: int = 5) -> Fit:
    """Fit prototype learning-driven Bayesian classifier combination: annotators mix a few confusion matrices.

    Chen, Feng and Zhang, "Understanding the essence: delving into annotator prototype learning for multi-class
    annotation aggregation", 2025, arXiv:2508.02123. Each vote comes from one of the prototypes, drawn from its
    annotator's mixture of them. Written from the paper's description, not from its code: a mean field, in which
    beliefs in the classes of items and in the prototypes of votes are independent. Starts are random; of some
    seeds the fit with the largest bound is returned.
    """
    fits = (_fit_prototypes(one_hot, _shares(tallies), np.random.default_rng(seed)) for seed in range(seeds))
    return max(fits, key=lambda fit: fit.bound)


def _fit_prototypes(one_hot: csr_matrix, shares: Floats, random: np.random.Generator) -> Fit:
    votes, n_classes = one_hot.tocoo(), shares.shape[1]
    annotator, answer = np.divmod(votes.col, n_classes)
    by_item = _indicator(votes.row, len(shares))
    by_annotator, by_answer = _indicator(annotator, one_hot.shape[1] // n_classes), _indicator(answer, n_classes)
    prior = np.where(np.eye(n_classes, dtype=bool), RIGHT, WRONG)[:, None, :]
    posterior, prototype = shares, random.dirichlet(np.ones(PROTOTYPES), size=votes.nnz)

    def count() -> tuple[Floats, Floats, Floats]:
        """Expected votes by answer, prototype and class, votes by annotator and prototype, and items by class."""
        pairs = prototype[:, :, None] * posterior[votes.row][:, None, :]
        answers = (by_answer @ pairs.reshape(votes.nnz, -1)).reshape(n_classes, PROTOTYPES, n_classes)
        return answers + prior, by_annotator @ prototype + OF_PROTOTYPE, posterior.sum(axis=0) + OF_CLASS

    for _ in range(MOST_ROUNDS):
        answers, mixtures, classes = count()
        log_rates = _expected_log(answers, axis=0)[answer]
        of_prototype = np.einsum("vpj,vj->vp", log_rates, posterior[votes.row])
        prototype = softmax(of_prototype + _expected_log(mixtures, axis=1)[annotator], axis=1)
        of_class = by_item @ np.einsum("vpj,vp->vj", log_rates, prototype)
        before, posterior = posterior, softmax(of_class + _expected_log(classes, axis=0), axis=1)
        if np.abs(posterior - before).max() <= TOLERANCE:
            break
    answers, mixtures, classes = count()
    bound = (_log_beta(answers, 0) - _log_beta(prior, 0)).sum()
    bound += (_log_beta(mixtures, 1) - _log_beta(np.full(PROTOTYPES, OF_PROTOTYPE), 0)).sum()
    bound += _log_beta(classes, 0) - _log_beta(np.full(n_classes, OF_CLASS), 0)
    return Fit(posterior, float(bound + entr(prototype).sum() + entr(posterior).sum()))


def _indicator(codes: Codes, size: int) -> csr_matrix:
    """(size, n) matrix whose product with what is known of n votes adds that up by code."""
    return csr_matrix((np.ones(len(codes)), (codes, np.arange(len(codes)))), shape=(size, len(codes)))


def _shares(tallies: Floats) -> Floats:
    return tallies / tallies.sum(axis=1, keepdims=True)


def _fit(one_hot: csr_matrix, shares: Floats, pseudo: "Counts", random: np.random.RandomState) -> Fit:
    """Alternate the two steps; beliefs are (n_items, n_classes, groups)."""
    posterior = shares
    belief = shares[:, :, None] * random.dirichlet(np.ones(pseudo.subtypes.shape[1]), size=shares.shape)
    transposed = one_hot.T.tocsr()
    for _ in range(MOST_ROUNDS):
        counts = _count(transposed, belief, pseudo)
        log_likelihood = one_hot @ _expected_log(counts.answers, axis=1).reshape(one_hot.shape[1], -1)
        prior = _expected_log(counts.classes, axis=0)[:, None] + _expected_log(counts.subtypes, axis=1)
        belief = softmax(log_likelihood.reshape(belief.shape) + prior, axis=(1, 2))
        before, posterior = posterior, belief.sum(axis=2)
        if np.abs(posterior - before).max() <= TOLERANCE:
            break
    return Fit(posterior, _bound(_count(transposed, belief, pseudo), pseudo, belief))


@dataclass(frozen=True, eq=False)
class Counts:
    """Expected counts, pseudo-counts included: the belief in the parameters, one Dirichlet a line.

    Attributes
    ----------
    classes : (n_classes,) float64
    subtypes : (n_classes, groups) float64
        Along axis 1.
    answers : (n_annotators, n_classes, n_classes, groups) float64
        By annotator, answer, class, subtype; along axis 1.
    """

    classes: Floats
    subtypes: Floats
    answers: Floats


def pseudo_counts(classes: Floats, groups: int) -> Counts:
    """Return the counts that a fit starts from, given those of the classes."""
    n_classes = len(classes)
    answers = np.where(np.eye(n_classes, dtype=bool), RIGHT, WRONG)[None, :, :, None]
    return Counts(
        classes,
        np.full((n_classes, groups), SUBTYPES / groups),
        np.broadcast_to(answers, (1, n_classes, n_classes, groups)),
    )


def _count(transposed: csr_matrix, belief: Floats, pseudo: Counts) -> Counts:
    answers = (transposed @ belief.reshape(len(belief), -1)).reshape(-1, *pseudo.answers.shape[1:])
    subtypes = belief.sum(axis=0)
    return Counts(pseudo.classes + subtypes.sum(axis=1), pseudo.subtypes + subtypes, pseudo.answers + answers)


def _expected_log(counts: Floats, axis: int) -> Floats:
    return digamma(counts) - digamma(counts.sum(axis=axis, keepdims=True))


def _bound(counts: Counts, pseudo: Counts, belief: Floats) -> float:
    """Evidence of the expected counts, the parameters integrated out, plus the entropy of the beliefs."""
    classes = _log_beta(counts.classes, 0) - _log_beta(pseudo.classes, 0)
    subtypes = _log_beta(counts.subtypes, 1) - _log_beta(pseudo.subtypes, 1)
    answers = _log_beta(counts.answers, 1) - _log_beta(pseudo.answers, 1)
    return float(classes + subtypes.sum() + answers.sum() + entr(belief).sum())


def _log_beta(counts: Floats, axis: int) -> Floats:
    return gammaln(counts).sum(axis=axis) - gammaln(counts.sum(axis=axis))
