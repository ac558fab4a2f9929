"""From votes to reports: the whole engine on one screen."""

from dataclasses import dataclass, replace

import numpy as np

from consensus.core.arrays import Codes, Floats, Names, counts
from consensus.core.decide.policies import POLICIES, Evidence, decide_by_posterior
from consensus.core.decide.reports import report_of
from consensus.core.decide.thresholds import Thresholds
from consensus.core.model.belief import Belief
from consensus.core.model.given_label_voter import with_witness
from consensus.core.model.model_voter import NAME, Suggested, with_suggested
from consensus.core.model.models import ModelName, asks_each, class_names, lay_out, processors, size_of
from consensus.core.model.trust import Learned, trust_by_precision
from consensus.core.model.voters import Heard, hear, learn_heard, look_up_heard
from consensus.core.model.warm_start import Known, Start
from consensus.core.votes.classifications import Classifications, Gold, Listed, Tally, classify, tally
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
    learned : Learned
        Of the annotators, then of the groups of suggestions, then of the given labels, where they have a voice.
    model_share : (n,) float64
        Share of a model's suggestions in what weighs for and against the classification, in [0, 1].
    start : Start
        The same, to start the next run from.
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
    learned: Learned
    model_share: Floats
    start: Start


def score(
    votes: Votes,
    listed: Listed,
    gold: Gold,
    fixed_trust: Floats,
    policy: str = "default",
    thresholds: Thresholds | None = None,
    start: Start | None = None,
    suggested: Suggested | None = None,
) -> Scored:
    """Score every classification of one control.

    Parameters
    ----------
    votes : Votes
        One vote per annotator and classification (see `consensus.core.votes.votes.latest`).
    listed : Listed
        Given labels and candidates; they are in the result with or without a vote.
    gold : Gold
        Known truth. It teaches trust; it is no vote and decides nothing by itself.
    fixed_trust : (n_annotators,) float64
        Trust set by hand, NaN where it is to be learned.
    policy : str
        A key of `consensus.core.decide.policies.POLICIES`.
    thresholds : Thresholds, optional
        The policy's own by default.
    start : Start, optional
        `Scored.start` of an earlier run: a run after a few new votes needs fewer rounds from there. It is left
        alone where more than the votes has changed: see `Start.basis`.
    suggested : Suggested, optional
        A model's suggestions, to be heard as one more voter.

    Returns
    -------
    Scored

    Raises
    ------
    VotesError
        Where the policy is unknown, a trust set by hand is out of its range, or something listed or gold is not
        among the names of the votes.
    """
    check_trust(fixed_trust, votes, policy)
    check_codes(votes, listed, gold)
    classifications = classify(votes, listed)
    heard = hear(votes, _heard(votes, classifications, listed, suggested), classifications)
    basis = _basis(POLICIES[policy].model, heard, gold, fixed_trust)
    usable = start if start is not None and start.basis == basis else None
    known = usable.for_now(heard.votes.annotator_names, class_names(heard.votes), len(votes)) if usable else None
    scored = decide(
        votes,
        classifications,
        heard,
        _believe(POLICIES[policy].model, heard, gold, np.minimum(fixed_trust, 1.0), known),
        fixed_trust,
        policy,
        thresholds,
    )
    since = usable.votes if usable and known else len(votes)
    return replace(scored, start=replace(scored.start, votes=since, basis=basis))


def _basis(model: ModelName, heard: Heard, gold: Gold, fixed_trust: Floats) -> str:
    """Name what is learned with beside the annotators' votes."""
    names = heard.votes.annotator_names.tolist()
    taught = ["gold"] if len(gold.task) else []
    by_hand = sorted(f"{names[at]}={fixed_trust[at]}" for at in np.flatnonzero(~np.isnan(fixed_trust)).tolist())
    return "; ".join([model, *taught, *names[len(fixed_trust) :], *by_hand])


def _believe(model: ModelName, heard: Heard, gold: Gold, fixed_trust: Floats, known: Known | None) -> Belief:
    laid = lay_out(heard.votes, heard.classifications, gold)
    with processors(laid.items) as over:
        learned = learn_heard(model, over, size_of(laid.items), fixed_trust, heard.n_more, known)
        return look_up_heard(model, over, laid, learned, heard)


