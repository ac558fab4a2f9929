"""Tasks become predictions: one entry a task, in order, ``[]`` where there is nothing to suggest."""

import itertools
import time
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import structlog

from common.contract import GivenLabel, given_part
from ml_backend.core.clusters import Placed
from ml_backend.core.controls import Control
from ml_backend.core.suggestions import Ticking, suggestion
from ml_backend.embedding.backbones import Backbones
from ml_backend.embedding.gather import Gathered, Gatherer, ImageRef, Vector
from ml_backend.embedding.reasons import reason_of
from ml_backend.label_studio.client import Task
from ml_backend.model_registry import Artifact

log = structlog.get_logger()

NO_MODEL, NO_CONTROL, NO_EVIDENCE, BAD_TASK = "no_model_yet", "no_control", "no_evidence", "bad_task"
UNLIKE, SCORING_FAILED = "unlike_annotated", "scoring_failed"
_MOST_ID = 2**63  # no id of a database is as large
_SHOWN = 5  # tasks of one reason that a line of the log names

_TICKING = Ticking()
_NOTHING_TO_SAY = (NO_MODEL, NO_CONTROL, NO_EVIDENCE, UNLIKE)

Scored = dict[ImageRef, list[tuple[Control, Any, GivenLabel | None]]]
"""The controls that have something to suggest on an image, their probabilities, what is said of given labels."""


@dataclass
class Predictions:
    """Entries for Label Studio, and why some are empty.

    Parameters
    ----------
    entries : list
        One a task: a prediction, or an empty list.
    reasons : dict of int to str
        By position in ``entries``, for the empty ones.
    partial : dict of int to str
        The same for those of several images of which one has failed.
    embedded, cached : int
        Images that had to be embedded, and that were known.
    """

    entries: list[dict[str, Any] | list[Any]]
    reasons: dict[int, str] = field(default_factory=dict)
    partial: dict[int, str] = field(default_factory=dict)
    embedded: int = 0
    cached: int = 0


def image_refs(tasks: Sequence[Task], controls: Sequence[Control]) -> list[ImageRef]:
    """List the images of tasks that the controls are about."""
    keys = sorted({control.image_key for control in controls})
    return [ImageRef.of(task.id, key, task.data) for task in tasks for key in keys]


def predict(
    tasks: Sequence[Any],
    *,
    artifact: Artifact | None,
    controls: Sequence[Control],
    gatherer: Gatherer,
    backbones: Backbones,
    deadline_s: float,
    model_wait_s: float,
    project_id: int = 0,
    ticking: Ticking = _TICKING,
) -> Predictions:
    """Predict a request's tasks. Whatever one of them holds costs the others nothing.

    Parameters
    ----------
    tasks : sequence
        As Label Studio sends them: each a dict with ``id`` and ``data``.
    artifact : Artifact or None
        The project's current model.
    controls : sequence of Control
        What the label config of the request has to fill.
    deadline_s, model_wait_s : float
        What is not embedded after ``deadline_s`` is left empty, and embedded for the next time; a backbone that is
        being loaded is waited for.
    project_id : int
        Whose images these are.
    ticking : Ticking
        What is ticked in advance.
    """
    if artifact is None:
        return _all_empty(tasks, NO_MODEL)
    ends_at = time.monotonic() + deadline_s
    served = _served(artifact, controls)
    if not served:
        return _all_empty(tasks, NO_CONTROL)
    keys = sorted({control.image_key for control in served.values()})
    refs_of = [
        [ImageRef.of(task["id"], key, task["data"]) for key in keys] if is_task(task) else [] for task in tasks
    ]
    gathered = gatherer.gather(
        list(dict.fromkeys(ref for refs in refs_of for ref in refs)),
        embedding_key=artifact.embedding_key,
        embedder=lambda: backbones.matching(
            artifact.identity,
            artifact.embedding_key,
            timeout_s=min(model_wait_s, max(ends_at - time.monotonic(), 0)),
        ),
        ends_at=ends_at,
        project_id=project_id,
    )
    contents = {task["id"]: task["data"] for task in tasks if is_task(task)}
    scored, silent_because = _scored(artifact, served, gathered, contents)
    least_scores = _least_scores(artifact, ticking)
    done = Predictions([], embedded=gathered.embedded, cached=len(gathered.vectors) - gathered.embedded)
    for position, refs in enumerate(refs_of):
        failed = [gathered.failures[ref] for ref in refs if ref in gathered.failures]
        made = _made(refs, scored, artifact.model_version, least_scores)
        if isinstance(made, dict):
            done.entries.append(made)
            if failed:
                done.partial[position] = failed[0]
        else:
            done.entries.append([])
            done.reasons[position] = _why_empty(refs, failed, made, silent_because)
    _log_reasons(tasks, done)
    return done


