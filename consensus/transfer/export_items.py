"""What is known of a project's tasks: the last run, the decisions since, and the tasks themselves."""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime

import numpy as np

from common.label_studio.annotations import choices_in, moment_of
from common.label_studio.label_config import ChoicesTag, value_at
from common.progress import Progress, of_step, silent
from consensus.core.dataset.believed import Candidate, Decision, Item
from consensus.core.votes.from_annotations import Task
from consensus.core.votes.votes import Choice
from consensus.errors import ConfigError
from consensus.label_studio import CachedTasks, Project, Studio
from consensus.projects.project_votes import resolve_controls
from consensus.settings import ProjectConfig
from consensus.store.columns import Row, as_rows, chosen
from consensus.store.reader import Reader
from consensus.store.store import Store
from consensus.store.tables import CLASSIFICATION, VOTE

SOURCE_KEY, CHECKSUM_KEY = "source", "checksum"
"""Keys of the tasks' data by which `consensus import` knows its images again."""
_CANDIDATE = ("task", "label", "given", "yes", "no", "unsure", "confidence", "upper", "posterior", "report")


@dataclass(frozen=True, slots=True)
class TaskImage:
    """The image of a task.

    Attributes
    ----------
    address : str
        As the task has it; "" where it has none.
    source, checksum : str
        The path that it was imported from, below the folder that was imported, and the SHA-256 of the file.
    """

    task: int
    address: str
    source: str = ""
    checksum: str = ""


@dataclass(frozen=True)
class ProjectItems:
    """What an export is made of.

    Attributes
    ----------
    run : dict
        The last run of the project.
    control : dict
        Of the store: control, kind, choice and labels.
    images : dict of int to TaskImage
        By task.
    """

    project: Project
    run: Row
    control: Row
    tag: ChoicesTag
    items: tuple[Item, ...]
    images: Mapping[int, TaskImage]

    @property
    def choice(self) -> Choice:
        """How the control's votes are counted."""
        choice: Choice = self.control["choice"]
        return choice


def project_items(
    studio: Studio,
    store: Store,
    number: int,
    control_name: str | None,
    config: ProjectConfig,
    now: datetime,
    progress: Progress = silent,
) -> ProjectItems:
    """Gather what is known of the tasks that a project has now, by task.

    Parameters
    ----------
    control_name : str or None
        None where the project has but one control.

    Raises
    ------
    ConfigError
        Where the project has no run yet, or no such control.
    """
    project = studio.project(number)
    store.check_origin(number, project.url, project.created_at)
    name = _chosen_control(store.needed_controls(number)[1], control_name, number)
    tag = next((tag for tag in project.config.choices if tag.name == name), None)
    if tag is None:
        raise ConfigError(
            f"control {name!r} was in the last run of project {number} and is not in its label config any more; "
            f"do `consensus run --project {number}`"
        )
    settled: dict[int, tuple[str, str]] = {}
    images: dict[int, TaskImage] = {}
    answers: dict[str, str] = {}

    def read(cached: CachedTasks) -> None:
        tasks = [task for task, _ in cached.read()]
        controls = resolve_controls(project, config, [task.data for task in tasks])
        answers.update(next(control.answers for control in controls if control.tag.name == name))
        for task in tasks:
            images[task.id] = _image_of(task, tag.image_key)
            settled[task.id] = _settled_by(task, name)

    studio.pull(number, studio.accounts(), now, read, of_step(progress, "reading tasks", project.n_tasks))
    with store.snapshot() as snapshot:
        run, controls = snapshot.needed_controls(number)
        candidates, voted_at = _candidates(snapshot, number, name), _voted_at(snapshot, number, name)
        decisions = decisions_on(snapshot.decisions.standing(number), name)
    items = (
        Item(task, tuple(candidates.get(task, ())), decisions.get(task), voted_at.get(task, ""), settled[task])
        for task in sorted(images)
    )
    control = next(control for control in controls if control["control"] == name)
    return ProjectItems(project, run, control, tag, tuple(answered(item, answers) for item in items), images)


