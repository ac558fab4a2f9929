"""The result in four tables."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from demonstration import scores, tables

if TYPE_CHECKING:
    from collections.abc import Mapping

    from demonstration.reading import Held
    from demonstration.steps import Steps


@dataclass(frozen=True)
class Result:
    """What the tables show.

    Attributes
    ----------
    model_version
        Whose suggestions they are.
    reports, given, annotators
        From what consensus wrote, and its trust.
    learned, new
        Suggestions for the tasks that somebody annotated, and for the others.
    """

    model_version: str
    reports: list[scores.ReportCount]
    given: scores.GivenLabels
    annotators: list[scores.Reliability]
    learned: scores.Suggestions
    new: scores.Suggestions


def compare(held: Held, truth: Mapping[str, str], run: Mapping[str, Any]) -> Result:
    """Compare what was read back with the truth.

    Parameters
    ----------
    held
        What Label Studio holds.
    truth
        What each image shows, by file name.
    run
        Facts of the last run of consensus: Label Studio has no place for the annotators' trust.
    """
    learned = [task.name for task in held.tasks if any(each.label is not None for each in task.annotations)]
    new = [task.name for task in held.tasks if task.name not in learned]
    trust = {row["annotator"]: row["trust"] for row in run["annotators"]}
    return Result(
        model_version=held.model_version,
        reports=scores.count_reports(held, truth),
        given=scores.judge_given(held, truth),
        annotators=scores.judge_annotators(held, truth, trust),
        learned=scores.judge_suggestions(held, truth, learned),
        new=scores.judge_suggestions(held, truth, new),
    )


def show(steps: Steps, result: Result) -> None:
    """Print the tables."""
    steps.console.print(
        tables.reports_table(result.reports),
        tables.given_table(result.given),
        tables.annotators_table(result.annotators),
        tables.suggestions_table(result.learned, result.new, result.model_version),
        sep="\n",
    )
