"""The labels that an item is now believed to have: by a decision, by the votes, or as it came."""

from dataclasses import dataclass
from typing import Literal

from common.contract import MACHINE_ACCOUNT
from consensus.core.votes.votes import Choice

Basis = Literal["person", "machine", "votes", "given", "doubtful"]
"""A person's decision, a machine's, the votes, the label that the task came with, or none of them."""

CONFIRMED = ("AllConfirmed", "Discovered")
"""Reports of labels that hold."""
LABELLED = ("accepted", "confirmed", "corrected")
"""Verdicts after which an item has the labels that were decided."""


@dataclass(frozen=True, slots=True)
class Candidate:
    """A classification of the last run.

    Attributes
    ----------
    confidence, upper : float
        Bounds of the posterior's interval; `upper` is NaN where it is unknown.
    report : str
        "" where it is in none.
    """

    label: str
    given: bool = False
    yes: int = 0
    no: int = 0
    unsure: int = 0
    confidence: float = 0.0
    upper: float = float("nan")
    posterior: float = 0.0
    report: str = ""

    @property
    def settled(self) -> bool:
        """Whether a person's decision is in the report, and not the votes."""
        return self.confidence == self.upper == 1.0


@dataclass(frozen=True, slots=True)
class Decision:
    """A decision that stands, and the labels of one act.

    Attributes
    ----------
    at : str
        ISO 8601.
    batch, model_version : str
        "" where there is none.
    score : float or None
        Of the suggestion that was accepted.
    """

    labels: tuple[str, ...]
    verdict: str
    decided_by: str
    at: str = ""
    batch: str = ""
    model_version: str = ""
    score: float | None = None
    reason: str = ""

    @property
    def author(self) -> str:
        """The account, and of which model the label is."""
        return f"{self.decided_by} ({self.model_version})" if self.model_version else self.decided_by


@dataclass(frozen=True, slots=True)
class Item:
    """What is known of one task on one control.

    Attributes
    ----------
    voted_at : str
        When the latest vote was made; "" without votes.
    settled_by : tuple of str
        The account whose annotation settles the labels in Label Studio, and when it was last changed.
    """

    task: int
    candidates: tuple[Candidate, ...] = ()
    decision: Decision | None = None
    voted_at: str = ""
    settled_by: tuple[str, str] = ("", "")

    @property
    def given(self) -> tuple[str, ...]:
        """The labels that the task came with."""
        return tuple(candidate.label for candidate in self.candidates if candidate.given)

    @property
    def votes(self) -> int:
        """How many votes there are on any of its labels."""
        return sum(candidate.yes + candidate.no + candidate.unsure for candidate in self.candidates)


@dataclass(frozen=True, slots=True)
class BelievedLabel:
    """A label of an item, and why it is believed.

    Attributes
    ----------
    candidate : Candidate
        With a person's decision, 1 stands for its confidence and posterior.
    decided_by : str
        `votes`, an account, an account with a model version in brackets, `given` or `doubtful`.
    """

    task: int
    candidate: Candidate
    given: tuple[str, ...]
    basis: Basis
    decided_by: str
    at: str = ""
    batch: str = ""

    @property
    def label(self) -> str:
        """Its name."""
        return self.candidate.label

    @property
    def changed(self) -> bool:
        """Whether the task came with labels, and this is none of them."""
        return bool(self.given) and self.label not in self.given


@dataclass(frozen=True, slots=True)
class LeftOut:
    """An item, or a label of it, that the dataset does not hold, and why.

    Attributes
    ----------
    kind : str
        The reason in words that others share; `detail` says more.
    """

    task: int
    given: tuple[str, ...]
    kind: str
    detail: str = ""

    @property
    def reason(self) -> str:
        """All of it."""
        return f"{self.kind}: {self.detail}" if self.detail else self.kind


