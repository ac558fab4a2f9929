"""What reviewers decide: a named account's ground truth, or what becomes of the work on a task.

Each decision is an item of a batch, so that it is written once and can be taken back.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from hashlib import sha256
from typing import Any

import numpy as np

from common.contract import MACHINE_ACCOUNT, decision_in
from common.label_studio.annotations import account_of, accounts_named, choices_in
from common.label_studio.label_config import ChoicesTag, is_visible
from common.progress import Progress, silent
from consensus.assist.annotations import annotations_of, given_by_annotations, starred_elsewhere, tasks_now
from consensus.assist.batches import GONE, Performed, WriteOptions, perform, plan
from consensus.core.review.names import RulingName
from consensus.core.review.rulings import SETTLES, Question, Ruling, ruled
from consensus.core.review.sampling import uniform
from consensus.core.votes.controls import ControlSettings, answers_of
from consensus.errors import ConfigError
from consensus.label_studio import Project, Studio
from consensus.projects.project_votes import account_named
from consensus.review.items import annotators_of
from consensus.review.queues import SETTLING, seed_of
from consensus.review.stream import perform_stream
from consensus.settings import ProjectConfig
from consensus.store.columns import Row
from consensus.store.decisions import AT_ONCE, BatchKind, Verdict
from consensus.store.store import Store
from consensus.store.tables import CLASSIFICATION

EVERYBODY = 0
"""No account's id: who decides holds the decisions of all reviewers of a project, so that two do not cross."""
VERDICTS: dict[RulingName, Verdict] = {
    "keep": "confirmed",
    "accept": "accepted",
    "correct": "corrected",
    "unusable": "unusable",
    "reject": "rejected",
    "ask": "asked",
}
WORDS: dict[Verdict, str] = {
    "accepted": "what was proposed is right",
    "confirmed": "the given label is right",
    "corrected": "another label is right",
    "rejected": "no more work",
    "unusable": "no label can be told",
    "asked": "one more annotator",
}


@dataclass(frozen=True)
class Refusal:
    """A ruling that was not followed, and why."""

    task: int
    control: str
    why: str


@dataclass(frozen=True)
class Decided:
    """What became of rulings.

    Attributes
    ----------
    batches : list of Performed
        One for what settles labels and teaches, one for what settles and does not, one for each other consequence;
        those alone of which there are rulings.
    refused : list of Refusal
    """

    batches: list[Performed]
    refused: list[Refusal]


@dataclass(frozen=True)
class _Group:
    """Rulings that are written together."""

    kind: BatchKind
    teaches: bool = False


def decide(
    studio: Studio,
    store: Store,
    config: ProjectConfig,
    project: int,
    rulings: Sequence[Ruling],
    *,
    reviewer: str,
    now: Callable[[], datetime],
    override: bool = False,
    progress: Progress = silent,
) -> Decided:
    """Write what a reviewer rules: labels as ground truth of their account, the rest as the work on the task.

    What settles labels measures annotators only where the task belongs to a random sample. Where it waits because
    of their votes it does not: on hard items alone everybody looks worse than they are.

    Parameters
    ----------
    reviewer : str
        Address or id of an account of Label Studio. Nobody decides on a task that they annotated.
    override : bool
        Decide again what somebody has decided; without it who, what and when is the refusal.

    Raises
    ------
    ConfigError
        Where the project has no run yet, or the reviewer no account, or that of a machine.
    SuiteError
        Where Label Studio or the store cannot be used.
    """
    target, accounts = studio.project(project), studio.accounts()
    account = accounts_named([reviewer], accounts)[reviewer]
    if account not in accounts:
        raise ConfigError(f"{reviewer!r} has no account in Label Studio, so nothing can be decided in that name")
    if accounts[account] in {MACHINE_ACCOUNT, *(account_named(name, accounts) for name in config.machines)}:
        raise ConfigError(f"{reviewer!r} is a machine account; a person decides")
    with store.lock_batches(project, EVERYBODY):
        store.recognize(project, target.url, target.created_at)
        bench = _Bench(studio, store, config, target, {ruling.task for ruling in rulings}, accounts)
        groups: dict[_Group, list[Row]] = {}
        refused = []
        for ruling in {(each.task, each.control): each for each in rulings}.values():
            try:
                group, item = bench.item(ruling, accounts[account], override=override)
            except ConfigError as error:
                refused.append(Refusal(ruling.task, ruling.control, str(error)))
            else:
                groups.setdefault(group, []).append(item)
        batches = []
        for group, items in groups.items():
            options = WriteOptions(
                account=account,
                ground_truth=True,
                teaches=group.teaches,
                over_people=True,
                verdict="confirmed",
                source="review",
            )
            batch = plan(
                store,
                project,
                group.kind,
                items,
                made_by=accounts[account],
                now=now(),
                options=options if group.kind == "review" else None,
                key=bench.key(group, items, account),
            )
            write = perform if group.kind == "review" else perform_stream
            batches.append(write(studio, store, batch, now, progress))
    return Decided(batches, refused)


