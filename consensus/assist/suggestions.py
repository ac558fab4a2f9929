"""The suggestions of a model in a project, and what is known of how right they are."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from functools import cached_property
from typing import Any

import numpy as np

from common.contract import MACHINE_ACCOUNT, VERSION_PREFIX, GivenLabel, given_in
from common.label_studio.annotations import choices_in
from common.label_studio.suggestions import as_chosen, scores_in
from common.progress import Progress, of_step, silent
from consensus.assist.annotations import controls_of
from consensus.core.arrays import Codes, Flags, Floats, Keys
from consensus.core.assist.expected import Judged
from consensus.core.votes.collected import Collected
from consensus.core.votes.controls import Control
from consensus.core.votes.from_annotations import Task
from consensus.errors import ConfigError
from consensus.label_studio import CachedTasks, Project, Studio
from consensus.projects.project_votes import ProjectVotes, project_votes
from consensus.settings import ProjectConfig
from consensus.store.columns import Row
from consensus.store.reader import Snapshot
from consensus.store.store import Store
from consensus.store.tables import CLASSIFICATION

Group = tuple[str, tuple[str, ...]]
"""A control, and what is suggested on it: a label, or several of a multiple choice."""


@dataclass(frozen=True)
class Suggestion:
    """What a model suggests for a task on a control.

    Attributes
    ----------
    labels : tuple of str
        More than one on a multiple choice alone.
    score : float
        That of the least likely of the labels.
    prediction : int
        Id in Label Studio.
    annotated : bool
        Whether a person has annotated the task.
    decided : bool
        Whether the machine account has decided it on this control.
    scores : mapping of str to float
        Of each label that the model has scored, also of those it does not suggest.
    given : GivenLabel or None
        What the model says of the label that the task came with, not having learned from it.
    """

    task: int
    control: str
    labels: tuple[str, ...]
    score: float
    version: str
    prediction: int
    annotated: bool = False
    decided: bool = False
    scores: Mapping[str, float] = field(default_factory=dict)
    given: GivenLabel | None = None

    @property
    def group(self) -> Group:
        """What expectations are about."""
        return self.control, self.labels

    @property
    def is_open(self) -> bool:
        """Whether nobody has said anything about it."""
        return not self.annotated and not self.decided


@dataclass(frozen=True, eq=False)
class OpenSuggestions:
    """Suggestions that nobody has said anything about, in descending confidence.

    Attributes
    ----------
    rows : list of Suggestion
    group : (n,) int32
        Numbers of `Suggested.groups`.
    score : (n,) float64
    task : (n,) int64
    """

    rows: list[Suggestion]
    group: Codes
    score: Floats
    task: Keys


@dataclass(frozen=True, eq=False)
class JudgedGold:
    """Suggestions of gold tasks, made before anybody had annotated them, of which it was decided what is right.

    Attributes
    ----------
    group : (n,) int32
    score : (n,) float64
    wrong : (n,) bool
    """

    group: Codes
    score: Floats
    wrong: Flags


@dataclass(frozen=True, eq=False)
class Suggested:
    """A project's suggestions of one model version.

    Attributes
    ----------
    suggestions : list of Suggestion
        In descending confidence.
    votes : ProjectVotes
    truths : Truths
    audited : sequence of dict
        Items of batches that people judge blind.
    versions : sequence of str
        All that have suggestions in the project, the latest first.
    """

    project: Project
    version: str
    suggestions: list[Suggestion]
    votes: ProjectVotes
    truths: "Truths"
    audited: Sequence[Row] = ()
    versions: Sequence[str] = ()

    @cached_property
    def groups(self) -> dict[Group, int]:
        """A number for each group, of what is suggested now or was before."""
        names = [suggestion.group for suggestion in self.suggestions]
        names += [group for group, _, _, _ in self._judged_rows]
        return {group: number for number, group in enumerate(sorted(set(names)))}

    @cached_property
    def open(self) -> OpenSuggestions:
        """Those that nobody has said anything about."""
        rows = [each for each in self.suggestions if each.is_open]
        return OpenSuggestions(
            rows,
            np.array([self.groups[each.group] for each in rows], dtype=np.int32),
            np.array([each.score for each in rows], dtype=np.float64),
            np.array([each.task for each in rows], dtype=np.int64),
        )

    @cached_property
    def open_scores(self) -> list[Floats]:
        """Their scores by group, in descending order."""
        order = np.argsort(self.open.group, kind="stable")
        ends = np.searchsorted(self.open.group[order], np.arange(1, len(self.groups)))
        return np.split(self.open.score[order], ends) if self.groups else []

    @cached_property
    def judged(self) -> Judged:
        """Suggestions of any version that were made before anybody annotated their task, and are judged now."""
        rows = self._judged_rows
        return Judged(
            np.array([self.groups[group] for group, _, _, _ in rows], dtype=np.int32),
            np.array([score for _, score, _, _ in rows], dtype=np.float64),
            np.array([wrong for _, _, wrong, _ in rows], dtype=np.float64),
            np.array([decided for _, _, _, decided in rows], dtype=bool),
        )

    @cached_property
    def gold_tasks(self) -> frozenset[int]:
        """Tasks whose truth teaches trust."""
        return frozenset(
            int(collected.votes.task_names[task])
            for collected in self.votes.controls
            for task in np.unique(collected.gold.task).tolist()
        )

    @cached_property
    def judged_groups(self) -> list[Judged]:
        """The same for each group, in descending score."""
        return self.judged.by_group(len(self.groups))

    @cached_property
    def judged_gold(self) -> JudgedGold:
        """Those of the gold tasks."""
        rows = [
            (self.groups[group], score, truth[0] < 1)
            for collected in self.votes.controls
            for task, group, score in _made_before(collected)
            if task in self.gold_tasks and group in self.groups
            for truth in [self.truths.right(task, group)]
            if truth is not None and truth[1]
        ]
        group, score, wrong = zip(*rows, strict=True) if rows else ((), (), ())
        return JudgedGold(
            np.array(group, dtype=np.int32), np.array(score, dtype=np.float64), np.array(wrong, dtype=bool)
        )

    @cached_property
    def _judged_rows(self) -> list[tuple[Group, float, float, bool]]:
        rows = {
            (task, group[0]): (group, score)
            for collected in self.votes.controls
            for task, group, score in _made_before(collected)
        }
        # What is shown of an audited task was taken off; what was accepted there is known from its batch.
        rows |= {
            (item["task"], item["control"]): ((item["control"], tuple(item["labels"])), item["evidence"]["score"])
            for item in self.audited
            if "score" in (item["evidence"] or {})
        }
        judged = []
        for (task, _), (group, score) in rows.items():
            truth = self.truths.right(task, group)
            if truth is not None:
                judged.append((group, float(score), 1 - truth[0], truth[1]))
        return judged


class Truths:
    """What is known, or believed, to be right.

    Parameters
    ----------
    controls : sequence of Collected
    posteriors : mapping of (str, int, str) to float
        By control, task and label, where votes say something; empty where suggestions vote.
    multiple : mapping of str to sequence of str, optional
        Labels of each multiple choice; by default of those among the controls.
    """

    def __init__(
        self,
        controls: Sequence[Collected],
        posteriors: Mapping[tuple[str, int, str], float],
        multiple: Mapping[str, Sequence[str]] | None = None,
    ) -> None:
        self._posteriors = posteriors
        self._voted = {(control, task) for control, task, _ in posteriors}
        self._multiple = multiple or {
            each.control.tag.name: each.control.tag.labels
            for each in controls
            if each.control.choice == "multiple"
        }
        self._decided: dict[tuple[str, int], dict[str, bool]] = {}
        for each in controls:
            settled, votes = each.settled, each.votes
            for task, label, right in zip(
                settled.task.tolist(), settled.label.tolist(), settled.right, strict=True
            ):
                if label >= 0:
                    place = each.control.tag.name, int(votes.task_names[task])
                    self._decided.setdefault(place, {})[str(votes.label_names[label])] = bool(right)

    def right(self, task: int, group: Group) -> tuple[float, bool] | None:
        """Return how likely a suggestion is right and whether that was decided; None where nobody knows."""
        control, labels = group
        decided = self._decided.get((control, task), {})
        offered = self._multiple.get(control)
        if offered:
            labelled = [self._one(control, task, label, decided) for label in offered]
            if any(part is None for part in labelled):
                return None
            right = 1.0
            for label, part in zip(offered, labelled, strict=True):
                probability = part[0] if part else 0.0
                right *= probability if label in labels else 1 - probability
            return right, all(part[1] for part in labelled if part)
        return self._one(control, task, labels[0], decided)

    def _one(self, control: str, task: int, label: str, decided: Mapping[str, bool]) -> tuple[float, bool] | None:
        if label in decided:
            return float(decided[label]), True
        if any(decided.values()) and control not in self._multiple:
            return 0.0, True
        if (control, task) not in self._voted:
            return None
        return self._posteriors.get((control, task, label), 0.0), False


def read_suggestions(
    studio: Studio,
    store: Store,
    config: ProjectConfig,
    project: int,
    now: datetime,
    *,
    version: str | None = None,
    progress: Progress = silent,
) -> Suggested:
    """Read the suggestions of a model version, and the truth of those that people have judged since.

    Parameters
    ----------
    version : str, optional
        That which annotators see by default.

    Raises
    ------
    ConfigError
        Where the project shows no version and none is named, or the version has no prediction.
    """
    target = studio.project(project)
    version = version or target.model_version
    if not version:
        raise ConfigError(
            f"project {project} shows no model's suggestions; name a version with --version, or connect an ML "
            "backend"
        )
    counts = studio.client.version_counts(project)
    if version.startswith(VERSION_PREFIX) or version not in counts:
        versions = ", ".join(sorted(name for name in counts if not name.startswith(VERSION_PREFIX)))
        raise ConfigError(
            f"model version {version!r} has no prediction in project {project}; it has {versions or 'none'}"
        )
    store.recognize(project, target.url, target.created_at)
    accounts = studio.accounts()
    votes, states = studio.pull(
        project,
        accounts,
        now,
        lambda cached: (project_votes(cached, target, config, accounts, store), _states(cached)),
        of_step(progress, "reading tasks", target.n_tasks),
    ).tasks
    total = sum(count for count, _ in counts.values())
    rows = studio.client.predictions(project, total, version)
    controls = [collected.control for collected in votes.controls]
    latest: dict[tuple[int, str], Suggestion] = {}
    for task, row in sorted(rows, key=lambda pair: int(pair[1]["id"])):
        if row.get("model_version") == version and task in states:
            latest |= {(task, each.control): each for each in suggestions_in(task, row, controls, states[task])}
    ordered = sorted(latest.values(), key=lambda each: (-each.score, each.task, each.control))
    with store.snapshot() as snapshot:
        truths = Truths(votes.controls, {} if config.model_votes else posteriors(snapshot, project))
        audited = snapshot.decisions.audited(project)
        return Suggested(target, version, ordered, votes, truths, audited, _versions(counts))


def suggested_versions(studio: Studio, project: int) -> list[str]:
    """Return the model versions that have suggestions in a project, the latest first."""
    return _versions(studio.client.version_counts(project))


def _versions(counts: Mapping[str, tuple[int, str]]) -> list[str]:
    names = [name for name, (n, _) in counts.items() if n and not name.startswith(VERSION_PREFIX)]
    return sorted(names, key=lambda name: counts[name][1], reverse=True)


def suggestions_in(
    task: int, prediction: Mapping[str, Any], controls: Sequence[Control], states: Mapping[str, bool]
) -> Iterator[Suggestion]:
    """Yield what a prediction suggests, a control at a time; what has no score is none."""
    result = prediction.get("result")
    if not isinstance(result, list):
        return
    made = choices_in(as_chosen(result)).made
    for control in controls:
        name = control.tag.name
        if control.kind != "choices" or not made.get(name):
            continue
        labels = control.chosen(made)
        scores = _scores(result, control, prediction.get("score"))
        own = [scores[label] for label in labels or () if label in scores]
        if labels and len(own) == len(labels):
            yield Suggestion(
                task,
                name,
                labels,
                min(own),
                str(prediction.get("model_version")),
                int(prediction["id"]),
                annotated=states.get("", False),
                decided=states.get(name, False),
                scores=scores,
                given=_given(result, control),
            )


def _scores(result: Sequence[Any], control: Control, whole: object) -> dict[str, float]:
    """Return the score of each label that the regions of a control name, by its name of today."""
    return {
        control.renamed.get(label, label): score
        for region in regions_of(result, control.tag.name)
        for label, score in scores_in(region, whole).items()
    }


def _given(result: Sequence[Any], control: Control) -> GivenLabel | None:
    for region in regions_of(result, control.tag.name):
        if about := given_in(region):
            return about._replace(label=control.renamed.get(about.label, about.label))
    return None


def regions_of(result: Sequence[Any], control: str) -> list[Mapping[str, Any]]:
    """Regions of a prediction that are of a control."""
    return [region for region in result if isinstance(region, Mapping) and region.get("from_name") == control]


def _states(cached: CachedTasks) -> dict[int, dict[str, bool]]:
    """Return by task whether a person has annotated it (""), and the controls on which a machine has decided."""
    return {task.id: dict(_said_of(task)) for task, _ in cached.read()}


def _said_of(task: Task) -> Iterator[tuple[str, bool]]:
    for annotation in task.annotations:
        if annotation.annotator == MACHINE_ACCOUNT:
            yield from ((control, True) for control in controls_of({"result": annotation.result}))
        else:
            yield "", True


def _made_before(collected: Collected) -> Iterator[tuple[int, Group, float]]:
    """Yield what was suggested for a task before anybody annotated it."""
    if collected.suggestions is None:
        return
    labels: dict[int, list[tuple[str, float]]] = {}
    made, votes = collected.suggestions, collected.votes
    for task, label, score in zip(made.task.tolist(), made.label.tolist(), made.score.tolist(), strict=True):
        labels.setdefault(task, []).append((str(votes.label_names[label]), score))
    for task, pairs in labels.items():
        group = collected.control.tag.name, tuple(label for label, _ in pairs)
        yield int(votes.task_names[task]), group, min(score for _, score in pairs)


def posteriors(snapshot: Snapshot, project: int) -> dict[tuple[str, int, str], float]:
    """Return what the last run believes of what was voted on."""
    names = ["control", "task", "label", "yes", "no", "posterior"]
    columns = snapshot.columns(CLASSIFICATION, project, names)
    voted = np.flatnonzero(columns["yes"] + columns["no"] > 0).tolist()
    return {
        (str(columns["control"][row]), int(columns["task"][row]), str(columns["label"][row])): float(
            columns["posterior"][row]
        )
        for row in voted
    }
