"""From votes to reports: label matrix, fitted model, posterior, decision, report."""

from dataclasses import dataclass, replace
from functools import partial

import numpy as np

from consensus.core.arrays import Codes, Floats, Names, counts
from consensus.core.decide.partitions import OnePartition, Partition, Partitions, Voters
from consensus.core.decide.policies import POLICIES, Evidence, decide_by_posterior
from consensus.core.decide.reports import report_of
from consensus.core.decide.thresholds import Thresholds
from consensus.core.model import given_label_voter, model_voter
from consensus.core.model.fit import fit
from consensus.core.model.model_voter import with_model_voter
from consensus.core.model.trust import FittedModel, trust_by_precision
from consensus.core.model.warm_start import WarmStart
from consensus.core.votes.classifications import Classifications, Gold, Listed, Suggestions, Tally, tally
from consensus.core.votes.label_matrix import LabelMatrix, asks_each, class_names
from consensus.core.votes.votes import Votes, submission_keys
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
    confidence, upper, posterior : (n,) float64
        In [0, 1]: lower and upper bound, and the probability itself.
    report : (n,) object
        Name of a report or "".
    trust, trust_low, trust_high : (n_annotators,) float64
        Learned, with the bounds of a 95 % interval, or as set by hand.
    votes_by_annotator : (n_annotators,) int32
        Tasks (or, for choice "each", classifications) that an annotator said something of.
    model_share : (n,) float64
        Share of a model's suggestions in what weighs for and against the classification, in [0, 1].
    start : WarmStart
        The fitted model, to start the next run from.
    alike : tuple of tuple of str
        Annotators who answer alike beyond what the others explain, group by group: their votes count as one.
    """

    classifications: Classifications
    counts: Tally
    confidence: Floats
    upper: Floats
    posterior: Floats
    report: Names
    trust: Floats
    trust_low: Floats
    trust_high: Floats
    votes_by_annotator: Codes
    model_share: Floats
    start: WarmStart
    alike: tuple[tuple[str, ...], ...] = ()


def score(
    votes: Votes,
    listed: Listed,
    gold: Gold,
    fixed_trust: Floats,
    policy: str = "default",
    thresholds: Thresholds | None = None,
    start: WarmStart | None = None,
    suggestions: Suggestions | None = None,
    *,
    threads: int = 1,
    all_labels: bool | None = None,
) -> Scored:
    """Score every classification of one control: the partitioned engine with one partition.

    Parameters
    ----------
    votes : Votes
        One vote per annotator and classification (see `consensus.core.votes.votes.latest`).
    listed : Listed
        Given labels and candidates; they are in the result with or without a vote.
    gold : Gold
        Known truth. It teaches trust; it is no vote and decides nothing by itself.
    fixed_trust, policy, thresholds, start
        As for `fit_partitions`.
    suggestions : Suggestions, optional
        A model's, as one more voter.
    threads : int
        How many to fit the model with.
    all_labels : bool, optional
        Whether the labels of a task that nobody chose are in the result of a single choice; see `classify`.

    Raises
    ------
    VotesError
        Where the policy is unknown, a trust set by hand is out of its range, or something listed or gold is not
        among the names of the votes.
    """
    partition = Partition(votes, listed, gold, all_labels)
    if suggestions is not None:
        _check_codes(votes, listed, gold)
        partition = replace(partition, voting=with_model_voter(votes, partition.classifications, suggestions))
    scorer = fit_partitions(
        OnePartition(partition, threads),
        fixed_trust,
        policy,
        thresholds,
        start,
        partition.voting.annotator_names if partition.voting else None,
    )
    return scorer.score(partition, threads)


def fit_partitions(
    partitions: Partitions,
    fixed_trust: Floats,
    policy: str = "default",
    thresholds: Thresholds | None = None,
    start: WarmStart | None = None,
    voter_names: Names | None = None,
) -> "Scorer":
    """Fit a model to all partitions.

    Parameters
    ----------
    partitions : Partitions
    fixed_trust : (n_annotators,) float64
        Trust set by hand, NaN where it is to be learned.
    policy : str
        A key of `consensus.core.decide.policies.POLICIES`.
    thresholds : Thresholds, optional
        The policy's own by default.
    start : WarmStart, optional
        `Scored.start` of an earlier run: a run after a few new votes needs fewer rounds from there. It is left
        alone where more than the votes has changed: see `WarmStart.basis`.
    voter_names : (n_voters,) object, optional
        The annotators and, after them, who else has votes in the partitions; the annotators by default.

    Returns
    -------
    Scorer
        Of each partition.

    Raises
    ------
    VotesError
        As `score`.
    """
    empty = partitions.empty
    _check_trust(fixed_trust, empty, policy)
    model = POLICIES[policy].model
    passes = np.array(list(partitions.map(_given_label_votes)), dtype=np.int64).reshape(-1, 3)
    n_votes, n_given, n_gold = passes.sum(axis=0).tolist()
    given_labels = given_label_voter.can_vote(empty.choice, n_votes, n_given)
    names = empty.annotator_names if voter_names is None else voter_names
    everybody = replace(empty, annotator_names=np.append(names, [given_label_voter.NAME] if given_labels else []))
    names, classes = everybody.annotator_names, class_names(everybody)

    beside = given_labels and model == "default"
    basis = _basis(f"{model}, given labels beside" if beside else model, names, fixed_trust, gold=n_gold > 0)
    usable = start.for_now(names, classes, partitions.n_votes) if start and start.basis == basis else None
    map_matrices, size = partitions.label_matrices(partial(_label_matrix, given_labels))
    fitted = fit(
        model, map_matrices, size, np.minimum(fixed_trust, 1.0), len(names), usable, given_labels=given_labels
    )

    since = usable.votes if usable else partitions.n_votes
    learned = fitted.confusion, fitted.correlation, fitted.fixed
    next_start = WarmStart(*learned, names, classes, since, basis, fitted.sharpness)
    return Scorer(fitted, given_labels, fixed_trust, policy, thresholds, next_start)


@dataclass(frozen=True, eq=False)
class Scorer:
    """A fitted model, and all else that it takes to score a partition.

    Attributes
    ----------
    fitted : FittedModel
    given_labels : bool
        Whether the given labels vote.
    fixed_trust : (n_annotators,) float64
    policy : str
    thresholds : Thresholds or None
    start : WarmStart
        For the next run.
    """

    fitted: FittedModel
    given_labels: bool
    fixed_trust: Floats
    policy: str
    thresholds: Thresholds | None
    start: WarmStart

    def score(self, partition: Partition, threads: int = 1) -> Scored:
        """Score a partition; its `votes_by_annotator` are those of the partition."""
        policy, votes, classifications = POLICIES[self.policy], partition.votes, partition.classifications
        voters = partition.voters(given_labels=self.given_labels)
        posterior = voters.posterior(policy.model, self.fitted, threads)
        trust, low, high = self._trust(voters.votes, votes.n_annotators)
        votes_added = tally(votes, classifications)
        evidence = Evidence(
            given=classifications.given,
            counts=votes_added,
            weigh=lambda weight: tally(votes, classifications, weight),
            trust=trust,
            posterior=posterior.probability,
            variance=posterior.variance,
        )
        decision = policy.decide(evidence, self.thresholds or policy.thresholds)
        del posterior, evidence  # with very many votes there is better use for the room
        return Scored(
            classifications=classifications,
            counts=votes_added,
            confidence=decision.confidence,
            upper=decision.upper,
            posterior=decision.posterior,
            report=report_of(decision, classifications),
            trust=trust,
            trust_low=low,
            trust_high=high,
            votes_by_annotator=_votes_by_annotator(votes),
            model_share=_model_share(voters, self.fitted, decides=policy.decide is decide_by_posterior),
            start=self.start,
            alike=alike_annotators(self.fitted, votes.annotator_names),
        )

    def _trust(self, votes: Votes, n_annotators: int) -> tuple[Floats, Floats, Floats]:
        """Trust of the annotators and the bounds of its interval, or as set by hand."""
        columns = self.fitted.trust, self.fitted.trust_low, self.fitted.trust_high
        if asks_each(votes):
            columns = trust_by_precision(self.fitted, votes.n_labels)
        by_hand = ~np.isnan(self.fixed_trust)
        trust, low, high = (np.where(by_hand, self.fixed_trust, column[:n_annotators]) for column in columns)
        return trust, low, high


def _given_label_votes(partition: Partition) -> tuple[int, int, int]:
    """On how many classifications the given labels vote, how many of these are given; and how much is gold."""
    _check_codes(partition.votes, partition.listed, partition.gold)
    n_gold = len(partition.gold.task)
    if not len(partition.listed.task):
        return 0, 0, n_gold
    voted = partition.given_label_votes
    return int(voted.sum()), int(partition.classifications.given[voted].sum()), n_gold


def _label_matrix(given_labels: bool, partition: Partition) -> LabelMatrix:  # noqa: FBT001  # first for `partial`
    return partition.voters(given_labels=given_labels).label_matrix[0]


def _basis(model: str, names: Names, fixed_trust: Floats, *, gold: bool) -> str:
    """Name what is fitted with beside the annotators' votes."""
    by_hand = np.flatnonzero(~np.isnan(fixed_trust)).tolist()
    trust = sorted(f"{names[number]}={fixed_trust[number]}" for number in by_hand)
    return "; ".join([model, *(["gold"] if gold else []), *names[len(fixed_trust) :].tolist(), *trust])


