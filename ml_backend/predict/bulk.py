"""Suggestions for a whole project: tasks are listed, embedded, predicted, and stored through the bulk import.

It can be killed at any moment and started again: embeddings are in the cache, and what Label Studio has is not
sent again. What could not be predicted is kept in a file, for ``--failed``.
"""

import json
from collections.abc import Callable, Iterable, Iterator, Mapping
from collections.abc import Set as AbstractSet
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from typing import Any

import structlog

from common.files import held, write_whole
from common.label_studio.client import LEAN_PAGE
from common.label_studio.rows import Project
from common.progress import Progress, silent
from ml_backend.core.controls import Control, image_controls
from ml_backend.core.suggestions import Ticking
from ml_backend.embedding.backbones import Backbones
from ml_backend.embedding.gather import Gathered, Gatherer, ImageRef
from ml_backend.errors import NothingToPredictError, VersionReplacedError
from ml_backend.label_studio.client import LabelStudioClient, Task
from ml_backend.label_studio.storing import delete_doubles, import_new, tasks_of_version, without_doubles
from ml_backend.model_registry import Artifact, ModelRegistry
from ml_backend.predict.predict import image_refs, predict_gathered

log = structlog.get_logger()

CHUNK = 10_000
"""Predictions that are made before they are stored: looking which are there takes time for each task."""
PAGE = LEAN_PAGE
"""Tasks that are embedded before their predictions are made, while the next are read."""
REFUSED = "refused_by_label_studio"
_VERSIONS = 3  # that one prediction begins with, where a training replaces them meanwhile

Advance = Callable[[int], None]
Embed = Callable[[list[ImageRef], Artifact, int, Advance], Gathered]
"""What embeds the images of a project for an artifact, here or on a cluster, and tells how many are done."""


def embed_here(gatherer: Gatherer, backbones: Backbones, wait_s: float) -> Embed:
    """Embed in this program, with the cache that the served suggestions use."""

    def embed(refs: list[ImageRef], artifact: Artifact, project_id: int, advance: Advance) -> Gathered:
        return gatherer.gather(
            refs,
            embedding_key=artifact.embedding_key,
            embedder=lambda: backbones.matching(artifact.identity, artifact.embedding_key, timeout_s=wait_s),
            advance=advance,
            project_id=project_id,
        )

    return embed


@dataclass
class BulkReport:
    """What a bulk prediction did.

    Parameters
    ----------
    tasks : int
        Looked at.
    already : int
        That had a prediction of the version before.
    silent : int
        About which the model has nothing to say.
    failures : dict of int to str
        A short reason by task.
    """

    model_version: str
    tasks: int = 0
    already: int = 0
    stored: int = 0
    silent: int = 0
    failures: dict[int, str] = field(default_factory=dict)


class FailedTasks:
    """The tasks of a project that have failed, in a file that is replaced in one step."""

    def __init__(self, data_dir: Path, project_id: int) -> None:
        self._path = data_dir / "projects" / str(int(project_id)) / "failed.json"

    def read(self) -> dict[int, str]:
        """Return the reasons by task; empty where nothing was kept."""
        try:
            stored = json.loads(self._path.read_text("utf-8"))
        except FileNotFoundError:
            return {}
        except ValueError:
            log.warning("failed_tasks_unreadable", path=str(self._path))
            return {}
        return {int(task): str(reason) for task, reason in stored.items()}

    def write(self, failures: Mapping[int, str]) -> None:
        """Keep the failures of now instead of the last ones."""
        write_whole(self._path, json.dumps({str(task): reason for task, reason in failures.items()}))


