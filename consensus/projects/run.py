"""A run: from the annotations in Label Studio to the reports in Label Studio."""

import gc
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext, suppress
from dataclasses import asdict, dataclass, field, replace
from datetime import UTC, datetime, timedelta

import numpy as np

from common.contract import REPORT_NAMES, UNDECIDED
from common.errors import LabelStudioError
from common.label_studio.annotations import moment_of
from common.progress import Progress, of_step, silent
from consensus.core.arrays import Codes
from consensus.core.decide.policy_names import PolicyName
from consensus.core.decide.scoring import Scored, score
from consensus.core.decide.settled import settle
from consensus.core.decide.thresholds import Thresholds
from consensus.core.decide.writeback import Difference, Entry, Written, difference
from consensus.core.guarantee.conformal import NO_GOLD, guarantee
from consensus.core.guarantee.wording import guarantee_lines
from consensus.core.model.warm_start import WarmStart
from consensus.core.people.answers import answers_of
from consensus.core.routing.open_classifications import BY_LOWER_BOUND, open_rows, standing_of
from consensus.core.routing.undecided import with_undecided
from consensus.core.votes.collected import Collected, Problem
from consensus.core.votes.controls import Control
from consensus.core.votes.votes import submission_keys
from consensus.files.start_files import unpacked
from consensus.label_studio import Project, Studio
from consensus.projects.entries import entries
from consensus.projects.measures import measured
from consensus.projects.project_votes import ProjectVotes, account_named, project_votes
from consensus.projects.task_columns import COLUMNS, Columns, changed_columns, columns_of
from consensus.settings import ProjectConfig, processors
from consensus.store.columns import Row
from consensus.store.rows import (
    annotator_rows,
    assessment_rows,
    classification_columns,
    control_rows,
    coverage_of,
    vote_columns,
)
from consensus.store.store import Store

CLOCKS_DIFFER = timedelta(minutes=5)
"""What Label Studio's clock may be behind ours."""


@dataclass(frozen=True)
class Outcome:
    """What a run found and sent.

    Attributes
    ----------
    project : Project
    controls : list of Control
    reports : dict of str to int
        Classifications in each report.
    classifications, votes : int
    annotators : list of dict
        Columns control, annotator, votes, trust.
    problems : list of Problem
        What was left out, and why.
    unused : list of str
        What the settings name but this project does not have, one line each.
    changes : Difference
        What was sent, or, in a dry run, would be.
    tabs : list of str
        Reports whose tab was made, or would be.
    dry_run : bool
    guarantees : tuple of str
        What is guaranteed, and on what grounds, control by control; empty without a guarantee.
    gold_tasks : int
        Tasks with ground truth on some control.
    alike : tuple of str
        Who answers alike on which control, one line each.
    tasks_read : int
        How many tasks Label Studio was asked for; the others are as they were at the run before.
    settled_tasks, undecided_tasks : int
        Tasks with a label that somebody has decided, and with one that is in the report Undecided.
    one_vote_a_task : bool
        Whether no task has more than one vote, and Label Studio asks for no more.
    columns : mapping of int to mapping
        Columns of the Data Manager that were set, or would be, by task.
    failures : tuple of str
        What follows a run and could not be done, with the reason.
    """

    project: Project
    controls: list[Control]
    reports: dict[str, int]
    classifications: int
    votes: int
    annotators: list[Row]
    problems: list[Problem]
    unused: list[str]
    changes: Difference
    tabs: list[str]
    dry_run: bool
    guarantees: tuple[str, ...] = ()
    gold_tasks: int = 0
    alike: tuple[str, ...] = ()
    tasks_read: int = 0
    settled_tasks: int = 0
    undecided_tasks: int = 0
    one_vote_a_task: bool = False
    columns: Mapping[int, Columns] = field(default_factory=dict)
    failures: tuple[str, ...] = ()


@dataclass(frozen=True)
class Before:
    """What the last run left.

    Attributes
    ----------
    run : dict or None
        None before the first one.
    starts : mapping of str to WarmStart
        What it learned, by control; without it a run takes longer and ends at the same.
    """

    run: Row | None = None
    starts: Mapping[str, WarmStart] = field(default_factory=dict)

    @property
    def forgotten(self) -> str:
        """The version that annotators saw before a run that was cut off, perhaps right after it was forgotten."""
        return str(self.run["model_version"]) if self.run and self.run["finished_at"] is None else ""

    def without_news(self, votes: Sequence[Collected]) -> bool:
        """Whether it wrote all that it was to write, and no vote came, went or changed since.

        Then it was somebody else who has changed what was written.
        """
        n_votes = sum(len(each.votes) for each in votes)
        if not self.run or self.run["finished_at"] is None or self.run["votes"] != n_votes:
            return False
        latest = max((str(text) for each in votes for text in each.submissions.voted_at), default="")
        started_at: datetime = self.run["started_at"].replace(tzinfo=UTC)
        return moment_of(latest) < started_at - CLOCKS_DIFFER


