"""From votes to reports: the whole engine on one screen."""

from dataclasses import dataclass, replace

import numpy as np

from consensus.core.arrays import Codes, Floats, Names
from consensus.core.belief import Belief
from consensus.core.classifications import Classifications, Gold, Listed, Tally, classify, tally
from consensus.core.learned import Learned
from consensus.core.models import ModelName, class_names, fit
from consensus.core.policies import POLICIES, Evidence
from consensus.core.rates import Rates
from consensus.core.reports import report_of
from consensus.core.thresholds import Thresholds
from consensus.core.votes import Votes
from consensus.core.warm import first_rows, one_more
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
    trust, trust_low, trust_high : (n_annotators,) float64
        Learned, with the bounds of a 95 % interval, or as set by hand.
    votes_by_annotator : (n_annotators,) int32
        Tasks (or, for choice "each", classifications) that an annotator said something of.
    learned : Learned
        What the model learned of the annotators; a row more, the last one, where the given labels were a witness.
    classes : (n_classes,) object
        Names of the classes that the rates are about.
    """

    classifications: Classifications
    counts: Tally
    confidence: Floats
    posterior: Floats
    report: Names
    trust: Floats
    trust_low: Floats
    trust_high: Floats
    votes_by_annotator: Codes
    learned: Learned
    classes: Names

    @property
    def rates(self) -> Rates:
        """What was learned of the annotators, without the witness."""
        return first_rows(self.learned.rates, len(self.trust))


def score(
    votes: Votes,
    listed: Listed,
    gold: Gold,
    fixed_trust: Floats,
    policy: str = "default",
    thresholds: Thresholds | None = None,
    start: Rates | None = None,
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
    start : Rates, optional
        `Scored.rates` of an earlier run, arranged for these annotators and classes by
        `consensus.core.warm.for_now`: a run after a few new votes needs fewer rounds from there.

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
    belief = _believe(chosen.model, votes, classifications, listed, gold, np.minimum(fixed_trust, 1.0), start)
    learned, known = belief.learned, slice(votes.n_annotators)
    by_hand = ~np.isnan(fixed_trust)
    trust, low, high = (
        np.where(by_hand, fixed_trust, column[known])
        for column in (learned.trust, learned.trust_low, learned.trust_high)
    )
    counts = tally(votes, classifications)
    evidence = Evidence(
        given=classifications.given,
        counts=counts,
        weigh=lambda weight: tally(votes, classifications, weight),
        trust=trust,
        posterior=belief.posterior,
        variance=belief.variance,
    )
    decision = chosen.decide(evidence, thresholds or chosen.thresholds)
    return Scored(
        classifications=classifications,
        counts=counts,
        confidence=decision.confidence,
        posterior=decision.posterior,
        report=report_of(decision, classifications),
        trust=trust,
        trust_low=low,
        trust_high=high,
        votes_by_annotator=_votes_by_annotator(votes),
        learned=learned,
        classes=class_names(votes),
    )


def _believe(
    model: ModelName,
    votes: Votes,
    classifications: Classifications,
    listed: Listed,
    gold: Gold,
    fixed_trust: Floats,
    start: Rates | None,
) -> Belief:
    """Fit the model to the votes and, where there are any, to the given labels."""
    heard = with_witness(votes, classifications, listed)
    if heard is None:
        return fit(model, votes, classifications, gold, fixed_trust, start)
    # The witness speaks of every label of a task, also where nobody voted and the result has the listed ones only.
    spoken_of = classify(heard, listed)
    with_one_more = start and one_more(start)
    belief = fit(model, heard, spoken_of, gold, np.append(fixed_trust, np.nan), with_one_more)
    limit = _mean_trust(belief.learned)
    if belief.learned.trust[-1] > limit:
        belief = fit(model, heard, spoken_of, gold, np.append(fixed_trust, limit), belief.learned.rates)
    row = spoken_of.rows_of(classifications.task, classifications.label)
    return replace(belief, posterior=belief.posterior[row], variance=belief.variance[row])


def _mean_trust(learned: Learned) -> float:
    """Trust of the average annotator, the witness at the end left out; each counts as far as there is evidence."""
    evidence = np.maximum(learned.rates.evidence.sum(axis=1)[:-1], 1e-9)
    return float(np.average(learned.trust[:-1], weights=evidence)) if len(evidence) else 0.0


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
