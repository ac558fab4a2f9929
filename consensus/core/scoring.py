"""From votes to reports: the whole engine on one screen."""

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from consensus.core.arrays import Codes, Floats, Names
from consensus.core.belief import Belief
from consensus.core.classifications import Classifications, Gold, Listed, Tally, classify, tally
from consensus.core.learned import Learned
from consensus.core.models import ModelName, class_names, fit
from consensus.core.policies import POLICIES, Evidence
from consensus.core.rates import Rates
from consensus.core.reports import report_of
from consensus.core.suggested import NAME, Suggested, with_suggested
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
        Of the annotators, then of the groups of suggestions, then of the given labels, where they have a voice.
    model_share : (n,) float64
        Share of a model's suggestions in what weighs for and against the classification, in [0, 1].
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
    model_share: Floats
    classes: Names

    @property
    def rates(self) -> Rates:
        """What was learned of the annotators alone."""
        return first_rows(self.learned.rates, len(self.trust))


def score(
    votes: Votes,
    listed: Listed,
    gold: Gold,
    fixed_trust: Floats,
    policy: str = "default",
    thresholds: Thresholds | None = None,
    start: Rates | None = None,
    suggested: Suggested | None = None,
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
    heard = _heard(votes, classifications, listed, suggested)
    belief, model_share = _believe(
        chosen.model, votes, heard, classifications, listed, gold, np.minimum(fixed_trust, 1.0), start
    )
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
        model_share=model_share,
    )


def _heard(votes: Votes, classifications: Classifications, listed: Listed, suggested: Suggested | None) -> Votes:
    """Everything that is heard: the votes, a model's suggestions, the given labels."""
    heard = votes if suggested is None else with_suggested(votes, classifications, suggested)
    return with_witness(heard, classifications, listed) or heard


def _believe(
    model: ModelName,
    votes: Votes,
    heard: Votes,
    classifications: Classifications,
    listed: Listed,
    gold: Gold,
    fixed_trust: Floats,
    start: Rates | None,
) -> tuple[Belief, Floats]:
    """Fit the model to the votes and to what else is heard, that at most as loud as the average annotator.

    The second of what is returned is the share of a model's suggestions, by classification.
    """
    n_more = heard.n_annotators - votes.n_annotators
    if n_more == 0:
        return fit(model, votes, classifications, gold, fixed_trust, start), np.zeros(len(classifications))
    # Others than annotators speak of labels that the result has not: of every label of a task, voted on or not.
    spoken_of = classify(heard, listed)
    for _ in range(n_more):
        start = start and one_more(start)
    more = np.full(n_more, np.nan)
    belief = fit(model, heard, spoken_of, gold, np.append(fixed_trust, more), start)
    limit = _mean_trust(belief.learned, votes.n_annotators)
    loud = belief.learned.trust[votes.n_annotators :] > limit
    if loud.any():
        more[loud] = limit
        belief = fit(model, heard, spoken_of, gold, np.append(fixed_trust, more), belief.learned.rates)
    row = spoken_of.rows_of(classifications.task, classifications.label)
    models = np.array([str(name).startswith(NAME) for name in heard.annotator_names[votes.n_annotators :]])
    share = _share_of(heard, spoken_of, belief.learned.weight, votes.n_annotators + np.flatnonzero(models))
    return replace(belief, posterior=belief.posterior[row], variance=belief.variance[row]), share[row]


def _mean_trust(learned: Learned, n_annotators: int) -> float:
    """Trust of the average annotator; each counts as far as there is evidence."""
    evidence = np.maximum(learned.rates.evidence.sum(axis=1)[:n_annotators], 1e-9)
    return float(np.average(learned.trust[:n_annotators], weights=evidence)) if n_annotators else 0.0


def _share_of(heard: Votes, classifications: Classifications, weight: Floats, those: NDArray[np.intp]) -> Floats:
    """Share that some of those heard have in the weight of the yes and no votes on each classification."""
    if not len(those):
        return np.zeros(len(classifications))
    only = np.zeros_like(weight)
    only[those] = weight[those]
    everybody, part = (tally(heard, classifications, one) for one in (weight, only))
    total = everybody.yes + everybody.no
    return np.where(total > 0, (part.yes + part.no) / np.where(total > 0, total, 1.0), 0.0)


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