def _scored(
    artifact: Artifact,
    served: dict[str, Control],
    gathered: Gathered,
    contents: Mapping[int, Mapping[str, object]],
) -> tuple[Scored, dict[ImageRef, str]]:
    """Score the images; with it, the reasons of those that get no score."""
    try:
        scored = score(artifact, served, gathered, contents)
        silent = [ref for ref, pairs in scored.items() if not pairs]
        if not silent:
            return scored, {}
        covered = artifact.model.covers(np.stack([gathered.vectors[ref] for ref in silent]))
        reasons = (NO_EVIDENCE if near else UNLIKE for near in covered)
        return scored, dict(zip(silent, reasons, strict=True))
    except Exception as error:  # noqa: BLE001 - an entry a task is owed, whatever is wrong with the model
        log.error(SCORING_FAILED, version=artifact.model_version, error=type(error).__name__)
        return {}, dict.fromkeys(gathered.vectors, SCORING_FAILED)


def _why_empty(
    refs: Sequence[ImageRef], failed: Sequence[str], fault: str | None, silent_because: dict[ImageRef, str]
) -> str:
    """Return why a task gets nothing: no task, an image that failed, an error, or what the model does not know."""
    if not refs:
        return BAD_TASK
    reasons = [silent_because[ref] for ref in refs if ref in silent_because]
    return next(iter([*failed, *([fault] if fault else []), *reasons]), NO_EVIDENCE)


def _made(
    refs: Sequence[ImageRef], scored: Scored, model_version: str, least_scores: dict[str, float]
) -> dict[str, Any] | str | None:
    """Make the prediction of a task; None where there is nothing to suggest, a reason where that fails."""
    answers = [answer for ref in refs for answer in scored.get(ref, ())]
    if not answers:
        return None
    try:
        return _suggestion(answers, refs[0].task_id, model_version, least_scores)
    except Exception as error:  # noqa: BLE001 - one task's fault must not cost the others theirs
        return reason_of(error)


def _suggestion(
    answers: Sequence[tuple[Control, Any, GivenLabel | None]],
    task_id: int,
    model_version: str,
    least_scores: Mapping[str, float],
) -> dict[str, Any] | None:
    """Make a prediction, with what is said of given labels in its regions, of which nothing is shown."""
    pairs = [(control, scores) for control, scores, _ in answers]
    made = suggestion(pairs, task_id=task_id, model_version=model_version, least_scores=least_scores)
    given = {control.name: about for control, _, about in answers}
    for region in made["result"] if made else ():
        if about := given[region["from_name"]]:
            region.update(given_part(about))
    return made


def score(
    artifact: Artifact,
    served: dict[str, Control],
    gathered: Gathered,
    contents: Mapping[int, Mapping[str, object]] | None = None,
) -> Scored:
    """Return for each embedded image the controls that have something to suggest, with their probabilities.

    Parameters
    ----------
    contents : mapping of int to mapping, optional
        Data of the tasks by id: what they came with is in it.
    """
    refs = list(gathered.vectors)
    if not refs:
        return {}
    embeddings = np.stack([gathered.vectors[ref] for ref in refs])
    tasks = [(ref.task_id, (contents or {}).get(ref.task_id, {})) for ref in refs]
    answers = artifact.model.answers(embeddings, served, tasks)
    return {
        ref: [
            (served[name], scores[row], given[row])
            for name, (scores, supported, given) in answers.items()
            if supported[row] and served[name].image_key == ref.key
        ]
        for row, ref in enumerate(refs)
    }


