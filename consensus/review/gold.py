"""Tasks with known answers put before annotators."""

from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime

from common.contract import MACHINE_ACCOUNT
from common.label_studio.annotations import moment_of
from common.progress import Progress, of_step, silent
from consensus.assist.annotations import tasks_now
from consensus.assist.batches import Performed
from consensus.core.review.gold import GoldTask, Work, in_doses, in_proportion
from consensus.core.votes.from_annotations import Annotation, Task
from consensus.label_studio import Project, Studio
from consensus.projects.project_votes import account_named
from consensus.review.decisions import EVERYBODY
from consensus.review.stream import perform_stream
from consensus.settings import ProjectConfig
from consensus.store.store import Store

ONE_AFTER_THE_OTHER = "Sequential sampling"
OPEN = {"filter": "filter:tasks:completed_at", "operator": "empty", "type": "Datetime", "value": True}
"""Of tasks that the label stream still shows."""


@dataclass(frozen=True)
class GoldServed:
    """What was opened.

    Attributes
    ----------
    gold : int
        Tasks with a known answer.
    waiting : int
        Those that were shown to somebody before.
    opened : mapping of int to int
        Tasks that are opened now, each with to how many more annotators it is shown.
    closed : list of int
        Tasks that are shown to nobody any more.
    batch : Performed or None
        None in a dry run, and where nothing changes.
    """

    gold: int
    waiting: int
    opened: Mapping[int, int]
    closed: list[int]
    batch: Performed | None


def serve_gold(
    studio: Studio,
    store: Store,
    config: ProjectConfig,
    project: int,
    share: float,
    now: Callable[[], datetime],
    *,
    dry_run: bool = False,
    progress: Progress = silent,
) -> GoldServed:
    """Show annotators tasks with known answers, so that about a share of what each does next is such a task.

    Known is ground truth that teaches. Where Label Studio shows a task to several it shows first what has most
    annotations, and where it shows tasks in order those come first that were passed by: there a few are opened at
    a time, as many as annotators are owed. Where it draws at random, the share of all that is open is opened.

    Parameters
    ----------
    share : float
        In [0, 1); 0 closes what earlier calls opened.
    """
    target, accounts = studio.project(project), studio.accounts()
    (store.check_origin if dry_run else store.recognize)(project, target.url, target.created_at)
    machines = {MACHINE_ACCOUNT, *(account_named(name, accounts) for name in config.machines)}
    tasks = studio.pull(
        project,
        accounts,
        now(),
        lambda cached: [task for task, _ in cached.read()],
        of_step(progress, "reading tasks", target.n_tasks),
    ).tasks
    served = _served(studio, project, [task for task in tasks if _is_gold(task, target, config)])
    if share:
        opened, closed = _to_open(studio, store, target, tasks, served, machines, share), []
    else:
        ours = store.decisions.shown_by(project, "gold")
        opened, closed = {}, [task.id for task in served if task.served and task.id in ours]
    result = GoldServed(len(served), sum(task.served for task in served), opened, closed, None)
    if dry_run or not (opened or closed):
        return result
    items = [
        {"task": task, "control": "", "labels": [], "evidence": {"more": more}}
        for task, more in [*opened.items(), *((task, 0) for task in closed)]
    ]
    _, owner = studio.client.own_account()
    with store.lock_batches(project, EVERYBODY):
        moment = now()
        batch = store.decisions.open_batch(
            project, "gold", f"gold {moment.isoformat()} {closed} {opened}", made_by=owner, made_at=moment,
            items=items, params={"share": share},
        )  # fmt: skip
        performed = perform_stream(studio, store, batch, now, progress)
    return GoldServed(result.gold, result.waiting, opened, closed, performed)


def _is_gold(task: Task, project: Project, config: ProjectConfig) -> bool:
    """Whether the answer to a task is known, to measure annotators by."""
    sections = config.controls
    are_given = all(
        (section := sections.get(tag.name)) and section.given_annotations for tag in project.config.choices
    )
    return any(
        each.ground_truth and each.teaches and not each.skipped and (each.is_decision or not are_given)
        for each in task.annotations
    )


def _served(studio: Studio, project: int, tasks: list[Task]) -> list[GoldTask]:
    there = tasks_now(studio, project, {task.id for task in tasks})
    return [
        GoldTask(
            task.id, not there[task.id].get("is_labeled"), frozenset(each.annotator for each in task.annotations)
        )
        for task in tasks
        if task.id in there
    ]


def _to_open(
    studio: Studio,
    store: Store,
    target: Project,
    tasks: list[Task],
    served: list[GoldTask],
    machines: set[str],
    share: float,
) -> dict[int, int]:
    """Return which tasks to show to how many more annotators."""
    settings, seed = studio.client.project_settings(target.id), f"gold {target.id}"
    voters = {
        each.annotator
        for task in tasks
        for each in task.annotations
        if _is_vote(each) and each.annotator not in machines and not each.of_unknown_account
    }
    if settings.overlap == 1 and settings.sampling != ONE_AFTER_THE_OTHER:
        n_open = studio.client.count_tasks(target.id, **OPEN) - sum(task.served for task in served)
        return in_proportion(served, sorted(voters), n_open, share, seed)
    first = store.decisions.first_batch(target.id, "gold")
    done, gold = Counter[str](), Counter[str]()
    numbers = {task.id for task in served}
    if first:
        since = moment_of(first["made_at"].isoformat())
        for task in tasks:
            votes = [each for each in task.annotations if _is_vote(each) and moment_of(each.updated_at) >= since]
            names = {each.annotator for each in votes}
            done.update(names)
            gold.update(names if task.id in numbers else ())
    return in_doses(served, {name: Work(done[name], gold[name]) for name in sorted(voters)}, share, seed)


def _is_vote(annotation: Annotation) -> bool:
    return not annotation.ground_truth and not annotation.is_decision
