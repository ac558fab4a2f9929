"""What the demo promises, checked on what was read back: a promise that fails ends the demo."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from demonstration.errors import DemoError
from demonstration.reading import REPORT_PREFIX
from demonstration.scores import REPORTS

if TYPE_CHECKING:
    from collections.abc import Sequence

    from demonstration.cleaning import Cleaned
    from demonstration.reading import Held, Prediction
    from demonstration.scores import GivenLabels, ReportCount


def check_project(
    held: Held, submitted: int, stream: Sequence[Prediction], by_score: Sequence[float | None]
) -> None:
    """Annotations, suggestions, the label stream and the score column are as they should be.

    Parameters
    ----------
    held
        What Label Studio holds.
    submitted
        Number of annotations that were submitted.
    stream
        What an annotator sees beside the next task.
    by_score
        The score column of the tab that sorts by it.
    """
    check_submitted(held, submitted)
    check_suggestions(held)
    check_stream(stream, held)
    check_sorted(by_score)


def check_submitted(held: Held, expected: int) -> None:
    """Every answer has become an annotation."""
    submitted = sum(len(task.annotations) for task in held.tasks)
    if submitted != expected:
        raise DemoError(f"{expected} annotations were submitted; Label Studio holds {submitted}.")


def check_suggestions(held: Held) -> None:
    """Every task has a suggestion, and the score column shows it."""
    without = [task.name for task in held.tasks if task.name not in held.suggestions()]
    if without:
        raise DemoError(
            f"{len(without)} tasks have no suggestion of {held.model_version}, among them {without[0]}."
        )
    if any(task.score is None for task in held.tasks):
        raise DemoError(f"The score column is empty although {held.model_version} has suggestions.")


def check_stream(shown: Sequence[Prediction], held: Held) -> None:
    """An annotator sees the model's suggestion beside the next task, and no report."""
    if [each.version for each in shown] != [held.model_version]:
        versions = ", ".join(each.version for each in shown) or "nothing"
        raise DemoError(f"The label stream should show {held.model_version} and shows {versions}.")


def check_sorted(scores: Sequence[float | None]) -> None:
    """The tab that sorts by score does so."""
    # Label Studio averages them anew for each page, which moves the last digit.
    filled = [round(score, 6) for score in scores if score is not None]
    if len(filled) != len(scores) or filled != sorted(filled):
        raise DemoError("The tab that sorts by score is not sorted.")


def check_reports(counts: Sequence[ReportCount], given: GivenLabels) -> None:
    """Tabs show what the reports hold, and consensus tells wrong labels from right ones."""
    for count in counts:
        if count.tab_tasks != count.tasks:
            raise DemoError(f"{count.name} is about {count.tasks} tasks; its tab shows {count.tab_tasks}.")
    if given.caught <= given.accused:
        raise DemoError(f"Consensus caught {given.caught} wrong labels and accused {given.accused} right ones.")


def check_cleaned(cleaned: Cleaned) -> None:
    """The exported folders hold fewer wrong labels than the imported ones."""
    if cleaned.after.wrong >= cleaned.before.wrong or cleaned.mended <= cleaned.broken:
        raise DemoError(
            f"The export should mend wrong labels: {cleaned.mended} were mended and {cleaned.broken} broken; "
            f"{cleaned.after.wrong} are wrong, before it were {cleaned.before.wrong}."
        )


def check_unchanged(first: Held, second: Held, outcome: dict[str, Any]) -> None:
    """The second run of consensus sent nothing, as its facts and Label Studio both say."""
    sent = {name: count for name, count in outcome["writes"].items() if count}
    if sent or _entries(first) != _entries(second):
        raise DemoError(f"The second run of consensus should send nothing; it sent {sent or 'changes'}.")


def _entries(held: Held) -> set[Prediction]:
    versions = {REPORT_PREFIX + name for name in REPORTS}
    return {each for task in held.tasks for each in task.predictions if each.version in versions}