def _model_share(voters: Voters, fitted: FittedModel, *, decides: bool) -> Floats:
    """Share that a model's suggestions have in the weight of the yes and no votes on each classification.

    None where the policy decides by the votes and not by the posterior.
    """
    names = voters.votes.annotator_names.tolist()
    is_model = np.array([str(name).startswith(model_voter.NAME) for name in names], dtype=bool)
    is_model[: voters.n_annotators] = False
    if not (decides and is_model.any()):
        return np.broadcast_to(0.0, len(voters.classifications))[voters.row]
    weights = fitted.weight, np.where(is_model, fitted.weight, 0.0)
    everybody, model = (tally(voters.votes, voters.classifications, weight) for weight in weights)
    total = everybody.yes + everybody.no
    return np.where(total > 0, (model.yes + model.no) / np.where(total > 0, total, 1.0), 0.0)[voters.row]


def alike_annotators(fitted: FittedModel, annotator_names: Names) -> tuple[tuple[str, ...], ...]:
    """Name the annotators who answer alike beyond what the others explain, group by group."""
    voices = np.zeros(0, dtype=np.int32) if fitted.voices is None else fitted.voices[: len(annotator_names)]
    members = (np.flatnonzero(voices == first) for first in np.unique(voices))
    return tuple(tuple(map(str, annotator_names[group])) for group in members if len(group) > 1)


def _check_trust(fixed_trust: Floats, votes: Votes, policy: str) -> None:
    """Refuse a policy that there is not, and trust set by hand that is out of its range.

    Raises
    ------
    VotesError
        Naming the policies, or the annotator.
    """
    if policy not in POLICIES:
        raise VotesError(f"policy {policy!r} is unknown; use one of {', '.join(POLICIES)}")
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


def _check_codes(votes: Votes, listed: Listed, gold: Gold) -> None:
    """Refuse what is listed or gold, and not among the names of the votes.

    Raises
    ------
    VotesError
        Naming the column.
    """
    for kind, rows in ("listed", listed), ("gold", gold):
        for codes, column, size in (rows.task, "task", votes.n_tasks), (rows.label, "label", votes.n_labels):
            if codes.size and (codes.min() < 0 or codes.max() >= size):
                raise VotesError(
                    f"a {kind} classification has a {column} outside the {size} {column} names of the votes"
                )


def _votes_by_annotator(votes: Votes) -> Codes:
    annotator = votes.annotator
    if votes.choice == "multiple":
        annotator = (np.unique(submission_keys(votes)) % max(votes.n_annotators, 1)).astype(np.int32)
    return counts(annotator, votes.n_annotators).astype(np.int32)
