"""A run: from the annotations in Label Studio to the reports in Label Studio."""

from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import nullcontext, suppress
from dataclasses import asdict, dataclass, replace
from datetime import datetime

import numpy as np

from common.contract import REPORT_NAMES
from consensus.core.decide.policies import PolicyName
from consensus.core.decide.scoring import Scored, score
from consensus.core.decide.writeback import Difference, Entry, difference
from consensus.core.guarantee.conformal import NO_GOLD, guarantee
from consensus.core.guarantee.wording import guarantee_lines
from consensus.core.model.from_predictions import suggestions_on
from consensus.core.model.warm_start import WarmStart
from consensus.core.votes.controls import Control, ControlSettings, resolve
from consensus.core.votes.from_annotations import Collected, Problem, Task, collect
from consensus.errors import ConfigError
from consensus.files.start_files import unpacked
from consensus.label_studio import Project, Studio
from consensus.projects.deleted_accounts import with_known_annotators
from consensus.settings import ProjectConfig
from consensus.store.columns import Row
from consensus.store.rows import (
    annotator_rows,
    classification_columns,
    control_rows,
    judged_rows,
    seen_in,
    vote_columns,
)
from consensus.store.store import Store
from consensus.watcher import SILENT, Watcher

VERDICTS = {"AllConfirmed": "yes", "Discovered": "yes", "MisClassified": "no", "Controversial": "unsure"}
"""What a report says on a verification control."""


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


def run(
    studio: Studio,
    store: Store | None,
    config: ProjectConfig,
    project: int,
    *,
    now: Callable[[], datetime],
    policy: PolicyName | None = None,
    dry_run: bool = False,
    watcher: Watcher = SILENT,
) -> Outcome:
    """Run consensus on a project.

    A dry run, and a run without a store, reads and computes; it stores and sends nothing.

    Raises
    ------
    SuiteError
        Where Label Studio, the store or the settings cannot be used, or no control of the project can.
    """
    with store.lock(project) if store else nullcontext():
        started = now()
        found = studio.project(project)
        accounts = studio.accounts()
        pulled = studio.pull(project, accounts, watcher.of("reading tasks", found.n_tasks))
        if store:
            pulled = replace(pulled, tasks=list(with_known_annotators(pulled.tasks, store, project)))
        controls = resolve_controls(found, config, pulled.tasks)
        machines = [_account(name, accounts) for name in config.machines]
        collected = [collect(pulled.tasks, control, machines) for control in controls]
        trust = {_account(name, accounts): value for name, value in config.trust.items()}
        name, lines = policy or config.policy, config.lines(policy or config.policy)
        taught = [one if config.guarantee is None else replace(one, gold=NO_GOLD) for one in collected]
        known = _learned(store, project)
        scored = [
            score(
                one.votes,
                one.listed,
                one.gold,
                _hand(one, trust),
                name,
                lines,
                known.get(one.control.tag.name),
                suggestions_on(one, pulled.tasks) if config.model_votes else None,
            )
            for one in taught
        ]
        pairs, guarantees = _guaranteed(list(zip(collected, scored, strict=True)), config.guarantee)
        changes = difference([entry for pair in pairs for entry in entries(*pair)], pulled.written)
        unused = _unused(found, config, accounts, collected)
        dry_run = dry_run or store is None
        outcome = _outcome(found, pairs, unused, changes, studio.make_tabs(project, dry_run=True), dry_run=dry_run)
        outcome = replace(outcome, guarantees=tuple(guarantees))
        if dry_run or store is None:
            return outcome
        shown = found.model_version or _forgotten(store.last_run(project))
        facts = {
            "project": project,
            "started_at": started,
            "model_version": shown,
            "policy": name,
            "thresholds": asdict(lines),
            "tasks": len(pulled.tasks),
            "votes": outcome.votes,
            "problems": len(outcome.problems),
        }
        number = store.save(
            facts,
            classification_columns(pairs),
            vote_columns(pairs, pulled.tasks),
            [row for pair in pairs for row in judged_rows(*pair, pulled.tasks)],
            control_rows(pairs),
            seen_in(pairs, pulled.tasks),
        )
        if not found.model_version:
            studio.show(project, shown)
        to_name = {control.tag.name: control.tag.to_name for control in controls}
        total = len(changes.create) + len(changes.update) + len(changes.delete)
        tell = watcher.of("writing reports", total)

        def written(n: int) -> None:
            store.check(project)  # whoever has lost the lock writes no more beside the next run
            tell(n)

        written(0)
        studio.write(project, changes, to_name, written)
        if outcome.tabs:
            studio.make_tabs(project)
        store.finish(number, now())
        return outcome


