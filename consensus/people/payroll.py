"""A pay list: from the ledger of votes, the trust of that time and the rules to lines that can be made again."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta

from consensus.core.people.pay import Best, Line, Rules, Work, best_of, lines_of
from consensus.errors import ConfigError
from consensus.store.columns import Row
from consensus.store.reader import Snapshot
from consensus.store.store import Store
from consensus.store.vote_history import count

LONGEST = timedelta(days=5 * 366)


@dataclass(frozen=True)
class Payroll:
    """What is to be paid.

    Attributes
    ----------
    notes : list of str
        What somebody who pays should know of the period.
    """

    lines: list[Line]
    notes: list[str]


def payroll(store: Store, project: int, first: date, end: date, rules: Rules, today: date) -> Payroll:
    """Make the pay list of a period.

    The project is held meanwhile, so that no run of an earlier start can store anything later.

    Parameters
    ----------
    first, end : date
        The period begins with the first moment of `first` (UTC) and ends before that of `end`.
    today : date
        In UTC.

    Raises
    ------
    ConfigError
        Where the period is empty or not over, or the project has no run yet.
    StoreError
        Where a run is at work.
    """
    _check_period(first, end, today)
    with store.lock(project), store.snapshot() as snapshot:
        return pay_list(snapshot, project, first, end, rules)


def pay_list(store: Snapshot, project: int, first: date, end: date, rules: Rules) -> Payroll:
    """Make the pay list of a period from what is stored now.

    Raises
    ------
    ConfigError
        Where the project has no run yet.
    """
    store.needed_run(project)
    lines, notes = lines_of(_works(store, project, first, end, rules), rules), list[str]()
    if any(row["suspicions"] is None for row in store.annotators_before(project, _start(end))):
        notes.append("some runs before the end of the period did not look for spam; it is not rejected there")
    if not store.runs_between(project, _start(first), _start(end)):
        notes.append("no run started in the period; votes that were made in it count when a run first sees them")
    for month, beyond in _months_that_end(first, end) if rules.best else ():
        best = _best(store, project, month, beyond, rules)
        lines += best
        if not best:
            notes.append(
                f"{month:%Y-%m}: nobody has the paid votes that the bonus for the best annotator asks for"
            )
    if rules.best and not _months_that_end(first, end):
        notes.append("no calendar month ends in the period, so there is no bonus for a best annotator")
    return Payroll(lines, notes)


def _check_period(first: date, end: date, today: date) -> None:
    if end <= first:
        raise ConfigError(f"the period from {first} to {end} is empty; --to is exclusive and must be after --from")
    if end > today:
        raise ConfigError(
            f"the period ends before {end}, which is not over (today is {today}, UTC): what is paid could still "
            f"change; use --to {today} or earlier"
        )

    if end - first > LONGEST:
        raise ConfigError(
            f"the period from {first} to {end} is longer than {LONGEST.days // 366} years; is --from right?"
        )


def _best(store: Snapshot, project: int, month: date, beyond: date, rules: Rules) -> list[Line]:
    best: Best | None = rules.best
    works = _works(store, project, month, beyond, rules)
    return best_of(works, best, rules, f"{month:%Y-%m}") if best else []


def _works(store: Snapshot, project: int, first: date, end: date, rules: Rules) -> list[Work]:
    """What each annotator did on each control in a period, with the trust at its end."""
    start, until = _start(first), _start(end)
    counts = count(store.ledger(project, start, until), store.ended_before(project, start), until)
    by_annotator = {(row["annotator"], row["control"]): row for row in store.annotators_before(project, until)}
    return [
        Work(
            annotator=annotator,
            control=control,
            answers=tally.answers,
            unsure=tally.unsure,
            withdrawn=tally.withdrawn,
            returned=tally.returned,
            trust=by_annotator.get((annotator, control), {}).get(rules.trust_by),
            suspicions=tuple(_suspicions(by_annotator.get((annotator, control), {}))),
        )
        for (annotator, control), tally in counts.items()
    ]


def _suspicions(row: Mapping[str, Sequence[Row] | None]) -> Iterator[tuple[str, str]]:
    for suspicion in row.get("suspicions") or ():
        yield str(suspicion["kind"]), str(suspicion["reason"])


def _months_that_end(first: date, end: date) -> list[tuple[date, date]]:
    """Calendar months whose end lies in a period, each with the first day after it."""
    months: list[tuple[date, date]] = []
    month = first.replace(day=1)
    while True:
        beyond = next_month(month)
        if beyond > end:
            return months
        if beyond > first:
            months.append((month, beyond))
        month = beyond


def next_month(month: date) -> date:
    """Return the first day of the month after a month's first day."""
    return date(month.year + month.month // 12, month.month % 12 + 1, 1)


def _start(day: date) -> datetime:
    return datetime.combine(day, time(), UTC)
