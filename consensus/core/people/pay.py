"""Pay: from counted votes, trust and rules to amounts, each explained; money is in whole smallest units."""

import math
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True)
class Tier:
    """A bonus for those who are trusted this much, in percent of the base pay."""

    trust: float
    bonus_percent: int


@dataclass(frozen=True)
class Best:
    """A bonus for the most trusted annotator of a calendar month with so many paid answers at least."""

    bonus: int
    min_votes: int


@dataclass(frozen=True)
class Rules:
    """What is paid for what.

    Attributes
    ----------
    unit : str
        What one of an amount is, as in "EUR cent".
    per_vote, per_unsure : int
        For an answer, and for an unsure vote or a skipped task.
    tiers : tuple of Tier
        The highest that is reached counts.
    trust_by : {"trust", "trust_low"}
        Whether tiers and the best annotator go by the trust or by the lower end of its interval.
    rejected : frozenset of str
        Kinds of suspicion for which nothing is paid.
    pardoned : frozenset of str
        Annotators whose suspicions a person has dismissed, in any case of their letters.
    """

    unit: str
    per_vote: int
    per_unsure: int = 0
    tiers: tuple[Tier, ...] = ()
    trust_by: Literal["trust", "trust_low"] = "trust"
    rejected: frozenset[str] = frozenset()
    pardoned: frozenset[str] = frozenset()
    best: Best | None = None


def rules_in_words(rules: Rules) -> list[str]:
    """Return what is paid for what, a sentence each.

    Examples
    --------
    >>> rules_in_words(Rules("cent", 4, tiers=(Tier(0.9, 25),)))
    ['4 cent for a vote, 0 cent for an unsure vote or a skipped task.', '25 % more from a trust of 0.9 on.']
    """
    measure = "trust" if rules.trust_by == "trust" else "lower end of the trust's interval"
    unit, best = rules.unit, rules.best
    lines = [
        f"{rules.per_vote} {unit} for a vote, {rules.per_unsure} {unit} for an unsure vote or a skipped task."
    ]
    tiers = sorted(rules.tiers, key=lambda tier: tier.trust)
    lines += [f"{tier.bonus_percent} % more from a {measure} of {tier.trust:g} on." for tier in tiers]
    if best:
        enough = f"{best.min_votes} or more paid votes"
        lines.append(f"{best.bonus} {unit} for the highest {measure} of each calendar month, of who has {enough}.")
    if rules.rejected:
        lines.append(f"Nothing where somebody is suspected of: {', '.join(sorted(rules.rejected))}.")
    return lines


@dataclass(frozen=True)
class Work:
    """What one annotator did on one control in a period, and what is thought of it at its end.

    Attributes
    ----------
    answers, unsure, withdrawn, returned : int
        See `consensus.store.vote_history.Count`.
    trust : float or None
        By the measure that the rules name; None where none is stored.
    suspicions : tuple of (str, str)
        Kind and reason.
    """

    annotator: str
    control: str
    answers: int
    unsure: int
    withdrawn: int
    returned: int
    trust: float | None
    suspicions: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True)
class Line:
    """One line of a pay list.

    Attributes
    ----------
    item : str
        "votes", or "best annotator" with its month.
    control : str
        Empty for the best annotator.
    base, bonus_percent, bonus, amount : int
        `amount` is base plus bonus, in the smallest unit of the currency.
    why : str
        The line in words.
    """

    annotator: str
    item: str
    control: str
    votes: int
    unsure: int
    withdrawn: int
    returned: int
    trust: float | None
    base: int
    bonus_percent: int
    bonus: int
    amount: int
    why: str


def percent_of(amount: int, percent: int) -> int:
    """Take a percentage of an amount, rounded to the nearest whole unit, half a unit up.

    Parameters
    ----------
    amount, percent : int
        Not negative.

    Examples
    --------
    >>> percent_of(10, 25), percent_of(10, 24), percent_of(333, 10)
    (3, 2, 33)
    """
    return (amount * percent + 50) // 100


def lines_of(works: Iterable[Work], rules: Rules) -> list[Line]:
    """Pay the votes of a period, a line per annotator and control.

    Returns
    -------
    list of Line
        Ordered by annotator, then control; what is not paid has a line of 0 that says why.
    """
    ordered = sorted(works, key=lambda work: (work.annotator, work.control))
    return [_line(work, rules) for work in ordered]


