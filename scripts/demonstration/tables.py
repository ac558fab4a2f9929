"""The demo's tables."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rich.table import Table

if TYPE_CHECKING:
    from collections.abc import Sequence

    from demonstration.cleaning import Cleaned
    from demonstration.scores import GivenLabels, Reliability, ReportCount, Suggestions

MEANINGS = {
    "AllConfirmed": "the given label is right",
    "MisClassified": "the given label is wrong",
    "Discovered": "another label is right",
    "Controversial": "the annotators disagree",
    "NoVotes": "nobody has voted yet",
}


def reports_table(counts: Sequence[ReportCount]) -> Table:
    """The five reports, counted from the predictions that hold them and from their tabs."""
    table = Table(title="Reports", title_justify="left")
    table.add_column("report")
    table.add_column("what it says")
    for heading in ("classifications", "label is the truth", "tasks in its tab"):
        table.add_column(heading, justify="right")
    for count in counts:
        meaning = MEANINGS[count.name]
        table.add_row(count.name, meaning, str(count.entries), str(count.right), str(count.tab_tasks))
    return table


def given_table(given: GivenLabels) -> Table:
    """What MisClassified says of the given labels."""
    table = Table(title="Given labels that have votes", title_justify="left")
    table.add_column("given label")
    table.add_column("tasks", justify="right")
    table.add_column("in MisClassified", justify="right")
    table.add_row("wrong (to be caught)", str(given.wrong), f"{given.caught} caught")
    table.add_row("right (not to be accused)", str(given.right), f"{given.accused} accused")
    return table


def annotators_table(rows: Sequence[Reliability]) -> Table:
    """Each annotator's true reliability beside the estimated trust."""
    caption = "The trust is what consensus says: Label Studio has no place for it."
    table = Table(title="Annotators (simulated)", title_justify="left", caption=caption, caption_justify="left")
    table.add_column("annotator")
    for heading in ("annotations", "skipped", "true reliability", "estimated trust"):
        table.add_column(heading, justify="right")
    for row in rows:
        counts = (str(row.annotations), str(row.skips))
        table.add_row(row.email, *counts, f"{row.right_share:.3f}", f"{row.trust:.3f}")
    return table


def suggestions_table(annotated: Suggestions, new: Suggestions, version: str) -> Table:
    """How good the ML backend's suggestions are."""
    table = Table(title=f"Suggestions of {version}", title_justify="left")
    table.add_column("tasks")
    for heading in ("number", "with a suggestion", "right", "accuracy", "mean score"):
        table.add_column(heading, justify="right")
    for name, outcome in (("that the model learned from", annotated), ("that nobody annotated", new)):
        accuracy = f"{outcome.right / outcome.suggested:.3f}" if outcome.suggested else "-"
        counts = (str(outcome.tasks), str(outcome.suggested), str(outcome.right))
        table.add_row(name, *counts, accuracy, f"{outcome.mean_score:.3f}" if outcome.suggested else "-")
    return table


def folders_table(cleaned: Cleaned) -> Table:
    """The folders that were imported beside those that were exported."""
    table = Table(title="The dataset on disk", title_justify="left")
    table.add_column("folders")
    for heading in ("images", "in the folder of a wrong label"):
        table.add_column(heading, justify="right")
    for name, folders in (("as imported", cleaned.before), ("as exported", cleaned.after)):
        table.add_row(name, str(folders.images), str(folders.wrong))
    return table
