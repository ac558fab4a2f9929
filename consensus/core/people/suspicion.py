"""Suspicions: which annotators to look at, and why, in words."""

import re
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from consensus.core.arrays import Codes, Floats, Keys, Names
from consensus.core.people.answers import NO_CODE, Answers
from consensus.core.people.copying import Copying, find_copying
from consensus.core.people.leave_one_out import Others, others_of
from consensus.core.people.poisson_binomial import holm
from consensus.core.people.spam import LOOKED, Spam, find_spam
from consensus.core.people.spammer_score import raykar_yu
from consensus.core.people.speed import TOO_FAST, Speed, find_speed
from consensus.core.votes.votes import Votes, submission_keys

ALPHA = 0.01
"""For each kind of suspicion: the chance that anybody at all on a control is suspected without cause."""
MOSTLY_LATER = 0.9
"""Share of shared odd answers that one of two gave later, from which that one alone is suspected."""
KINDS = ("spam", "contrary", "same answer", "too fast", "copying")

_PARTNER = re.compile(r"shares with .*? (\d+ of \d+ answers that most others reject)", re.DOTALL)


@dataclass(frozen=True)
class Suspicion:
    """Why somebody should be looked at.

    Attributes
    ----------
    kind : str
        One of `KINDS`.
    p_value : float
        In [0, 1]: probability of what was seen if there were nothing to it, adjusted for the number of annotators
        (or pairs) that were tested.
    reason : str
        One sentence.
    """

    kind: str
    p_value: float
    reason: str


@dataclass(frozen=True, eq=False)
class Assessment:
    """What the votes say about the annotators of a control; columns of (n_annotators,).

    Attributes
    ----------
    agreement : float64
        Mean share of the others who gave the same answer to the same question; NaN where nobody else answered.
    spammer_score : float64
        That of Raykar and Yu; see `consensus.core.people.spammer_score`.
    """

    agreement: Floats
    spammer_score: Floats
    speed: Speed
    suspicions: list[list[Suspicion]]


def assess(
    votes: Votes,
    answers: Answers,
    trust: Floats,
    annotator: Codes,
    lead_time: Floats,
    moment: Keys | None = None,
) -> Assessment:
    """Judge the annotators of a control by their votes and lead times.

    What the votes say counts if it is suspicious both with each vote weighed by trust and with all votes alike.

    Parameters
    ----------
    answers : Answers
        Of the votes.
    trust : (n_annotators,) float64
        Not negative.
    annotator, lead_time : (n_annotations,) int32, float64
        Who made an annotation, and how many seconds it took (NaN: unknown).
    moment : (n_rows,) int64, optional
        When each row of the votes was given, in any unit.
    """
    speed = find_speed(annotator, lead_time, votes.n_annotators)
    when = None if moment is None else _moments(votes, answers, moment)
    weight = np.clip(trust, 0.0, 1.0)
    others = others_of(answers, weight)
    by_trust = _by_votes(votes, answers, others, weight, when)
    # Trust is learned from the same votes: what it alone makes suspicious is none of the annotator's doing.
    even = np.ones(votes.n_annotators)
    by_count = _by_votes(votes, answers, others_of(answers, even), even, when) if any(by_trust) else by_trust
    suspicions = [
        [suspicion for suspicion in own if suspicion.kind in {counted.kind for counted in by_count[position]}]
        for position, own in enumerate(by_trust)
    ]
    for position, suspicion in _speed(speed):
        suspicions[position].append(suspicion)
    return Assessment(_agreement(answers, others), raykar_yu(answers, others, weight), speed, suspicions)


def measure(answers: Answers, trust: Floats, annotator: Codes, lead_time: Floats) -> Assessment:
    """Return the same without suspicions, which take most of the time."""
    weight = np.clip(trust, 0.0, 1.0)
    others, speed = others_of(answers, weight), find_speed(annotator, lead_time, answers.n_annotators)
    return Assessment(_agreement(answers, others), raykar_yu(answers, others, weight), speed, [])


def _by_votes(
    votes: Votes, answers: Answers, others: Others, weight: Floats, when: Keys | None
) -> list[list[Suspicion]]:
    """Suspicions of each annotator that the votes alone give, each vote weighed."""
    spam, copying = find_spam(answers, others), find_copying(answers, others, weight, when)
    suspicions: list[list[Suspicion]] = [[] for _ in range(votes.n_annotators)]
    for source in (_spam(spam), _sameness(spam, votes), _copying(copying, votes.annotator_names)):
        for position, suspicion in source:
            suspicions[position].append(suspicion)
    return suspicions


def _agreement(answers: Answers, others: Others) -> Floats:
    has_others = ~np.isnan(others.same)
    count = np.bincount(answers.annotator[has_others], minlength=answers.n_annotators)
    total = np.bincount(answers.annotator[has_others], others.same[has_others], answers.n_annotators)
    return np.asarray(total / np.where(count > 0, count, np.nan), dtype=np.float64)


