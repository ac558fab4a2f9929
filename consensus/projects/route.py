"""Routing: which tasks need one more vote and from whom, and the label stream set to ask for it."""

from collections.abc import Collection, Iterator, Sequence
from contextlib import nullcontext
from dataclasses import dataclass, replace

import numpy as np

from common.contract import MACHINE_ACCOUNT
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
from consensus.core.votes.collected import Problem
from consensus.errors import LabelStudioError
from consensus.label_studio import Project, Studio
from consensus.people.gold import below_line
from consensus.projects.project_votes import with_known_annotators
from consensus.settings import ProjectConfig
from consensus.store.reader import Snapshot
from consensus.store.store import Store
from consensus.store.stored_votes import ControlState, LastRun, last_run_of

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
    config: ProjectConfig | None = None,
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
    config : ProjectConfig, optional
        Of which controls ground truth is the given label: it leaves no task aside there. Who is below its
        `gold_line` is not asked.
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
            decided = decided_by_machine(snapshot, project)
        limits = Limits(min(last_run.fewest_votes, max_votes), max_votes)
        target = studio.project(project)
        (store.check_origin if dry_run else store.recognize)(project, target.url, target.created_at)
        accounts = studio.accounts()
        served = studio.served(project, accounts, of_step(progress, "reading tasks", target.n_tasks))
        served = replace(served, tasks=tuple(with_known_annotators(served.tasks, store, project)))
        sections = config.controls if config else {}
        from_stars = frozenset(name for name, section in sections.items() if section.given_annotations)
        below = below_line(store, project, config.review.gold_line) if config else ()
        present = frozenset(accounts.values()) - {row["annotator"] for row in below}
        advice = advise(last_run, served, limits, present, from_stars, decided)
        routed = Routed(target, advice, 0, [], limits, dry_run)
        if dry_run:
            return routed
        failures = _send(studio, routed.changes, progress)
        return Routed(target, routed.advice, len(routed.changes) - len(failures), failures, limits, dry_run)


def advise(
    last_run: LastRun,
    served: Served,
    limits: Limits,
    present: Collection[str],
    from_stars: Collection[str] = (),
    decided: Collection[int] = (),
) -> list[Advice]:
    """Return what each task needs, the most informative first; finished ones last.

    Parameters
    ----------
    present : collection of str
        Annotators who can be asked: a deleted account cannot.
    from_stars : collection of str
        Controls of which ground truth is the given label. Of the others it is known there what is right.
    decided : collection of int
        Tasks that a machine has decided.
    """
    code = {int(task): position for position, task in enumerate(last_run.tasks)}
    starred = _Open(last_run, [control for control in last_run.controls if control.control in from_stars])
    every = _Open(last_run, last_run.controls)
    voters = np.any([*last_run.voted.values()], axis=0) if last_run.voted else np.zeros((len(code), 0), dtype=bool)
    candidates = [position for position, name in enumerate(last_run.annotators) if name in present]
    advice = []
    for task in served.tasks:
        at = code.get(task.id)
        had = task.annotators | (set() if at is None else set(last_run.annotators[voters[at]].tolist()))
        questions = starred if task.starred and from_stars else every
        reports = [] if at is None else questions.reports[at]
        need = need_of(
            task,
            is_open=at is None or bool(reports),
            is_current=is_current(task, last_run.counted, last_run.started_at),
            limits=limits,
            stars_are_gold=not from_stars,
            is_decided=task.id in decided,
        )
        gain = questions.gain_of_new_task if at is None else questions.gains[at]
        free = [position for position in candidates if last_run.annotators[position] not in had]
        advice.append(_advice(task, need, served, limits, reports, last_run, gain, free))
    return sorted(advice, key=lambda each: (-each.gain, each.task))


def decided_by_machine(snapshot: Snapshot, project: int) -> frozenset[int]:
    """Return the tasks of which the machine account has decided each control of the last run."""
    controls = {row["control"] for row in snapshot.controls(project)}
    decided: dict[int, set[str]] = {}
    for row in snapshot.decisions.standing(project):
        if row["decided_by"] == MACHINE_ACCOUNT:
            decided.setdefault(row["task"], set()).add(row["control"])
    return frozenset(task for task, names in decided.items() if names >= controls)


class _Open:
    """What is open on some controls, and what a vote of each annotator would tell of it.

    Attributes
    ----------
    reports : list of list of str
        By task: the report, or "", of each open classification.
    gains : (n_tasks, n_annotators + 1) float64
        Bits.
    gain_of_new_task : (n_annotators + 1,) float64
    """

    def __init__(self, last_run: LastRun, controls: Sequence[ControlState]) -> None:
        n_voters = len(last_run.annotators) + 1
        self.gains: Floats = sum(
            (control.gain_by_task for control in controls), np.zeros((len(last_run.tasks), n_voters))
        )
        self.gain_of_new_task: Floats = sum(
            (gain_of_new_task(control.stored, control.trust) for control in controls), np.zeros(n_voters)
        )
        self.reports: list[list[str]] = [[] for _ in last_run.tasks]
        for control in controls:
            for row in np.flatnonzero(control.is_open):
                self.reports[control.stored.task[row]].append(str(control.stored.report[row]))


def _advice(
    task: ServedTask,
    need: Need,
    served: Served,
    limits: Limits,
    reports: Sequence[str],
    last_run: LastRun,
    gain: Floats,
    free: Sequence[int],
) -> Advice:
    ranked = sorted(
        ((str(last_run.annotators[position]), float(gain[position])) for position in free),
        key=lambda pair: (-pair[1], pair[0]),
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
    needed: tuple[Need, ...] = ("vote", "none", "limit", "gold", "decided", "run")
    yield from ((need, needs.count(need)) for need in needed)
