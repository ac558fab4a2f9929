"""From votes to reports: the whole engine on one screen."""

from dataclasses import dataclass, replace

import numpy as np

from consensus.core.arrays import Codes, Floats, Names
from consensus.core.belief import Belief, Gold
from consensus.core.classifications import Classifications, Listed, Tally, classify, tally
from consensus.core.one_coin import fit_one_coin
from consensus.core.policies import POLICIES, Evidence
from consensus.core.reports import report_of
from consensus.core.thresholds import Thresholds
from consensus.core.two_coin import fit_two_coin
from consensus.core.votes import NO, NO_LABEL, YES, Votes, spelled_out
from consensus.core.witness import with_witness
from consensus.errors import VotesError


@dataclass(frozen=True, eq=False)
class Scored:
    """The result, in columns.

    Attributes
    ----------
    classifications : Classifications
        n rows.
    counts : Tally
        Votes of yes, no and unsure, (n,) each.
    confidence, posterior : (n,) float64
        In [0, 1].
    report : (n,) object
        Name of a report or "".
    trust : (n_annotators,) float64
        Learned, or as set by hand.
    votes_by_annotator : (n_annotators,) int32
        Tasks (or, for choice "each", classifications) that an annotator said something of.
    """

    classifications: Classifications
    counts: Tally
    confidence: Floats
    posterior: Floats
    report: Names
    trust: Floats
    votes_by_annotator: Codes


def score(
    votes: Votes,
    listed: Listed,
    gold: Gold,
    fixed_trust: Floats,
    policy: str = "default",
    thresholds: Thresholds | None = None,
) -> Scored:
    """Score every classification of one control.

    Parameters
    ----------
    votes : Votes
        One vote per annotator and classification (see `consensus.core.votes.latest`).
    listed : Listed
        Given labels and candidates; they are in the result with or without a vote.
    gold : Gold
        Known truth. It teaches trust; it is no vote and decides nothing by itself.
    fixed_trust : (n_annotators,) float64
        Trust set by hand, NaN where it is to be learned.
    policy : str
        A key of `consensus.core.policies.POLICIES`.
    thresholds : Thresholds, optional
        The policy's own by default.

    Returns
    -------
    Scored

    Raises
    ------
    VotesError
        Where the policy is unknown, a trust set by hand is out of its range, or something listed or gold is not
        among the names of the votes.
    """
    if policy not in POLICIES:
        raise VotesError(f"policy {policy!r} is unknown; use one of {', '.join(POLICIES)}")
    chosen = POLICIES[policy]
    _check_trust(fixed_trust, votes, policy)
    _check_codes("listed classification", listed, votes)
    _check_codes("gold classification", gold, votes)
    classifications = classify(votes, listed)
    belief = _believe_with_witness(votes, classifications, listed, gold, np.minimum(fixed_trust, 1.0))
    trust = np.where(np.isnan(fixed_trust), belief.trust, fixed_trust)
    counts = tally(votes, classifications)
    evidence = Evidence(classifications.given, counts, tally(votes, classifications, trust), belief)
    decision = chosen.decide(evidence, thresholds or chosen.thresholds)
    return Scored(
        classifications=classifications,
        counts=counts,
        confidence=decision.confidence,
        posterior=belief.posterior,
        report=report_of(decision, classifications),
        trust=trust,
        votes_by_annotator=_votes_by_annotator(votes),
    )


def _believe_with_witness(
    votes: Votes, classifications: Classifications, listed: Listed, gold: Gold, fixed_trust: Floats
) -> Belief:
    """Fit the model to the votes and, where there are any, to the given labels; report on the annotators."""
    heard = with_witness(votes, classifications, listed)
    if heard is None:
        return believe(votes, classifications, gold, fixed_trust)
    # The witness speaks of every label of a task, also where nobody voted and the result has the listed ones only.
    spoken_of = classify(heard, listed)
    belief = believe(heard, spoken_of, gold, np.append(fixed_trust, np.nan))
    limit = _mean_trust(belief)
    if belief.trust[-1] > limit:
        belief = believe(heard, spoken_of, gold, np.append(fixed_trust, limit))
    row = spoken_of.rows_of(classifications.task, classifications.label)
    return Belief(belief.posterior[row], belief.variance[row], belief.trust[:-1], belief.evidence[:-1])