def decide(
    votes: Votes,
    classifications: Classifications,
    heard: Heard,
    belief: Belief,
    fixed_trust: Floats,
    policy: str = "default",
    thresholds: Thresholds | None = None,
) -> Scored:
    """Decide on classifications of which a model believes something; see `score`."""
    chosen, learned, known = POLICIES[policy], belief.learned, slice(votes.n_annotators)
    by_hand = ~np.isnan(fixed_trust)
    columns = learned.trust, learned.trust_low, learned.trust_high
    if asks_each(heard.votes):
        columns = trust_by_precision(learned, votes.n_labels)
    trust, low, high = (np.where(by_hand, fixed_trust, column[known]) for column in columns)
    added = tally(votes, classifications)
    evidence = Evidence(
        given=classifications.given,
        counts=added,
        weigh=lambda weight: tally(votes, classifications, weight),
        trust=trust,
        posterior=belief.posterior,
        variance=belief.variance,
    )
    decision = chosen.decide(evidence, thresholds or chosen.thresholds)
    del belief, evidence  # with very many votes there is better use for the room
    return Scored(
        classifications=classifications,
        counts=added,
        confidence=decision.confidence,
        upper=decision.upper,
        posterior=decision.posterior,
        report=report_of(decision, classifications),
        trust=trust,
        trust_low=low,
        trust_high=high,
        votes_by_annotator=_votes_by_annotator(votes),
        learned=learned,
        start=Start(_known(learned), heard.votes.annotator_names, class_names(heard.votes), len(votes)),
        model_share=_share_of_model(heard, learned, decides=chosen.decide is decide_by_posterior),
    )


def _known(learned: Learned) -> Known:
    return Known(learned.rates, learned.correlation, learned.fixed)


def _heard(votes: Votes, classifications: Classifications, listed: Listed, suggested: Suggested | None) -> Votes:
    """Everything that is heard: the votes, a model's suggestions, the given labels."""
    heard = votes if suggested is None else with_suggested(votes, classifications, suggested)
    return with_witness(heard, classifications, listed) or heard


def _share_of_model(heard: Heard, learned: Learned, *, decides: bool) -> Floats:
    """Share that a model's suggestions have in the weight of the yes and no votes on each classification.

    None where the policy decides by the votes and not by what is believed.
    """
    n_annotators = heard.votes.n_annotators - heard.n_more
    models = [str(name).startswith(NAME) for name in heard.votes.annotator_names[n_annotators:]]
    if not (decides and any(models)):
        return np.broadcast_to(0.0, len(heard.classifications))[heard.row]
    those = n_annotators + np.flatnonzero(models)
    only = np.zeros_like(learned.weight)
    only[those] = learned.weight[those]
    everybody, part = (tally(heard.votes, heard.classifications, one) for one in (learned.weight, only))
    total = everybody.yes + everybody.no
    return np.where(total > 0, (part.yes + part.no) / np.where(total > 0, total, 1.0), 0.0)[heard.row]


def check_trust(fixed_trust: Floats, votes: Votes, policy: str) -> None:
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


def check_codes(votes: Votes, listed: Listed, gold: Gold) -> None:
    """Refuse what is listed or gold, and not among the names of the votes.

    Raises
    ------
    VotesError
        Naming the column.
    """
    for what, rows in ("listed", listed), ("gold", gold):
        for codes, column, size in (rows.task, "task", votes.n_tasks), (rows.label, "label", votes.n_labels):
            if codes.size and (codes.min() < 0 or codes.max() >= size):
                raise VotesError(
                    f"a {what} classification has a {column} outside the {size} {column} names of the votes"
                )


def _votes_by_annotator(votes: Votes) -> Codes:
    of = votes.annotator
    if votes.choice == "multiple":
        of = (np.unique(submission_keys(votes)) % max(votes.n_annotators, 1)).astype(np.int32)
    return counts(of, votes.n_annotators).astype(np.int32)