def resolve_controls(project: Project, config: ProjectConfig, tasks: Sequence[Task]) -> list[Control]:
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
    data = [task.data for task in tasks]
    sections = {name: section.core() for name, section in config.controls.items()}
    return [
        resolve(tag, sections.get(tag.name, ControlSettings()), data, project.config)
        for tag in project.config.choices
    ]


def entries(collected: Collected, scored: Scored) -> Iterator[Entry]:
    """Yield what Label Studio should hold of one control: one entry per classification in a report."""
    control, votes, rows = collected.control, collected.votes, scored.classifications
    for row in np.flatnonzero(scored.report != ""):
        report = str(scored.report[row])
        choice = str(votes.label_names[rows.label[row]])
        if control.kind == "verification":
            verdict = VERDICTS.get(report)
            choice = next((label for label, says in control.answers.items() if says == verdict), "")
        yield Entry(
            task=int(votes.task_names[rows.task[row]]),
            report=report,
            control=control.tag.name if choice else "",
            choice=choice,
            score=round(float(scored.confidence[row]), 6),
            kind=control.kind,
        )


def _learned(store: Store | None, project: int) -> dict[str, WarmStart]:
    """What the last run learned, by control; without it a run takes longer and ends at the same."""
    found = {}
    for control, written in (store.learned(project) if store else {}).items():
        with suppress(ValueError):
            found[control] = unpacked(written)
    return found


def _account(name: str, accounts: Mapping[int, str]) -> str:
    """Name of an account that the settings name by its id or, in any case of its letters, by its address."""
    if name.isdecimal():
        return accounts.get(int(name), f"account {name}")
    return next((email for email in accounts.values() if email.casefold() == name.casefold()), name)


def _unused(
    project: Project, config: ProjectConfig, accounts: Mapping[int, str], collected: Sequence[Collected]
) -> list[str]:
    """Say which accounts and controls of the settings are not there: a name may be misspelt."""
    names = {tag.name for tag in project.config.choices}
    known, voted = set(accounts.values()), {name for one in collected for name in one.votes.annotator_names}
    machines = [name for name in config.machines if not name.isdecimal() and _account(name, accounts) not in known]
    return [
        *(f"control {name!r}, which this project does not have" for name in config.controls if name not in names),
        *(f"machine {name!r}, who has no account" for name in machines),
        *(f"trust of {name!r}, who has no vote" for name in config.trust if _account(name, accounts) not in voted),
    ]


def _forgotten(last: Row | None) -> str:
    """The version that annotators saw before a run that was cut off, perhaps right after it was forgotten."""
    return str(last["model_version"]) if last and last["finished_at"] is None else ""


def _hand(collected: Collected, trust: Mapping[str, float]) -> np.typing.NDArray[np.float64]:
    """Trust set by hand, by annotator; NaN where it is to be learned."""
    return np.array([trust.get(name, np.nan) for name in collected.votes.annotator_names], dtype=np.float64)


def _guaranteed(
    pairs: list[tuple[Collected, Scored]], share: float | None
) -> tuple[list[tuple[Collected, Scored]], list[str]]:
    """Put into the reports what ground truth allows, where the settings ask for a guarantee."""
    if share is None:
        return pairs, []
    found, told = [], []
    for one, scored in pairs:
        allowed, grounds = guarantee(scored, one.gold, share, one.votes.choice)
        n_gold = len(np.unique(one.gold.task))
        lines = guarantee_lines(share, n_gold, one.votes.n_tasks, grounds)
        told += [f"{one.control.tag.name}: {lines[0]}", *lines[1:]]
        found.append((one, allowed))
    return found, told


def _outcome(
    project: Project,
    pairs: Sequence[tuple[Collected, Scored]],
    unused: list[str],
    changes: Difference,
    tabs: list[str],
    *,
    dry_run: bool,
) -> Outcome:
    reports = Counter(name for _, scored in pairs for name in scored.report.tolist())
    problems = {problem: None for collected, _ in pairs for problem in collected.problems}
    return Outcome(
        project=project,
        controls=[collected.control for collected, _ in pairs],
        reports={name: reports[name] for name in REPORT_NAMES},
        classifications=sum(len(scored.classifications) for _, scored in pairs),
        votes=sum(len(collected.votes) for collected, _ in pairs),
        annotators=[row for pair in pairs for row in annotator_rows(*pair)],
        problems=list(problems),
        unused=unused,
        changes=changes,
        tabs=tabs,
        dry_run=dry_run,
    )