def _mean_trust(belief: Belief) -> float:
    """Trust of the average annotator, the witness at the end left out; each counts as far as there is evidence."""
    evidence = np.maximum(belief.evidence[:-1], 1e-9)
    return float(np.average(belief.trust[:-1], weights=evidence)) if len(evidence) else 0.0


def believe(votes: Votes, classifications: Classifications, gold: Gold, fixed_trust: Floats) -> Belief:
    """Fit the model that suits the kind of choice: one coin for many labels, two coins for yes and no.

    A single choice between two labels is a yes or no to the first of them.
    """
    if votes.choice == "multiple":
        return fit_two_coin(spelled_out(votes), classifications, gold, fixed_trust)
    if votes.choice == "each":
        return fit_two_coin(votes, classifications, gold, fixed_trust)
    if votes.n_labels == 2:  # noqa: PLR2004  # two labels are one question
        return _believe_pair(votes, classifications, gold, fixed_trust)
    return fit_one_coin(votes, classifications, gold, fixed_trust)


def _believe_pair(votes: Votes, classifications: Classifications, gold: Gold, fixed_trust: Floats) -> Belief:
    answered = votes.rows(votes.label != NO_LABEL)
    first = replace(
        answered,
        choice="each",
        label=np.zeros_like(answered.label),
        vote=np.where(answered.label == 0, YES, NO).astype(np.int8),
    )
    right = gold.right
    question = Gold(gold.task[right], np.zeros_like(gold.label[right]), gold.label[right] == 0)
    tasks = np.unique(classifications.task)
    none = np.zeros_like(tasks)
    asked = classify(first, Listed(tasks, none, np.zeros(len(tasks), dtype=bool)))
    belief = fit_two_coin(first, asked, question, fixed_trust)
    row = asked.rows_of(classifications.task, np.zeros_like(classifications.label))
    of_first, is_first = belief.posterior[row], classifications.label == 0
    return replace(belief, posterior=np.where(is_first, of_first, 1 - of_first), variance=belief.variance[row])


def _check_trust(fixed_trust: Floats, votes: Votes, policy: str) -> None:
    largest = POLICIES[policy].largest_trust
    if fixed_trust.shape != (votes.n_annotators,):
        raise VotesError(
            f"trust of shape {fixed_trust.shape} is set for {votes.n_annotators} annotators; give one each"
        )
    wrong = ~np.isnan(fixed_trust) & ~((fixed_trust >= 0) & (fixed_trust <= largest))
    if wrong.any():
        position = int(np.flatnonzero(wrong)[0])
        raise VotesError(
            f"trust of annotator {votes.annotator_names[position]!r} is {fixed_trust[position]:g}; "
            f"for policy {policy} it must be between 0 and {largest:g}"
        )


def _check_codes(what: str, rows: Listed | Gold, votes: Votes) -> None:
    for codes, column, size in (rows.task, "task", votes.n_tasks), (rows.label, "label", votes.n_labels):
        if codes.size and (codes.min() < 0 or codes.max() >= size):
            raise VotesError(f"a {what} has a {column} outside the {size} {column} names of the votes")


def _votes_by_annotator(votes: Votes) -> Codes:
    size = max(votes.n_annotators, 1)
    key = votes.task.astype(np.int64) * size + votes.annotator
    submissions = votes.annotator if votes.choice == "each" else (np.unique(key) % size).astype(np.int32)
    return np.bincount(submissions, minlength=votes.n_annotators).astype(np.int32)
