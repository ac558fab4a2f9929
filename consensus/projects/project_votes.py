"""What the annotations of a project say: the votes on each of its controls."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, TypeVar

from common.contract import MACHINE_ACCOUNT
from common.label_studio.annotations import accounts_named, moment_of
from consensus.core.decide.writeback import Written
from consensus.core.routing.overlap import ServedTask
from consensus.core.votes.collected import Collected, in_columns
from consensus.core.votes.controls import Control, ControlSettings, resolve
from consensus.core.votes.from_annotations import Task, VoteRow, rows_of
from consensus.core.votes.votes import STANDS
from consensus.errors import ConfigError
from consensus.label_studio import CachedTasks, Project
from consensus.projects.task_columns import COLUMNS, Columns, columns_in
from consensus.settings import ProjectConfig
from consensus.store.reader import Reader

AnyTask = TypeVar("AnyTask", Task, ServedTask)


@dataclass(frozen=True, eq=False)
class ProjectVotes:
    """What the annotations of a project say.

    Attributes
    ----------
    controls : list of Collected
    written : list of Written
        What earlier runs wrote.
    tasks, ground_truths : list of int
        Ids of all tasks, and of the annotations that hold ground truth.
    versions : frozenset of str
        Of models whose predictions there are.
    columns : dict of int to dict
        Columns of the Data Manager that earlier runs made, by task.
    """

    controls: list[Collected]
    written: list[Written]
    tasks: list[int]
    ground_truths: list[int]
    versions: frozenset[str]
    columns: dict[int, Columns]


def project_votes(
    cached: CachedTasks,
    project: Project,
    config: ProjectConfig,
    accounts: Mapping[int, str],
    store: Reader | None,
) -> ProjectVotes:
    """Collect the votes on each control of a project; tasks that have not changed say what they said.

    Parameters
    ----------
    accounts : mapping of int to str
        Name of each account by its id.
    store : Reader, optional
        Knows whose annotations were whose account is deleted.
    """
    data = cached.data()
    controls = resolve_controls(project, config, list(data.values()))
    machines = frozenset(account_named(name, accounts) for name in [*config.machines, MACHINE_ACCOUNT])

    def rows(tasks: Sequence[Task]) -> Iterator[list[Any]]:
        own_votes = votes_before_changes(tasks, store, project.id) if store else {}
        for task in with_known_annotators(tasks, store, project.id) if store else tasks:
            ground_truths = [annotation.id for annotation in task.annotations if annotation.ground_truth]
            on_controls = [
                rows_of(task, control, machines, own_votes.get(control.tag.name)) for control in controls
            ]
            yield [on_controls, ground_truths, list(task.predictions)]

    of_tasks, written = cached.derive((controls, sorted(machines)), rows)
    return ProjectVotes(
        controls=[
            in_columns(control, {task: on_controls[position] for task, (on_controls, _, _) in of_tasks.items()})
            for position, control in enumerate(controls)
        ],
        written=written,
        tasks=list(of_tasks),
        ground_truths=[annotation for _, numbers, _ in of_tasks.values() for annotation in numbers],
        versions=frozenset(version for _, _, versions in of_tasks.values() for version in versions),
        columns={task: columns for task, content in data.items() if (columns := columns_in(content))},
    )


def account_named(name: str, accounts: Mapping[int, str]) -> str:
    """Name of an account that the settings name by its id or, in any case of its letters, by its address."""
    number = accounts_named([name], accounts)[name]
    return name if number is None else accounts.get(number, f"account {number}")


def resolve_controls(
    project: Project, config: ProjectConfig, data: Sequence[Mapping[str, object]]
) -> list[Control]:
    """Find out how each `<Choices>` of the project asks.

    Raises
    ------
    ConfigError
        Where the settings name a control for this project that is not there, or there is no control to count.
    """
    names = [tag.name for tag in project.config.choices]
    for name in sorted(config.special_controls):
        if name not in names:
            raise ConfigError(
                f"the settings name control {name!r}, but project {project.id} has "
                f"{', '.join(names) or 'no <Choices>'}"
            )
    if not names:
        reasons = "; ".join(project.config.reasons)
        raise ConfigError(
            f"project {project.id} has no <Choices> about whole tasks, so there is nothing to count"
            + (f" ({reasons})" if reasons else "")
        )
    sections = {name: section.core() for name, section in config.controls.items()}
    data = [{key: value for key, value in each.items() if key not in COLUMNS} for each in data]
    return [
        resolve(tag, sections.get(tag.name, ControlSettings()), data, project.config)
        for tag in project.config.choices
    ]


def with_known_annotators(tasks: Sequence[AnyTask], store: Reader, project: int) -> Sequence[AnyTask]:
    """Return the tasks with the annotators that an earlier run saw, where Label Studio has forgotten them.

    It takes the name off an annotation when the account is deleted.
    """
    unknown = {annotation.id for task in tasks for annotation in task.annotations if annotation.of_unknown_account}
    names = store.annotators_of(project, unknown) if unknown else {}
    if not names:
        return tasks
    return [
        replace(
            task,
            annotations=tuple(
                replace(annotation, annotator=names.get(annotation.id, annotation.annotator))
                for annotation in task.annotations
            ),
        )
        for task in tasks
    ]


def votes_before_changes(
    tasks: Sequence[Task], store: Reader, project: int
) -> dict[str, dict[int, list[VoteRow]]]:
    """Return what the annotations that another account has changed voted before, as far as a run has seen it.

    Returns
    -------
    dict of str to dict of int to list of VoteRow
        By control and annotation.
    """
    changed = {
        annotation.id: moment_of(annotation.updated_at)
        for task in tasks
        for annotation in task.annotations
        if annotation.changed_by is not None
    }
    votes_by_control: dict[str, dict[int, list[VoteRow]]] = {}
    rows = store.votes_of(project, changed) if changed else []
    rows.sort(key=lambda row: moment_of(row["voted_at"]))
    for row in rows:
        if moment_of(row["voted_at"]) >= changed[row["annotation"]]:
            continue  # an earlier version of consensus took the change for a vote
        of_control = votes_by_control.setdefault(row["control"], {})
        votes = of_control.setdefault(row["annotation"], [])
        if votes and votes[0].voted_at != row["voted_at"]:
            votes.clear()
        stand = int(STANDS[row["vote"]])
        values = (row[name] for name in ("annotation", "voted_at", "lead_time", "from_prediction", "accepted"))
        vote = VoteRow(row["label"] or None, row["annotator"], stand, *values)
        if vote not in votes:
            votes.append(vote)
    return votes_by_control