def believe(
    item: Item, choice: Choice, *, keep_doubtful: bool = False
) -> tuple[tuple[BelievedLabel, ...], LeftOut | None]:
    """Return the labels of an item, or why it has none.

    A decision that stands wins. Else confirmed labels hold, and a given label that the votes do not call wrong.

    Parameters
    ----------
    choice : {"single", "multiple", "each"}
        Of one label the strongest holds; of a multiple choice all do.
    keep_doubtful : bool
        Where no label holds, take the one that the evidence prefers.

    Examples
    --------
    >>> wrong = Candidate("cat", given=True, no=3, posterior=0.1, report="MisClassified")
    >>> right = Candidate("dog", yes=3, posterior=0.9, report="Discovered")
    >>> labels, _ = believe(Item(1, (wrong, right)), "single")
    >>> [(believed.label, believed.decided_by, believed.changed) for believed in labels]
    [('dog', 'votes', True)]
    >>> believe(Item(1, (wrong,)), "single")[1].reason
    'the votes call the given label wrong, and no other is confirmed'
    """
    if item.decision is not None:
        return _decided(item, item.decision)
    confirmed = [candidate for candidate in item.candidates if candidate.report in CONFIRMED]
    if choice == "single":
        confirmed = sorted(confirmed, key=_preference)[:1]
    unopposed = [] if confirmed and choice == "single" else _unopposed(item)
    labels = [*(_confirmed(item, candidate) for candidate in confirmed)]
    labels += [BelievedLabel(item.task, each, item.given, "given", "given") for each in unopposed]
    if labels:
        return tuple(sorted(labels, key=lambda believed: believed.label)), None
    preferred = [each for each in item.candidates if each.given or each.yes]
    if keep_doubtful and preferred:
        best = min(preferred, key=_preference)
        return (BelievedLabel(item.task, best, item.given, "doubtful", "doubtful", item.voted_at),), None
    return (), LeftOut(item.task, item.given, _why_none(item))


def _decided(item: Item, decision: Decision) -> tuple[tuple[BelievedLabel, ...], LeftOut | None]:
    labels = tuple(label for label in decision.labels if label)
    if decision.verdict not in LABELLED or not labels:
        kind = "decided to have none of the labels" if decision.verdict in LABELLED else decision.verdict
        detail = f"{decision.author}: {decision.reason}" if decision.reason else decision.author
        return (), LeftOut(item.task, item.given, kind, detail)
    by_machine = decision.decided_by == MACHINE_ACCOUNT
    by_label = {candidate.label: candidate for candidate in item.candidates}
    believed = []
    for label in sorted(labels):
        before = by_label.get(label, Candidate(label))
        now = _scored(before, decision.score) if by_machine else _certain(before)
        basis: Basis = "machine" if by_machine else "person"
        believed.append(
            BelievedLabel(item.task, now, item.given, basis, decision.author, decision.at, decision.batch)
        )
    return tuple(believed), None


def _certain(before: Candidate) -> Candidate:
    return Candidate(
        before.label, before.given, before.yes, before.no, before.unsure, 1.0, 1.0, 1.0, before.report
    )


def _scored(before: Candidate, score: float | None) -> Candidate:
    """Take the score of a suggestion for its probability, where nobody voted on the label."""
    if score is None or before.yes + before.no:
        return before
    counts = before.yes, before.no, before.unsure
    return Candidate(before.label, before.given, *counts, score, float("nan"), score, before.report)


def _confirmed(item: Item, candidate: Candidate) -> BelievedLabel:
    account, at = item.settled_by
    if candidate.settled and account:
        return BelievedLabel(item.task, candidate, item.given, "person", account, at)
    return BelievedLabel(item.task, candidate, item.given, "votes", "votes", item.voted_at)


def _unopposed(item: Item) -> list[Candidate]:
    """The given labels that are neither confirmed nor wrong."""
    return [each for each in item.candidates if each.given and each.report not in (*CONFIRMED, "MisClassified")]


def _why_none(item: Item) -> str:
    if item.given:
        return "the votes call the given label wrong, and no other is confirmed"
    if item.votes:
        return "it came without a label of the control, and the votes confirm none"
    return "it came without a label of the control, and the last run saw no vote on it"


def _preference(candidate: Candidate) -> tuple[float, str]:
    return -candidate.posterior, candidate.label
