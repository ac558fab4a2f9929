"""Single-choice controls: each annotator is right with one probability and wrong evenly.

The accuracy p of an annotator is learned from agreement with the *others*: on a task where the others,
without this annotator's own vote, believe q(l) of each label l, a vote for label c agrees by q(c). Somebody
who is right with probability p is expected to agree by p * A + (1 - p) * B, where A = sum of q(l)^2 is how sure
the others are and B = (1 - A) / (k - 1); hence p = sum(q(c) - B) / sum(A - B) over the annotator's votes,
shrunk towards the population. On gold tasks the truth takes the place of the others.

The log-odds of a label add up log(p (k - 1) / (1 - p)) of everybody who chose it to the log of its prevalence
(A. P. Dawid, A. M. Skene, Applied Statistics 28 (1979), 20-28, doi:10.2307/2346806, with one parameter each).
"""

from dataclasses import dataclass

import numpy as np

from consensus.core.arrays import Codes, Flags, Floats, sums
from consensus.core.belief import CERTAIN, DIGITS, STEP, Belief, Gold, log_odds, sigmoid
from consensus.core.classifications import Classifications, pack, unpack
from consensus.core.population import Population, population_of
from consensus.core.votes import NO_LABEL, Votes

ROUNDS, TOLERANCE = 100, 1e-6
EXPECTED_ACCURACY = 0.75
HIGHEST = 0.995


@dataclass(frozen=True, eq=False)
class _Chosen:
    """The chosen labels as rows, and the distinct (task, label) pairs among them."""

    task: Codes
    annotator: Codes
    pair: Codes
    pair_task: Codes
    pair_label: Codes
    n_tasks: int
    n_annotators: int
    n_labels: int

    @property
    def wrong_labels(self) -> int:
        """How many labels are wrong for a task; at least one, so that nothing is divided by zero."""
        return max(self.n_labels - 1, 1)


def fit_one_coin(votes: Votes, classifications: Classifications, gold: Gold, fixed_trust: Floats) -> Belief:
    """Learn the annotators' accuracies and the labels' posterior together.

    Parameters
    ----------
    votes : Votes
        Of choice "single".
    classifications : Classifications
    gold : Gold
    fixed_trust : (n_annotators,) float64
        Trust set by hand, in [0, 1]; NaN where it is to be learned.

    Returns
    -------
    Belief
        The posterior sums to 1 over the labels of a task that has votes.
    """
    chosen = _chosen(votes)
    prevalence: Floats = np.full(votes.n_labels, 1 / max(votes.n_labels, 1))
    fixed = _accuracy_of(fixed_trust, chosen.wrong_labels)
    accuracy: Floats = np.where(np.isnan(fixed), EXPECTED_ACCURACY, fixed)
    known = _gold_rows(chosen, gold, votes.n_labels)
    evidence: Floats = np.zeros(votes.n_annotators)
    population = Population(EXPECTED_ACCURACY, 2.0)
    for _ in range(ROUNDS):
        odds, weight = _log_odds(chosen, accuracy, prevalence)
        hits, evidence = _agreement(chosen, odds, weight, prevalence, known)
        population = population_of(hits, evidence, expected=EXPECTED_ACCURACY)
        learned = np.clip(population.shrink(hits, evidence), 1 / (chosen.wrong_labels + 1), HIGHEST)
        updated: Floats = np.where(np.isnan(fixed), accuracy + STEP * (learned - accuracy), fixed)
        prevalence = _prevalence(chosen, odds, prevalence)
        moved = float(np.abs(updated - accuracy).max(initial=0.0))
        accuracy = updated
        if moved < TOLERANCE:
            break
    odds, _ = _log_odds(chosen, accuracy, prevalence)
    posterior = _posterior(chosen, classifications, odds, prevalence)
    doubt = 1 / ((evidence + population.strength) * accuracy * (1 - accuracy))
    variance = sums(chosen.task, doubt[chosen.annotator], chosen.n_tasks)
    chance = 1 / (chosen.wrong_labels + 1)
    trust = np.where(np.isnan(fixed_trust), np.clip((accuracy - chance) / (1 - chance), 0, 1), fixed_trust)
    return Belief(posterior, variance[classifications.task], trust, evidence)


def _chosen(votes: Votes) -> _Chosen:
    rows = votes.label != NO_LABEL
    keys, pair = np.unique(pack(votes.task[rows], votes.label[rows], votes.n_labels), return_inverse=True)
    pair_task, pair_label = unpack(keys, votes.n_labels)
    return _Chosen(
        task=votes.task[rows],
        annotator=votes.annotator[rows],
        pair=pair.astype(np.int32),
        pair_task=pair_task,
        pair_label=pair_label,
        n_tasks=votes.n_tasks,
        n_annotators=votes.n_annotators,
        n_labels=votes.n_labels,
    )


def _accuracy_of(trust: Floats, wrong_labels: int) -> Floats:
    chance = 1 / (wrong_labels + 1)
    return np.minimum(chance + trust * (1 - chance), HIGHEST)


