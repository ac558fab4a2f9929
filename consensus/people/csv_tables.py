"""What is known of annotators, and pay lists, as CSV."""

from dataclasses import asdict
from typing import TYPE_CHECKING

from common.console import csv_text

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from consensus.core.people.pay import Line
    from consensus.store.columns import Row

OVERVIEW = (
    "control", "annotator", "votes", "trust", "trust_low", "trust_high", "gold_answered", "gold_right", "gold_low",
    "gold_high", "with_consensus", "with_others", "spammer_score", "seconds", "others_seconds", "suggested",
    "compared", "accepted", "confusions", "suspicions",
)  # fmt: skip
LINE = (
    "annotator", "item", "control", "votes", "unsure", "withdrawn", "returned", "trust", "base", "bonus_percent",
    "bonus", "amount", "why",
)  # fmt: skip


def annotators_csv(rows: "Sequence[Row]") -> str:
    """Lay out rows of `annotator_report`; what a row holds in lists becomes text."""
    return csv_text([{**row, **_words(row)} for row in rows], OVERVIEW)


def pay_csv(lines: "Iterable[Line]") -> str:
    """Lay out the lines of a pay list."""
    return csv_text([asdict(line) for line in lines], LINE)


def _words(row: "Row") -> dict[str, str]:
    """What a row holds in lists, as text."""
    mistaken = [
        f"{confusion['said']} for {confusion['consensus']}"
        f"{' on ' + confusion['label'] if 'label' in confusion else ''} ({confusion['times']})"
        for confusion in row["confusions"]
    ]
    reasons = [f"{suspicion['kind']}: {suspicion['reason']}" for suspicion in row["suspicions"] or ()]
    return {"confusions": "; ".join(mistaken), "suspicions": " | ".join(reasons)}