def _moments(votes: Votes, answers: Answers, moment: Keys) -> Keys:
    """When each answer was given: as the annotator's last row on the task."""
    size = max(votes.n_annotators, 1)
    key = submission_keys(votes)
    order = np.lexsort((moment, key))
    answer_key = answers.task[answers.question].astype(np.int64) * size + answers.annotator
    last = np.searchsorted(key[order], answer_key, side="right") - 1
    return np.asarray(moment[order][last], dtype=np.int64)


def _accused(p_values: Floats) -> Iterator[tuple[int, float]]:
    adjusted = holm(p_values)
    for position in np.flatnonzero(adjusted <= ALPHA):  # NaN is not
        yield int(position), float(adjusted[position])


def _spam(spam: Spam) -> Iterator[tuple[int, Suspicion]]:
    contrary = holm(spam.contrary_p)
    for who, p_value in _accused(spam.spam_p):
        observation = (
            f"agrees with {spam.agreed[who]:.0%} of the others on {spam.answers[who]} answers, where the typical "
            f"annotator reaches {spam.typical[who]:.0%} and guessing {spam.by_habit[who]:.0%}"
        )
        if contrary[who] <= ALPHA:
            reason = f"{observation}: answers against the others; are the question or the labels misunderstood?"
            yield who, Suspicion("contrary", float(contrary[who]), reason + _chance(contrary[who]))
        else:
            reason = f"{observation}: looks at fewer than {LOOKED:.0%} of the questions"
            yield who, Suspicion("spam", p_value, reason + _chance(p_value))


def _sameness(spam: Spam, votes: Votes) -> Iterator[tuple[int, Suspicion]]:
    for who, p_value in _accused(spam.same_p):
        top = int(spam.top[who])
        name = votes.label_names[top] if votes.choice == "single" else ("no" if top == NO_CODE else "yes")
        reason = (
            f"answers {str(name)!r} in {spam.top_share[who]:.0%} of {spam.answers[who]} cases, where the typical "
            f"annotator would in {spam.expected_share[who]:.0%}"
        )
        yield who, Suspicion("same answer", p_value, reason + _chance(p_value))


def _speed(speed: Speed) -> Iterator[tuple[int, Suspicion]]:
    for who, p_value in _accused(speed.p_value):
        reason = (
            f"{speed.fast[who]} of {speed.timed[who]} annotations took less than {TOO_FAST:.0%} of the others' "
            f"time: {speed.seconds[who]:.1f} s in the median against {speed.others[who]:.1f} s"
        )
        yield who, Suspicion("too fast", p_value, reason + _chance(p_value))


def _copying(copying: Copying, names: Names) -> Iterator[tuple[int, Suspicion]]:
    """One suspicion per annotator: the strongest, with the number of the others like it."""
    copies_of: dict[int, dict[int, Suspicion]] = {}
    for row, p_value in sorted(_accused(copying.p_value), key=lambda row_and_p: row_and_p[1]):
        first, second = int(copying.first[row]), int(copying.second[row])
        shared, later = int(copying.shared[row]), int(copying.later[row])
        share = later / shared if later >= 0 and shared else 0.5
        for who, partner, after in ((second, first, share), (first, second, 1 - share)):
            if after > 1 - MOSTLY_LATER:
                copy = _copy(copying, row, p_value, str(names[partner]), after)
                copies_of.setdefault(who, {}).setdefault(partner, copy)
    for who, copies in copies_of.items():
        strongest = next(iter(copies.values()))
        more = f"; likewise with {len(copies) - 1} more" if len(copies) > 1 else ""
        yield who, Suspicion(strongest.kind, strongest.p_value, strongest.reason + more)


def _copy(copying: Copying, row: int, p_value: float, partner: str, after: float) -> Suspicion:
    later = (
        " and answered later" if after >= MOSTLY_LATER else "; who copied whom, or both from elsewhere, is open"
    )
    return Suspicion(
        "copying",
        p_value,
        f"shares with {partner} {copying.shared[row]} of {copying.odd[row]} answers that most others reject, "
        f"where {copying.expected[row]:.1f} are to be expected{later}" + _chance(p_value),
    )


def without_names(reason: str) -> str:
    """Return a reason as it is told to whom it is about: who else is meant is not named.

    Examples
    --------
    >>> without_names("shares with ann@example.com 9 of 12 answers that most others reject; likewise with 1 more")
    'shares with another annotator 9 of 12 answers that most others reject; likewise with 1 more'
    """
    return _PARTNER.sub(r"shares with another annotator \1", reason)


def _chance(p_value: float) -> str:
    return f" (p {'< 0.0001' if p_value < 0.0001 else f'= {p_value:.4f}'})"  # noqa: PLR2004 - the digits shown