def _gold_rows(chosen: _Chosen, gold: Gold, n_labels: int) -> tuple[Flags, Flags]:
    """Which rows lie on a gold task, and which of them chose its right label."""
    right = gold.right
    on_gold = np.isin(chosen.task, gold.task[right])
    keys = pack(chosen.pair_task, chosen.pair_label, n_labels)[chosen.pair]
    return on_gold, np.isin(keys, pack(gold.task[right], gold.label[right], n_labels))


def _log_odds(chosen: _Chosen, accuracy: Floats, prevalence: Floats) -> tuple[Floats, Floats]:
    """Log-odds of each pair against all other labels of its task, and the weight of each row's vote."""
    weight = np.log(accuracy / (1 - accuracy) * chosen.wrong_labels)[chosen.annotator]
    score = sums(chosen.pair, weight, len(chosen.pair_task))
    prior = prevalence[chosen.pair_label]
    top = np.zeros(chosen.n_tasks)
    np.maximum.at(top, chosen.pair_task, score)
    mass = prior * np.exp(score - top[chosen.pair_task])
    voted = sums(chosen.pair_task, mass, len(top))
    unvoted = np.clip(1 - sums(chosen.pair_task, prior, len(top)), 0.0, 1.0) * np.exp(-top)
    share = mass / (voted + unvoted)[chosen.pair_task]
    return np.round(log_odds(share, 1 - share), DIGITS), weight


def _per_prior(chosen: _Chosen, probability: Floats, prevalence: Floats) -> Floats:
    """Per task, what the posterior of a label that nobody chose is to its prevalence."""
    voted = sums(chosen.pair_task, probability, chosen.n_tasks)
    prior = sums(chosen.pair_task, prevalence[chosen.pair_label], chosen.n_tasks)
    return np.asarray(np.clip(1 - voted, 0.0, 1.0) / np.maximum(1 - prior, np.exp(-CERTAIN)))


def _agreement(
    chosen: _Chosen, odds: Floats, weight: Floats, prevalence: Floats, known: tuple[Flags, Flags]
) -> tuple[Floats, Floats]:
    """Effective hits and effective votes of each annotator, judged by the others or by gold."""
    probability = sigmoid(odds)
    voted_prior = sums(chosen.pair_task, prevalence[chosen.pair_label] ** 2, chosen.n_tasks)
    unvoted_prior = np.maximum((prevalence**2).sum() - voted_prior, 0.0)
    squares = sums(chosen.pair_task, probability**2, chosen.n_tasks)
    squares += _per_prior(chosen, probability, prevalence) ** 2 * unvoted_prior
    own, agrees = probability[chosen.pair], sigmoid(odds[chosen.pair] - weight)
    rest = np.where(own < 1 - 1e-12, (1 - agrees) / np.maximum(1 - own, 1e-300), 0.0)
    # Squares add up to no more than the square of the sum, whatever rounding left of own votes near 1.
    others_squares = np.minimum(np.maximum(squares[chosen.task] - own**2, 0.0) * rest**2, (1 - agrees) ** 2)
    sure = agrees**2 + others_squares
    by_luck = (1 - sure) / chosen.wrong_labels
    on_gold, hit_gold = known
    # Where nobody else voted there is nobody to agree with: the prevalence is no judge of an annotator.
    judged = np.bincount(chosen.task, minlength=1)[chosen.task] > 1
    hits = np.where(on_gold, hit_gold, judged * (agrees - by_luck))
    worth = np.where(on_gold, 1.0, judged * np.maximum(sure - by_luck, 0.0))
    return (
        sums(chosen.annotator, hits, chosen.n_annotators),
        sums(chosen.annotator, worth, chosen.n_annotators),
    )


def _prevalence(chosen: _Chosen, odds: Floats, prevalence: Floats) -> Floats:
    """Share of each label among the tasks that have votes, one extra task spread evenly."""
    probability = sigmoid(odds)
    counted = sums(chosen.pair_label, probability, chosen.n_labels)
    per_prior = np.where(
        np.bincount(chosen.task, minlength=chosen.n_tasks) > 0, _per_prior(chosen, probability, prevalence), 0.0
    )
    unvoted = per_prior.sum() - sums(chosen.pair_label, per_prior[chosen.pair_task], chosen.n_labels)
    share = counted + np.maximum(unvoted, 0.0) * prevalence + 1 / max(chosen.n_labels, 1)
    return np.asarray(share / share.sum())


def _posterior(chosen: _Chosen, classifications: Classifications, odds: Floats, prevalence: Floats) -> Floats:
    probability = sigmoid(odds)
    size = chosen.n_tasks
    left = _per_prior(chosen, probability, prevalence)
    posterior = prevalence[classifications.label] * left[classifications.task]
    posterior[classifications.rows_of(chosen.pair_task, chosen.pair_label)] = probability
    total = sums(classifications.task, posterior, size)
    voted = np.bincount(chosen.task, minlength=size) > 0
    scale = np.where(voted, np.maximum(total, np.exp(-CERTAIN)), 1.0)
    return np.asarray(np.clip(posterior / scale[classifications.task], 0.0, 1.0))