def decisions_on(rows: Iterable[Row], control: str) -> dict[int, Decision]:
    """Read the decisions that stand on a control, by task: those of one act are one."""
    decisions: dict[int, Decision] = {}
    for row in rows:
        if row["control"] == control:
            before = decisions.get(row["task"])
            decisions[row["task"]] = decision_of(row, before.labels if before else ())
    return decisions


def decision_of(row: Row, labels: Sequence[str] = ()) -> Decision:
    """Read a decision of the store; `labels` are those decided with it."""
    at: datetime = row["at"]
    return Decision(
        labels=(*labels, str(row["label"])),
        verdict=str(row["verdict"]),
        decided_by=str(row["decided_by"]),
        at=moment_text(at),
        batch=row["batch"] or "",
        model_version=row["model_version"] or "",
        score=row["score"],
        reason=row["reason"] or "",
    )


def moment_text(moment: datetime | str) -> str:
    """Write a moment in UTC, to the second; "" stands for none.

    Examples
    --------
    >>> moment_text("2026-01-31T13:00:00.25+01:00"), moment_text("")
    ('2026-01-31T12:00:00Z', '')
    """
    if not moment:
        return ""
    when = moment_of(moment) if isinstance(moment, str) else moment
    when = when.astimezone(UTC) if when.tzinfo else when.replace(tzinfo=UTC)
    return when.strftime("%Y-%m-%dT%H:%M:%SZ")


def answered(item: Item, answers: Mapping[str, str]) -> Item:
    """Let a decision on a verification be about the given label, not about the words for yes and no.

    Parameters
    ----------
    answers : mapping of str to {"yes", "no", "unsure"}
        Of a verification; empty for choices.
    """
    if not answers or item.decision is None:
        return item
    says_yes = any(answers.get(label) == "yes" for label in item.decision.labels)
    return replace(item, decision=replace(item.decision, labels=item.given if says_yes else ()))


def _chosen_control(controls: Sequence[Row], name: str | None, project: int) -> str:
    names = [str(control["control"]) for control in controls]
    if name is None and len(names) == 1:
        return names[0]
    if name is None or name not in names:
        fault = f"has no control {name!r}" if name else "has several controls"
        raise ConfigError(f"project {project} {fault}; name one of {', '.join(names)} with --control")
    return name


def _candidates(store: Reader, project: int, control: str) -> dict[int, list[Candidate]]:
    columns = store.columns(CLASSIFICATION, project, ["control", *_CANDIDATE])
    columns = chosen(columns, columns["control"] == control)
    order = np.lexsort([columns["label"].astype(str), columns["task"]])
    of_tasks: dict[int, list[Candidate]] = defaultdict(list)
    for row in as_rows({name: columns[name] for name in _CANDIDATE}, order):
        upper = float("nan") if row["upper"] is None else row["upper"]
        of_tasks[row.pop("task")].append(Candidate(**{**row, "upper": upper}))
    return of_tasks


def _voted_at(store: Reader, project: int, control: str) -> dict[int, str]:
    """When the latest vote on each task was made."""
    columns = store.columns(VOTE, project, ["control", "task", "voted_at"])
    columns = chosen(columns, columns["control"] == control)
    latest: dict[int, str] = {}
    for task, at in zip(columns["task"].tolist(), columns["voted_at"].tolist(), strict=True):
        latest[task] = max(latest.get(task, ""), moment_text(at))
    return latest


def _image_of(task: Task, key: str) -> TaskImage:
    address = value_at(task.data, key) if key else None
    texts = (value if isinstance(value, str) else "" for value in map(task.data.get, (SOURCE_KEY, CHECKSUM_KEY)))
    return TaskImage(task.id, address.strip() if isinstance(address, str) else "", *texts)


def _settled_by(task: Task, control: str) -> tuple[str, str]:
    """Return whose annotation settles the labels of a task on a control, and since when: ground truth first."""
    settling = [
        (each.ground_truth, moment_text(each.updated_at), each.changed_by or each.annotator)
        for each in task.annotations
        if (each.ground_truth or each.from_report or each.changed_by) and control in choices_in(each.result).made
    ]
    _, at, account = max(settling, default=(False, "", ""))
    return account, at