def _line(work: Work, rules: Rules) -> Line:
    rejection = rejected_for(work, rules)
    base = 0 if rejection else work.answers * rules.per_vote + work.unsure * rules.per_unsure
    tier = _tier(work.trust, rules.tiers)
    percent = tier.bonus_percent if tier and not rejection else 0
    bonus = percent_of(base, percent)
    if rejection:
        reasons = [f"{work.answers} votes and {work.unsure} unsure are rejected: {rejection}"]
    else:
        reasons = [
            f"{work.answers} votes at {rules.per_vote} = {work.answers * rules.per_vote}",
            *(
                [f"{work.unsure} unsure at {rules.per_unsure} = {work.unsure * rules.per_unsure}"]
                * (work.unsure > 0)
            ),
            _bonus_words(work.trust, tier, base, bonus),
        ]
    if work.withdrawn:
        reasons.append(f"{work.withdrawn} withdrawn before the end of the period: not paid")
    if work.returned:
        reasons.append(f"{work.returned} came back after they had counted in an earlier period: not paid again")
    return Line(
        annotator=work.annotator, item="votes", control=work.control, votes=work.answers, unsure=work.unsure,
        withdrawn=work.withdrawn, returned=work.returned, trust=work.trust, base=base, bonus_percent=percent,
        bonus=bonus, amount=base + bonus, why="; ".join(reasons),
    )  # fmt: skip


def rejected_for(work: Work, rules: Rules) -> str:
    """Return why the votes of an annotator on a control are not paid; empty where they are."""
    if work.annotator.casefold() in {name.casefold() for name in rules.pardoned}:
        return ""
    return "; ".join(f"{kind}: {reason}" for kind, reason in work.suspicions if kind in rules.rejected)


def _tier(trust: float | None, tiers: Sequence[Tier]) -> Tier | None:
    reached = [tier for tier in tiers if trust is not None and trust >= tier.trust]
    return max(reached, key=lambda tier: tier.trust, default=None)


def _cut(trust: float) -> str:
    """Show three digits and never more than there is: 0.8997 must not look like the 0.9 that it does not reach."""
    return f"{math.floor(trust * 1000 + 1e-9) / 1000:.3f}"


def _bonus_words(trust: float | None, tier: Tier | None, base: int, bonus: int) -> str:
    if trust is None:
        return "no trust is stored: no bonus"
    if tier is None:
        return f"trust {_cut(trust)} reaches no tier: no bonus"
    return f"trust {_cut(trust)} reaches the tier from {tier.trust:g}: {tier.bonus_percent} % of {base} = {bonus}"


def best_of(works: Iterable[Work], best: Best, rules: Rules, month: str) -> list[Line]:
    """Find the best annotator of a calendar month.

    Whose trust is the highest, on the mean over the controls weighted by paid answers, among those with enough of
    them; of equal ones who has more; who are equal in that, too, share the bonus, and what cannot be divided is
    not paid.

    Parameters
    ----------
    works : iterable of Work
        All of the month.
    month : str
        As in 2026-01.

    Returns
    -------
    list of Line
        Empty where nobody has enough paid answers.
    """
    votes, weighted = defaultdict[str, int](int), defaultdict[str, float](float)
    for work in sorted(works, key=lambda work: (work.annotator, work.control)):
        if work.trust is not None and not rejected_for(work, rules):
            votes[work.annotator] += work.answers
            weighted[work.annotator] += work.answers * work.trust
    trust = {name: weighted[name] / n for name, n in votes.items() if n >= max(best.min_votes, 1)}
    if not trust:
        return []
    highest = max((round(value, 9), votes[name]) for name, value in trust.items())
    winners = sorted(name for name, value in trust.items() if (round(value, 9), votes[name]) == highest)
    return [_best_line(name, trust, votes, best, month, len(winners)) for name in winners]


def _best_line(
    name: str, trust: Mapping[str, float], votes: Mapping[str, int], best: Best, month: str, winners: int
) -> Line:
    amount = best.bonus // winners
    shared = f", shared by {winners} who are equal, = {amount}" if winners > 1 else ""
    why = (
        f"highest trust of the {len(trust)} annotators with {best.min_votes} or more paid votes first seen in "
        f"{month}: {trust[name]:.3f} with {votes[name]} votes; bonus {best.bonus}{shared}"
    )
    return Line(
        annotator=name, item=f"best annotator {month}", control="", votes=votes[name], unsure=0, withdrawn=0,
        returned=0, trust=trust[name], base=0, bonus_percent=0, bonus=amount, amount=amount, why=why,
    )  # fmt: skip


def totals(lines: Iterable[Line]) -> dict[str, int]:
    """Add the amounts up by annotator, in the order of names."""
    added = defaultdict[str, int](int)
    for line in lines:
        added[line.annotator] += line.amount
    return dict(sorted(added.items()))