def _least_scores(artifact: Artifact, ticking: Ticking) -> dict[str, float]:
    return {
        trained.control.name: ticking.least_score(trained.control.name, trained.check)
        for trained in artifact.model.controls
    }


def predict_gathered(
    artifact: Artifact,
    gathered: Gathered,
    controls: Sequence[Control] | None = None,
    ticking: Ticking = _TICKING,
    *,
    tasks: Iterable[Task] = (),
) -> list[dict[str, Any]]:
    """Make the predictions of all embedded tasks, each with its ``task``; for the trained controls by default."""
    contents = {task.id: task.data for task in tasks}
    trained = {scores.control.name: scores.control for scores in artifact.model.controls}
    answering = trained.values() if controls is None else controls
    served = {control.name: control for control in answering if control.name in trained}
    version, least_scores = artifact.model_version, _least_scores(artifact, ticking)
    by_task: dict[int, list[tuple[Control, Any, GivenLabel | None]]] = {}
    for ref, answers in score(artifact, served, gathered, contents).items():
        by_task.setdefault(ref.task_id, []).extend(answers)
    made = (
        (task_id, _suggestion(answers, task_id, version, least_scores)) for task_id, answers in by_task.items()
    )
    return [{"task": task_id, **prediction} for task_id, prediction in made if prediction]


def placed_tasks(artifact: Artifact, gathered: Gathered) -> Placed:
    """Put the embedded tasks into clusters, each by its first image."""
    vectors: dict[int, Vector] = {}
    for ref, vector in gathered.vectors.items():
        vectors.setdefault(ref.task_id, vector)
    without = len({ref.task_id for ref in gathered.failures} - vectors.keys())
    if not vectors:
        return Placed(np.array([], dtype=np.int64), np.array([], dtype=np.int64), without)
    tasks = np.fromiter(vectors, dtype=np.int64)
    return artifact.model.clusters.place(np.stack([*vectors.values()]), tasks, without)


def _served(artifact: Artifact, controls: Sequence[Control]) -> dict[str, Control]:
    trained = {scores.control.name for scores in artifact.model.controls}
    return {control.name: control for control in controls if control.name in trained}


def is_task(task: Any) -> bool:  # noqa: ANN401 - whatever was sent
    """Return whether it has what a suggestion needs."""
    if not isinstance(task, dict) or not isinstance(task.get("data"), dict):
        return False
    return isinstance(task.get("id"), int) and abs(task["id"]) < _MOST_ID


def _all_empty(tasks: Sequence[Any], reason: str) -> Predictions:
    done = Predictions([[] for _ in tasks], dict.fromkeys(range(len(tasks)), reason))
    _log_reasons(tasks, done)
    return done


def _log_reasons(tasks: Sequence[Any], done: Predictions) -> None:
    """One line a reason, with a few of its tasks: a request may hold thousands."""
    for event, reasons in (("tasks_left_out", done.reasons), ("images_left_out", done.partial)):
        for reason, count in Counter(reasons.values()).items():
            if reason in _NOTHING_TO_SAY:
                log.info("nothing_to_suggest", reason=reason, tasks=count)
            else:
                rows = itertools.islice((row for row, each in reasons.items() if each == reason), _SHOWN)
                log.warning(event, reason=reason, tasks=count, for_example=[_id_of(tasks[row]) for row in rows])


def _id_of(task: Any) -> int | None:  # noqa: ANN401 - whatever was sent
    number = task.get("id") if isinstance(task, dict) else None
    return number if isinstance(number, int) else None