@dataclass(frozen=True)
class Bulk:
    """The parts that a bulk prediction uses."""

    client: LabelStudioClient
    registry: ModelRegistry
    embed: Embed
    data_dir: Path
    ticking: Ticking = field(default_factory=Ticking)
    renamed: Mapping[str, Mapping[str, str]] = field(default_factory=dict)

    def predict(
        self,
        project_id: int,
        *,
        failed_only: bool = False,
        progress: Progress = silent,
    ) -> BulkReport:
        """Predict all tasks of a project that have no prediction of the version that answers.

        On one machine, of each project one prediction runs at a time, and the next finds what that has stored.
        Where a training lets another version answer meanwhile, that one's predictions are made instead.
        What another machine has stored meanwhile is there twice for a moment, and once in the end.

        Parameters
        ----------
        failed_only : bool
            Only the tasks that failed last time.

        Raises
        ------
        NothingToPredictError
            If no version answers for the project, its controls are not those of its config, or one version after
            the other is replaced.
        SuiteError
            If Label Studio cannot be reached or keeps refusing.
        """
        if self.registry.current_version(project_id) is None:
            self._model(project_id)  # which refuses, before a file is made for a project that is none
        with held(self.data_dir / "projects" / str(int(project_id)) / "predicting.lock", wait=True):
            for _ in range(_VERSIONS - 1):
                try:
                    return self._predict(project_id, failed_only=failed_only, progress=progress)
                except VersionReplacedError:
                    log.info(
                        "predicting_again", project=project_id, version=self.registry.current_version(project_id)
                    )
            return self._predict(project_id, failed_only=failed_only, progress=progress)

    def _predict(self, project_id: int, *, failed_only: bool, progress: Progress) -> BulkReport:
        project, artifact, controls = self._model(project_id)
        failed = FailedTasks(self.data_dir, project_id)
        before = failed.read()
        report = BulkReport(artifact.model_version)
        done = without_doubles(self.client, project_id, artifact.model_version)
        there = len(done)
        of_project = project.counts.tasks if project.counts else 0
        counted, total = 0, len(before) if failed_only else of_project

        def advance(count: int) -> None:
            nonlocal counted
            counted += count
            progress("predicting", counted, total)

        advance(0)
        waiting: list[dict[str, Any]] = []
        for page in _pages(self._tasks(project_id, before if failed_only else None)):
            waiting += self._page(project_id, page, done, (artifact, controls), report, advance)
            if len(waiting) >= CHUNK:
                there += self._store(project_id, waiting[:CHUNK], report)
                waiting = waiting[CHUNK:]
            failed.write({**before, **report.failures})  # should this end before its end
        there += self._store(project_id, waiting, report)
        failed.write(report.failures)
        if report.stored:
            delete_doubles(self.client, project_id, artifact.model_version, there)
        return report

    def _model(self, project_id: int) -> tuple[Project, Artifact, tuple[Control, ...]]:
        project = self.client.project(project_id)
        config, artifact = project.label_config, self.registry.current(project_id, project.stamp)
        if artifact is None:
            raise NothingToPredictError(
                f"project {project_id} has no model version yet: annotate some tasks, then run "
                f"`ml-backend train --project {project_id}`"
            )
        trained = {scores.control.name for scores in artifact.model.controls}
        controls = tuple(control for control in image_controls(config, self.renamed) if control.name in trained)
        if not controls:
            raise NothingToPredictError(
                f"{artifact.model_version} knows no control of the label config that project {project_id} has "
                f"now: run `ml-backend train --project {project_id}`"
            )
        return project, artifact, controls

    def _tasks(self, project_id: int, only: Mapping[int, str] | None) -> Iterator[Task]:
        return (task for task in self.client.tasks_alone(project_id) if only is None or task.id in only)

    def _page(
        self,
        project_id: int,
        page: list[Task],
        done: AbstractSet[int],
        model: tuple[Artifact, tuple[Control, ...]],
        report: BulkReport,
        advance: Advance,
    ) -> list[dict[str, Any]]:
        """Make the predictions of some tasks and note why some have none."""
        artifact, controls = model
        new = [task for task in page if task.id not in done]
        report.tasks += len(page)
        report.already += len(page) - len(new)
        advance(len(page) - len(new))
        refs = image_refs(new, controls)
        one_each = len(refs) == len(new)
        gathered = self.embed(refs, artifact, project_id, advance if one_each else lambda _: None)
        if not one_each:
            advance(len(new))
        predictions = predict_gathered(artifact, gathered, controls, self.ticking, tasks=new)
        predicted = {prediction["task"] for prediction in predictions}
        for ref, reason in gathered.failures.items():
            if ref.task_id not in predicted:
                report.failures[ref.task_id] = reason
            log.warning("image_left_out", project=project_id, task=ref.task_id, reason=reason)
        report.silent += len({task.id for task in new} - predicted - report.failures.keys())
        return predictions

    def _store(self, project_id: int, predictions: list[dict[str, Any]], report: BulkReport) -> int:
        """Store predictions, of the version that still answers, for tasks that nobody has opened meanwhile.

        Returns
        -------
        int
            How many of the tasks have one now.
        """
        if not predictions:
            return 0
        now = self.registry.current_version(project_id)
        if now != report.model_version:
            raise VersionReplacedError(
                f"{report.model_version} does not answer for project {project_id} any more, {now} does: run "
                f"`ml-backend predict --project {project_id}` again"
            )
        stored = tasks_of_version(self.client, project_id, report.model_version)
        missing = [prediction for prediction in predictions if prediction["task"] not in stored]
        left_out = import_new(self.client, project_id, report.model_version, missing)
        report.already += len(predictions) - len(missing)
        report.failures |= dict.fromkeys(left_out, REFUSED)
        report.stored += len(missing) - len(left_out)
        return len(predictions) - len(left_out)


def _pages(tasks: Iterable[Task]) -> Iterator[list[Task]]:
    """Give tasks page by page, reading the next page while one is at work."""
    remaining = iter(tasks)

    def read() -> list[Task]:
        return list(islice(remaining, PAGE))

    with ThreadPoolExecutor(1, thread_name_prefix="reading-tasks") as reader:
        page = read()
        while page:
            coming = reader.submit(read)
            yield page
            page = coming.result()
