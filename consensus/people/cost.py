"""What a project has cost: the pay lists of its months, and the hours of its annotators."""

from dataclasses import dataclass
from datetime import date

from consensus.core.people.pay import Rules
from consensus.people.payroll import next_month, pay_list
from consensus.store.reader import Snapshot


@dataclass(frozen=True)
class Cost:
    """What a project has cost.

    Attributes
    ----------
    hours : float
        Of the annotations that count, as Label Studio measured them.
    months : tuple of (date, date, int)
        First day, the day after the last one, and pay, of each calendar month since the first vote; the last one
        ends yesterday. Empty without rules.
    """

    hours: float
    months: tuple[tuple[date, date, int], ...] = ()

    @property
    def pay(self) -> int:
        """Of all months."""
        return sum(amount for _, _, amount in self.months)


def cost_of(store: Snapshot, project: int, rules: Rules | None, today: date) -> Cost:
    """Sum up what a project has cost until yesterday.

    Parameters
    ----------
    rules : Rules or None
        None: nothing is known of pay.
    today : date
        In UTC.
    """
    begin = store.ledger_begin(project)
    months = []
    first = begin.date().replace(day=1) if begin and rules else today
    while rules and first < today:
        end = min(next_month(first), today)
        lines = pay_list(store, project, first, end, rules).lines
        months.append((first, end, sum(line.amount for line in lines)))
        first = end
    return Cost(store.annotation_seconds(project) / 3600, tuple(months))