@dataclass(frozen=True)
class Context:
    """What the steps of a run share: what is asked for, and what Label Studio held at its start.

    Attributes
    ----------
    model_version : str
        The version that annotators see; also where a run that was cut off has left none to see.
    accounts : mapping of int to str
        Name of each account by its id.
    versions : mapping of str to (int, str)
        How many predictions each report had, and when the latest was made.
    tasks_read : int
        How many of the tasks Label Studio was asked for; the others are as they were.
    """

    studio: Studio
    config: ProjectConfig
    policy: PolicyName
    progress: Progress
    started_at: datetime
    project: Project
    model_version: str
    accounts: Mapping[int, str]
    votes: ProjectVotes
    versions: Mapping[str, tuple[int, str]]
    tasks_read: int

    @property
    def thresholds(self) -> Thresholds:
        """Those of the policy, as the settings have them."""
        return self.config.lines(self.policy)

    def account(self, name: str) -> str:
        """Name of an account that the settings name."""
        return account_named(name, self.accounts)


def run(
    studio: Studio,
    store: Store | None,
    config: ProjectConfig,
    project: int,
    *,
    now: Callable[[], datetime],
    policy: PolicyName | None = None,
    dry_run: bool = False,
    progress: Progress = silent,
) -> Outcome:
    """Run consensus on a project.

    A dry run, and a run without a store, reads and computes what the run would; it stores and sends nothing.

    Raises
    ------
    SuiteError
        Where Label Studio, the store or the settings cannot be used, or no control of the project can.
    """
    dry_run = dry_run or store is None
    with uncollected(), store.lock(project) if store and not dry_run else nullcontext():
        before = last_run_of(store, project)
        context = read(studio, store, config, project, policy or config.policy, now(), progress, dry_run=dry_run)
        context = replace(context, model_version=context.model_version or before.forgotten)
        results, guarantees, reported, changes = compute(context, before.starts)
        if (
            before.starts
            and not changes.empty
            and before.without_news(context.votes.controls)
            and store
            and store.settled(project) == settled_by(results)
        ):
            # Somebody else has written, as a run with another store: learned from scratch, both find the same.
            results, guarantees, reported, changes = compute(context, {})
        outcome = outcome_of(context, results, guarantees, changes, dry_run=dry_run)
        if config.task_columns:
            outcome = replace(outcome, columns=changed_columns(context.votes.columns, columns_of(reported)))
        if store and not dry_run:
            check_alone(context)
            number = save(context, store, results, outcome)
            write_reports(context, store, outcome)
            counts = Counter(entry.model_version for entry in reported)
            written = written_on(changes, context.votes.written) | outcome.columns.keys()
            studio.note_written(project, written, counts)
            store.finish(number, now())
        return outcome


def settled_by(results: Sequence[tuple[Collected, Scored]]) -> set[tuple[str, int, str, float]]:
    """Return control, task, label and posterior of what is beyond doubt, as the store does."""
    settled = set()
    for collected, scored in results:
        rows, votes = scored.classifications, collected.votes
        certain = (scored.confidence == scored.upper) & np.isin(scored.upper, (0.0, 1.0))
        for row in np.flatnonzero(certain).tolist():
            task, label = int(votes.task_names[rows.task[row]]), str(votes.label_names[rows.label[row]])
            settled.add((collected.control.tag.name, task, label, float(scored.posterior[row])))
    return settled


@contextmanager
def uncollected() -> Iterator[None]:
    """Let the garbage collector rest: what a run reads stays, and it would look through that again and again."""
    enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if enabled:
            gc.enable()


def read(
    studio: Studio,
    store: Store | None,
    config: ProjectConfig,
    project: int,
    policy: PolicyName,
    started_at: datetime,
    progress: Progress,
    *,
    dry_run: bool,
) -> Context:
    """Read the project, its accounts and its tasks."""
    described = studio.project(project)
    if store:
        recognize = store.check_origin if dry_run else store.recognize
        recognize(project, described.url, described.created_at)
    versions, accounts = studio.written_versions(project), studio.accounts()
    pulled = studio.pull(
        project,
        accounts,
        started_at,
        lambda cached: project_votes(cached, described, config, accounts, store),
        of_step(progress, "reading tasks", described.n_tasks),
    )
    return Context(
        studio,
        config,
        policy,
        progress,
        started_at,
        described,
        described.model_version,
        accounts,
        pulled.tasks,
        versions,
        pulled.read,
    )


