"""What Label Studio holds at the end, read back through its API: the only source of what the demo shows."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from common.contract import accusation_in
from common.label_studio.suggestions import as_chosen
from demonstration.studio import image_name

if TYPE_CHECKING:
    from collections.abc import Mapping

    from demonstration.studio import Studio

REPORT_PREFIX = "consensus/"


@dataclass(frozen=True)
class Annotation:
    """A submitted annotation: a label, or None for a skip."""

    email: str
    label: str | None


@dataclass(frozen=True)
class Prediction:
    """A prediction of a model version, or a report's entry, which is stored as one."""

    number: int
    version: str
    labels: tuple[str, ...]
    score: float | None


@dataclass(frozen=True)
class Task:
    """A task with all that was submitted and predicted for it.

    Attributes
    ----------
    name
        File name of its image.
    given
        The label that it came with.
    annotations, predictions
        All of them.
    score
        What the Data Manager's score column shows.
    """

    name: str
    given: str
    annotations: tuple[Annotation, ...]
    predictions: tuple[Prediction, ...]
    score: float | None


@dataclass(frozen=True)
class Tab:
    """A Data Manager tab and how many tasks it shows."""

    number: int
    tasks: int


@dataclass(frozen=True)
class Held:
    """What Label Studio holds of the project.

    Attributes
    ----------
    model_version
        The version whose predictions annotators see.
    tasks
        All tasks.
    tabs
        By title.
    """

    model_version: str
    tasks: tuple[Task, ...]
    tabs: dict[str, Tab]

    def suggestions(self) -> dict[str, Prediction]:
        """Each task's prediction of the version that annotators see, by file name."""
        return {
            task.name: each
            for task in self.tasks
            for each in task.predictions
            if each.version == self.model_version and each.labels
        }

    def reported(self, report: str) -> list[tuple[Task, Prediction]]:
        """All entries of a report."""
        return [
            (task, each)
            for task in self.tasks
            for each in task.predictions
            if each.version == REPORT_PREFIX + report
        ]


def read(studio: Studio, project: int) -> Held:
    """Read the project back."""
    emails = studio.accounts()
    return Held(
        model_version=studio.project(project).model_version or "",
        tasks=tuple(_task(each, emails) for each in studio.whole_tasks(project)),
        tabs={tab["data"]["title"]: _tab(studio, project, tab["id"]) for tab in studio.tabs(project)},
    )


def next_for(studio: Studio, project: int) -> list[Prediction]:
    """What the label stream shows an annotator beside the next task."""
    return [_prediction(each) for each in studio.next_task(project)["predictions"]]


def _tab(studio: Studio, project: int, number: int) -> Tab:
    query = {"project": project, "view": number, "page_size": 1}
    return Tab(number, int(studio.ask("GET", "/api/tasks", params=query)["total"]))


def _task(raw: Mapping[str, Any], emails: Mapping[int, str]) -> Task:
    return Task(
        name=image_name(raw["data"]),
        given=raw["data"]["given"],
        annotations=tuple(
            Annotation(emails[each["completed_by"]], None if each["was_cancelled"] else _labels(each)[0])
            for each in raw["annotations"]
        ),
        predictions=tuple(map(_prediction, raw["predictions"])),
        score=raw["predictions_score"],
    )


def _prediction(raw: Mapping[str, Any]) -> Prediction:
    wrong = accusation_in(raw["result"])  # what MisClassified is about; it shows what is right instead
    return Prediction(raw["id"], raw["model_version"], (wrong.label,) if wrong else _labels(raw), raw["score"])


def _labels(raw: Mapping[str, Any]) -> tuple[str, ...]:
    return tuple(label for region in as_chosen(raw["result"]) for label in region["value"]["choices"])
