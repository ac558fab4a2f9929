"""Routing: which tasks need one more vote and from whom, and the label stream set to ask for it."""

from collections.abc import Iterator, Sequence
from contextlib import nullcontext
from dataclasses import dataclass, replace

import numpy as np

from common.progress import Progress, of_step, silent
from consensus.core.arrays import Floats
from consensus.core.routing.information_gain import gain_of_new_task
from consensus.core.routing.overlap import (
    MAX_VOTES,
    Change,
    Limits,
    Need,
    Served,
    ServedTask,
    change_of,
    is_current,
    need_of,
)
from consensus.core.votes.from_annotations import Problem
from consensus.errors import LabelStudioError
from consensus.label_studio import Project, Studio
from consensus.projects.deleted_accounts import with_known_annotators
from consensus.store.store import Store
from consensus.store.stored_votes import LastRun, last_run_of

ASKED = 5
"""So many annotators are named for a task."""
PATIENCE = 5
"""After so many refusals in a row the rest is not tried."""


@dataclass(frozen=True)
class Advice:
    """What one task needs.

    Attributes
    ----------
    reports : list of str
        Reports that its open classifications are in.
    votes : int
        People who had it, skips included.
    gain : float
        Bits that one more vote is expected to tell, on the mean over those who may give it; 0 where none is asked.
    annotators : list of (str, float)
        Who may give it, and what their vote is expected to tell; the best first, a few at most.
    overlap : int
        As it is.
    change : Change or None
        What is to be set.
    """

    task: int
    need: Need
    reports: list[str]
    votes: int
    gain: float
    annotators: list[tuple[str, float]]
    overlap: int
    change: Change | None


@dataclass(frozen=True)
class Routed:
    """What was found and sent.

    Attributes
    ----------
    advice : list of Advice
        Of every task, the most informative first.
    sent : int
        Tasks whose overlap was set; 0 in a dry run.
    failures : list of Problem
        Tasks that could not be set, and why.
    """

    project: Project
    advice: list[Advice]
    sent: int
    failures: list[Problem]
    limits: Limits
    dry_run: bool

    @property
    def changes(self) -> list[Change]:
        """What is to be set: first what is to be shown no more, then the most informative."""
        changes = [advice.change for advice in self.advice if advice.change]
        return sorted(changes, key=lambda change: not change.closed)


def route(
    studio: Studio,
    store: Store,
    project: int,
    *,
    max_votes: int = MAX_VOTES,
    dry_run: bool = False,
    progress: Progress = silent,
) -> Routed:
    """Set the overlap of each task so that votes go where they are needed.

    What is decided comes from the last run in the store; the overlap, and who had a task, from Label Studio. Only
    what differs is sent, so that a second call without new votes sends nothing. A task that fails does not keep
    the others.

    Parameters
    ----------
    max_votes : int
        At least 1. A task that so many people had, skips included, is shown to nobody more.
    dry_run : bool
        Read and tell; send nothing.

    Raises
    ------
    SuiteError
        Where the project has no run yet, or Label Studio or the store cannot be used.
    """
    with nullcontext() if dry_run else store.lock(project):
        with store.snapshot() as snapshot:
            last_run = last_run_of(snapshot, project)
        limits = Limits(min(last_run.fewest_votes, max_votes), max_votes)
        target = studio.project(project)
        (store.check_origin if dry_run else store.recognize)(project, target.url, target.created_at)
        served = studio.served(project, studio.accounts(), of_step(progress, "reading tasks", target.n_tasks))
        served = replace(served, tasks=tuple(with_known_annotators(served.tasks, store, project)))
        routed = Routed(target, advise(last_run, served, limits), 0, [], limits, dry_run)
        if dry_run:
            return routed
        failures = _send(studio, routed.changes, progress)
        return Routed(target, routed.advice, len(routed.changes) - len(failures), failures, limits, dry_run)


def advise(last_run: LastRun, served: Served, limits: Limits) -> list[Advice]:
    """Say of each task what it needs, the most informative first; finished ones last."""
    code = {int(task): position for position, task in enumerate(last_run.tasks)}
    gains = sum(
        (state.gain_by_task for state in last_run.controls), np.zeros((len(code), len(last_run.annotators) + 1))
    )
    reports = _open_reports(last_run)
    voters = np.any([*last_run.voted.values()], axis=0) if last_run.voted else np.zeros((len(code), 0), dtype=bool)
    new = _gain_of_new_task(last_run)
    advice = []
    for task in served.tasks:
        at = code.get(task.id)
        had = task.annotators | (set() if at is None else set(last_run.annotators[voters[at]].tolist()))
        need = need_of(
            task,
            is_open=at is None or bool(reports[at]),
            is_current=is_current(task, last_run.counted, last_run.started_at),
            limits=limits,
        )
        gain = new if at is None else gains[at]
        advice.append(_advice(task, need, served, limits, [] if at is None else reports[at], last_run, gain, had))
    return sorted(advice, key=lambda each: (-each.gain, each.task))


def _advice(
    task: ServedTask,
    need: Need,
    served: Served,
    limits: Limits,
    reports: Sequence[str],
    last_run: LastRun,
    gain: Floats,
    had: frozenset[str] | set[str],
) -> Advice:
    free = [position for position, name in enumerate(last_run.annotators) if name not in had]
    ranked = sorted(
        ((str(last_run.annotators[at]), float(gain[at])) for at in free), key=lambda pair: (-pair[1], pair[0])
    )
    worth = float(gain[free].mean() if free else gain[-1]) if need in ("vote", "limit") else 0.0
    return Advice(
        task=task.id,
        need=need,
        reports=sorted(set(reports) - {""}),
        votes=task.votes,
        gain=worth,
        annotators=ranked[:ASKED] if need == "vote" else [],
        overlap=task.overlap,
        change=change_of(task, need, limits, skips_count=served.skips_count),
    )


def _open_reports(last_run: LastRun) -> list[list[str]]:
    """By task: the report, or "", of each open classification."""
    reports: list[list[str]] = [[] for _ in last_run.tasks]
    for state in last_run.controls:
        for row in np.flatnonzero(state.is_open):
            reports[state.stored.task[row]].append(str(state.stored.report[row]))
    return reports


def _gain_of_new_task(last_run: LastRun) -> Floats:
    new: Floats = np.zeros(len(last_run.annotators) + 1)
    for state in last_run.controls:
        new += gain_of_new_task(state.stored, state.trust)
    return new


def _send(studio: Studio, changes: Sequence[Change], progress: Progress) -> list[Problem]:
    """Set one task after the other; a Label Studio that refuses several in a row is not asked on."""
    tell = of_step(progress, "setting overlap", len(changes))
    failures: list[Problem] = []
    in_a_row = 0
    for done, change in enumerate(changes, start=1):
        if in_a_row == PATIENCE:
            failures.append(Problem(change.task, f"not tried after {PATIENCE} refusals in a row"))
            continue
        try:
            studio.set_overlap(change)
        except LabelStudioError as error:
            failures.append(Problem(change.task, str(error)))
            in_a_row += 1
        else:
            in_a_row = 0
        tell(done)
    return failures


def counts(routed: Routed) -> Iterator[tuple[Need, int]]:
    """Yield how many tasks have each need."""
    needs = [advice.need for advice in routed.advice]
    needed: tuple[Need, ...] = ("vote", "none", "limit", "gold", "run")
    yield from ((need, needs.count(need)) for need in needed)