def compute(
    context: Context, starts: Mapping[str, WarmStart]
) -> tuple[list[tuple[Collected, Scored]], list[str], list[Entry], Difference]:
    """Return the results, what is guaranteed of them, what Label Studio should hold, and what leads there."""
    voted, guarantees = guaranteed(score_votes(context, starts), context.config.guarantee)
    results = [(collected, reported_as(context, collected, scored)) for collected, scored in voted]
    reported = [entry for result in results for entry in entries(*result)]
    return results, guarantees, reported, difference(reported, context.votes.written)


def reported_as(context: Context, collected: Collected, scored: Scored) -> Scored:
    """Let what somebody has decided decide, and name what is undecided."""
    choice, lines = collected.votes.choice, context.thresholds
    settled = settle(scored, collected.settled, choice)
    rows = standing_of(settled, choice)
    by_lower_bound = context.policy in BY_LOWER_BOUND
    is_open = open_rows(rows, lines.reject, by_lower_bound=by_lower_bound, fewest_votes=lines.fewest_votes)
    return replace(settled, report=with_undecided(rows, is_open))


def score_votes(context: Context, starts: Mapping[str, WarmStart]) -> list[tuple[Collected, Scored]]:
    """Score the votes of each control; where a guarantee is asked for, gold does not teach."""
    trust = {context.account(name): value for name, value in context.config.trust.items()}
    return [
        (
            collected,
            score(
                collected.votes,
                collected.listed,
                collected.gold if context.config.guarantee is None else NO_GOLD,
                np.array([trust.get(name, np.nan) for name in collected.votes.annotator_names], dtype=np.float64),
                context.policy,
                context.thresholds,
                starts.get(collected.control.tag.name),
                collected.suggestions if context.config.model_votes else None,
                threads=processors(),
            ),
        )
        for collected in context.votes.controls
    ]


def last_run_of(store: Store | None, project: int) -> Before:
    """Read what the last run left, from one state of the store: a dry run does not keep other runs away."""
    if store is None:
        return Before()
    with store.snapshot() as snapshot:
        run_row, learned = snapshot.last_run(project), snapshot.learned(project)
    starts = {}
    for control, written in learned.items():
        with suppress(ValueError):
            starts[control] = unpacked(written)
    return Before(run_row, starts)


def guaranteed(
    results: list[tuple[Collected, Scored]], share: float | None
) -> tuple[list[tuple[Collected, Scored]], list[str]]:
    """Put into the reports what ground truth allows, where the settings ask for a guarantee."""
    if share is None:
        return results, []
    allowed, wording = [], []
    for collected, scored in results:
        guaranteed_results, grounds = guarantee(scored, collected.gold, share, collected.votes.choice)
        n_gold = len(np.unique(collected.gold.task))
        lines = guarantee_lines(share, n_gold, collected.votes.n_tasks, grounds)
        wording += [f"{collected.control.tag.name}: {lines[0]}", *lines[1:]]
        allowed.append((collected, guaranteed_results))
    return allowed, wording


def outcome_of(
    context: Context,
    results: Sequence[tuple[Collected, Scored]],
    guarantees: Sequence[str],
    changes: Difference,
    *,
    dry_run: bool,
) -> Outcome:
    """Sum up what a run found and is to send."""
    reports = Counter(name for _, scored in results for name in scored.report.tolist())
    problems = {problem: None for collected, _ in results for problem in collected.problems}
    return Outcome(
        project=context.project,
        controls=[collected.control for collected, _ in results],
        reports={name: reports[name] for name in REPORT_NAMES},
        classifications=sum(len(scored.classifications) for _, scored in results),
        votes=sum(len(collected.votes) for collected, _ in results),
        annotators=[row for result in results for row in annotator_rows(*result)],
        problems=list(problems),
        unused=_unused(context, [collected for collected, _ in results]),
        changes=changes,
        tabs=context.studio.make_tabs(context.project.id, dry_run=True),
        gold_tasks=_number_of_tasks((collected, collected.gold.task) for collected, _ in results),
        settled_tasks=_number_of_tasks((collected, collected.settled.task) for collected, _ in results),
        undecided_tasks=_number_of_tasks(
            (collected, scored.classifications.task[scored.report == UNDECIDED]) for collected, scored in results
        ),
        one_vote_a_task=asks_for_one_vote(context, results),
        dry_run=dry_run,
        guarantees=tuple(guarantees),
        alike=tuple(
            f"{', '.join(names)} on {collected.control.tag.name}"
            for collected, scored in results
            for names in scored.alike
        ),
        tasks_read=context.tasks_read,
    )