class _Bench:
    """What is known of some tasks while somebody decides on them."""

    def __init__(
        self,
        studio: Studio,
        store: Store,
        config: ProjectConfig,
        target: Project,
        tasks: set[int],
        accounts: Mapping[int, str],
    ) -> None:
        self._config, self._project, self._accounts = config, target, accounts
        self._tags = {tag.name: tag for tag in target.config.choices}
        self._there = tasks_now(studio, target.id, tasks)
        self._scores: dict[tuple[int, str], list[Row]] = {}
        self._queues: dict[tuple[int, str], list[str]] = {}
        with store.snapshot() as snapshot:
            _, controls = snapshot.needed_controls(target.id)
            self._controls = {row["control"]: row for row in controls}
            for row in snapshot.of_tasks(CLASSIFICATION, target.id, tasks):
                self._scores.setdefault((row["task"], row["control"]), []).append(row)
            for row in snapshot.decisions.entries_of(target.id, tasks):
                if row["closed_at"] is None:
                    self._queues.setdefault((row["task"], row["control"]), []).append(row["queue"])
            standing = snapshot.decisions.standing(target.id, tasks if len(tasks) <= AT_ONCE else ())
            self._log = snapshot.decisions.last_decisions(target.id, tasks)
        self._standing = {(row["task"], row["control"]): row for row in standing if row["source"] in SETTLING}

    def item(self, ruling: Ruling, reviewer: str, *, override: bool) -> tuple[_Group, Row]:
        """Return what is to be written of a ruling, and with what.

        Raises
        ------
        ConfigError
            Where it is not to be.
        """
        tag, control = self._tags.get(ruling.control), self._controls.get(ruling.control)
        if tag is None or control is None:
            raise ConfigError(f"project {self._project.id} has no control {ruling.control!r} in its last run")
        task = self._there.get(ruling.task)
        if task is None:
            raise ConfigError(GONE)
        if reviewer in annotators_of(task, self._accounts):
            raise ConfigError(f"{reviewer} has annotated the task; somebody else decides on it")
        before = self._decided(task, tag)
        if before and not override:
            raise ConfigError(f"{before}; --override decides again")
        scores = self._scores.get((ruling.task, ruling.control), [])
        evidence: Row = {
            "verdict": VERDICTS[ruling.name],
            "reason": ruling.reason or None,
            "queues": self._queues.get((ruling.task, ruling.control), []),
            "votes": max((row["yes"] + row["no"] + row["unsure"] for row in scores), default=0),
            **({"overrides": before} if before else {}),
        }
        item: Row = {"task": ruling.task, "control": ruling.control, "labels": [], "evidence": evidence}
        if ruling.name in SETTLES:
            return self._settling(ruling, item, task, tag, self._question(tag, control, scores))
        evidence["more"] = int(ruling.name == "ask")
        return _Group("ask" if ruling.name == "ask" else "close"), item

    def _settling(
        self, ruling: Ruling, item: Row, task: Mapping[str, Any], tag: ChoicesTag, question: Question
    ) -> tuple[_Group, Row]:
        """Add the labels that a ruling stands for, and what else the task's ground truth says."""
        labels, evidence = ruled(ruling, question), item["evidence"]
        if labels == question.kept:
            evidence["verdict"] = "confirmed"
        evidence["given"] = list(question.given)
        evidence["posterior"] = {label: round(value, 4) for label, value in question.posterior.items()}
        if ruling.name == "accept":
            evidence["source"] = "consensus"
        regions = [_region(tag, labels, ruling)]
        others, teach = starred_elsewhere(task, {ruling.control}, given_by_annotations(self._config))
        if others:  # ground truth is one annotation a task: what it says of other controls goes with it
            regions += others
            evidence["regions"] = regions
        if is_visible(tag.conditions, choices_in(regions).made) is False:
            raise ConfigError(f"{tag.name!r} is asked after another choice; decide that first, then this")
        return _Group("review", teach and self._is_sampled(ruling)), {**item, "labels": list(labels)}

    def key(self, group: _Group, items: Sequence[Row], account: int) -> str:
        """Return the key of a batch: the same until something else is decided on one of its tasks."""
        content = [
            (
                item["task"],
                item["control"],
                item["labels"],
                item["evidence"]["verdict"],
                self._log.get(item["task"]),
            )
            for item in items
        ]
        return sha256(repr((group, account, sorted(content, key=repr))).encode()).hexdigest()

    def _question(self, tag: ChoicesTag, control: Row, scores: Sequence[Row]) -> Question:
        section = self._config.controls.get(tag.name)
        is_verification = control["kind"] == "verification"
        settings = section.core() if section else ControlSettings()
        return Question(
            labels=tag.labels,
            choice=control["choice"],
            given=tuple(row["label"] for row in scores if row["given"]),
            posterior={row["label"]: row["posterior"] for row in scores},
            answers=answers_of(tag, settings) if is_verification else {},
        )

    def _decided(self, task: Mapping[str, Any], tag: ChoicesTag) -> str:
        """Tell who has decided on a control of a task, what and when; empty where nobody has."""
        row = self._standing.get((task["id"], tag.name))
        if row:
            label = f" ({row['label']})" if row["label"] else ""
            at = row["at"].strftime("%Y-%m-%d %H:%M")
            return f"{row['decided_by']} has decided at {at} UTC: {WORDS[row['verdict']]}{label}"
        section = self._config.controls.get(tag.name)
        if section and section.given_annotations:
            return ""
        for annotation in annotations_of(task):
            labels = choices_in(annotation.get("result") or []).made.get(tag.name, ())
            if annotation.get("ground_truth") and labels and decision_in(annotation.get("result")) is None:
                who = self._accounts.get(account_of(annotation) or 0, "somebody")
                return f"ground truth of {who} of {annotation.get('updated_at')} says {', '.join(labels)}"
        return ""

    def _is_sampled(self, ruling: Ruling) -> bool:
        """Whether a task belongs to a random sample: of all tasks with votes, or of what was accepted."""
        review = self._config.review
        place = uniform(np.array([ruling.task]), seed_of(self._project.id, ruling.control))[0]
        drawn = review.spot_order == "random" and bool(place < review.spot_share)
        return drawn or "audit" in self._queues.get((ruling.task, ruling.control), [])


def _region(tag: ChoicesTag, labels: Sequence[str], ruling: Ruling) -> Row:
    name = sha256(repr(("review", ruling.task, ruling.control)).encode()).hexdigest()[:10]
    return {
        "id": name,
        "from_name": tag.name,
        "to_name": tag.to_name,
        "type": "choices",
        "value": {"choices": list(labels)},
    }
