"""Checks of one project: its controls, its settings, how many votes a task can get, and its last run."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from common.doctor import Finding, fine, problem, warning
from consensus.label_studio import Project
from consensus.settings import ProjectConfig
from consensus.store.columns import Row
from consensus.store.reader import is_same_project

_OLD = timedelta(days=7)
_AT_WORK = timedelta(hours=1)
_NOTHING_COUNTED = "there is nothing to count, and a run ends with an error"


@dataclass(frozen=True)
class ProjectState:
    """What Label Studio, the settings and the store hold of a project.

    Attributes
    ----------
    config : ProjectConfig or None
        None where the settings file cannot be used.
    overlaps : mapping of int to int
        Number of tasks by how many annotators they are shown to, among those that were looked at.
    is_stored : bool
        Whether the store can be read.
    last_run, origin : dict or None
        Of the store: the latest run, and which Label Studio it read.
    """

    project: Project
    config: ProjectConfig | None
    overlaps: Mapping[int, int]
    is_stored: bool
    last_run: Row | None
    origin: Row | None
    now: datetime


def controls(state: ProjectState) -> Iterator[Finding]:
    """Look which `<Choices>` are controls, and why each other one is passed over."""
    config = state.project.config
    for tag in config.choices:
        yield fine(f"{tag.name} asks for {', '.join(tag.labels)}")
    for name, reason in config.passed_over.items():
        yield warning(
            f"{name} is passed over: it {reason}",
            "what is chosen on it is no vote",
            "if its votes are to count, change it in the label config (Settings > Labeling Interface)",
        )
    if not config.choices:
        yield problem(
            "it has no <Choices> about whole tasks",
            _NOTHING_COUNTED,
            "give it one in the label config (Settings > Labeling Interface)",
        )


def settings(state: ProjectState) -> Iterator[Finding]:
    """Look whether the controls that the settings file names are there."""
    if state.config is None:
        return
    names = [tag.name for tag in state.project.config.choices]
    missing = [name for name in state.config.controls if name not in names]
    has = f"the project has {', '.join(names) or 'none'}"
    for name in missing:
        sentence = f"the settings file names control {name!r}, and {has}"
        if name in state.config.special_controls:
            remedy = f"correct [projects.{state.project.id}.controls.{name}] of the settings file"
            yield problem(sentence, "a run refuses the project: the name may be misspelt", remedy)
        else:
            remedy = f"correct [controls.{name}] of the settings file, unless it is about another project"
            yield warning(sentence, "the section has no effect on this project", remedy)
    if not missing:
        yield fine(f"policy {state.config.policy}; the settings fit the project's controls")


def overlap(state: ProjectState) -> Iterator[Finding]:
    """Look how many annotators a task is shown to."""
    n_tasks = sum(state.overlaps.values())
    if not n_tasks:
        yield warning("it has no tasks", "there is nothing to vote on", "import tasks")
    elif max(state.overlaps) == 1:
        yield warning(
            f"its tasks are shown to one annotator each ({n_tasks} looked at have overlap 1)",
            "one vote a task is all there can be: nobody's trust can be told from agreement",
            f"raise `maximum_annotations` of the project, or let `consensus route --project {state.project.id}` "
            "open the tasks on which another vote is worth most",
        )
    else:
        counts = ", ".join(f"{state.overlaps[number]} to {number}" for number in sorted(state.overlaps))
        yield fine(f"number of tasks by how many annotators they are shown to: {counts} ({n_tasks} looked at)")


def store(state: ProjectState) -> Iterator[Finding]:
    """Look whether the store's runs were about this project of this Label Studio."""
    origin, project = state.origin, state.project
    if not origin:
        return
    if not is_same_project(origin["created_at"], project.created_at):
        yield problem(
            f"the store's project {project.id} was made at another time, by {origin['url']}",
            "a run refuses it: votes of two projects would be mixed",
            "set CONSENSUS_DATABASE_URL to a database of its own for this one",
        )
    else:
        yield fine(f"the store's runs read the Label Studio at {origin['url'] or project.url}")


def last_run(state: ProjectState) -> Iterator[Finding]:
    """Look how old the last run is, and whether it was finished."""
    if not state.is_stored:
        return
    run, command = state.last_run, f"consensus run --project {state.project.id}"
    if run is None:
        yield warning("the store has no run of it", "its reports are not made", command)
        return
    started_at: datetime = run["started_at"]  # SQLite keeps no time zone
    age = state.now - (started_at if started_at.tzinfo else started_at.replace(tzinfo=UTC))
    began = f"the last run began {_ago(age)} ago"
    if run["finished_at"] is None and age < _AT_WORK:
        yield warning(f"{began} and has not finished", "it is at work, or was cut off", f"if it was: {command}")
    elif run["finished_at"] is None:
        yield problem(f"{began} and was not finished", "Label Studio holds only a part of its reports", command)
    elif age > _OLD:
        yield warning(f"{began} and finished", "the reports know nothing of what was annotated since", command)
    else:
        yield fine(f"{began} and finished")


CHECKS: dict[str, Callable[[ProjectState], Iterator[Finding]]] = {
    "controls": controls,
    "settings file": settings,
    "overlap": overlap,
    "store": store,
    "last run": last_run,
}


def _ago(age: timedelta) -> str:
    minutes = max(0, int(age.total_seconds() // 60))
    for unit, length in (("days", 1440), ("hours", 60)):
        if minutes >= 2 * length:
            return f"{minutes // length} {unit}"
    return f"{minutes} min"