def _number_of_tasks(chosen: Iterable[tuple[Collected, Codes]]) -> int:
    """Count the tasks that are chosen on some control, by their codes there."""
    return len(
        {name for collected, task in chosen for name in collected.votes.task_names[np.unique(task)].tolist()}
    )


def asks_for_one_vote(context: Context, results: Sequence[tuple[Collected, Scored]]) -> bool:
    """Whether no task has more than one vote, and none of the first ones is shown to more annotators."""
    for collected, _ in results:
        keys = np.unique(submission_keys(collected.votes)) // max(collected.votes.n_annotators, 1)
        if len(np.unique(keys)) < len(keys):
            return False
    has_votes = any(len(collected.votes) for collected, _ in results)
    return has_votes and max(context.studio.overlaps(context.project.id), default=0) == 1


def check_alone(context: Context) -> None:
    """Refuse to write beside a run with another store, which no lock of this one keeps away."""
    project = context.project.id
    for version, (number, latest) in context.studio.written_versions(project).items():
        number_before, latest_before = context.versions.get(version, (0, ""))
        if number > number_before or latest > latest_before:
            raise LabelStudioError(
                f"something else has written {version} of project {project} while this run read it: is there "
                "another consensus with a store of its own? This run writes nothing; let one store have it"
            )


def save(context: Context, store: Store, results: Sequence[tuple[Collected, Scored]], outcome: Outcome) -> int:
    """Store the run, and return its number."""
    run_row: Row = {
        "project": context.project.id,
        "started_at": context.started_at,
        "model_version": context.model_version,
        "policy": context.policy,
        "thresholds": asdict(context.thresholds),
        "tasks": len(context.votes.tasks),
        "votes": outcome.votes,
        "problems": len(outcome.problems),
    }
    classifications = classification_columns(results)
    controls = [collected for collected, _ in results]
    answers = [answers_of(collected.votes) for collected in controls]
    run_row["measures"] = measured(controls, answers, classifications, outcome.reports, context.votes.tasks)
    return store.save(
        run_row,
        classifications,
        vote_columns(results),
        [row for result, own in zip(results, answers, strict=True) for row in assessment_rows(*result, own)],
        control_rows(results),
        coverage_of(results, context.votes.tasks, context.votes.ground_truths),
    )


def write_reports(context: Context, store: Store, outcome: Outcome) -> None:
    """Write the reports into Label Studio."""
    studio, project, changes = context.studio, context.project.id, outcome.changes
    if not context.project.model_version:
        studio.show(project, context.model_version)
    to_name = {control.tag.name: control.tag.to_name for control in outcome.controls}
    total = len(changes.create) + len(changes.update) + len(changes.delete)
    tell = of_step(context.progress, "writing reports", total + len(outcome.columns))

    def written(n: int) -> None:
        store.check(project)  # whoever has lost the lock writes no more beside the next run
        tell(n)

    written(0)
    studio.write(project, changes, to_name, written)
    studio.write_columns(project, outcome.columns, COLUMNS, lambda n: written(total + n))
    if outcome.tabs:
        studio.make_tabs(project)


def written_on(changes: Difference, written: Sequence[Written]) -> set[int]:
    """Return the tasks whose predictions a difference changes."""
    deleted = frozenset(changes.delete)
    return {
        *(entry.task for entry in changes.create),
        *(update.entry.task for update in changes.update),
        *(each.entry.task for each in written if each.id in deleted or each.entry.model_version in changes.clear),
    }


def _unused(context: Context, votes: Sequence[Collected]) -> list[str]:
    """Name the accounts and controls of the settings that are not there: a name may be misspelt."""
    config, names = context.config, {tag.name for tag in context.project.config.choices}
    accounts = set(context.accounts.values())
    voted = {name for collected in votes for name in collected.votes.annotator_names}
    machines = [name for name in config.machines if not name.isdecimal() and context.account(name) not in accounts]
    return [
        *(f"control {name!r}, which this project does not have" for name in config.controls if name not in names),
        *(
            f"given_version {version!r} of control {collected.control.tag.name!r}, of which there is no prediction"
            for collected in votes
            if (version := collected.control.given_version) and version not in context.votes.versions
        ),
        *(f"machine {name!r}, who has no account" for name in machines),
        *(f"trust of {name!r}, who has no vote" for name in config.trust if context.account(name) not in voted),
    ]
