"""Suggestions for a whole project, with a Label Studio in memory and embeddings that are made here."""

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import httpx
import pytest
from in_memory_label_studio import InMemoryStudio, region
from training_parts import client_of, kind_of, suggested

from common.files import held
from ml_backend.embedding.gather import Gathered, ImageRef
from ml_backend.errors import LabelStudioError, NothingToPredictError, VersionReplacedError
from ml_backend.model_registry import Artifact, ModelRegistry
from ml_backend.predict.bulk import REFUSED, Bulk, FailedTasks

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from conftest import Samples


class Images:
    """Embeds images by their names; some cannot be had."""

    def __init__(self, samples: "Samples") -> None:
        self.samples = samples
        self.missing: set[int] = set()
        self.asked: list[int] = []

    def __call__(
        self, refs: list[ImageRef], _artifact: Artifact, _project: int, advance: "Callable[[int], None]"
    ) -> Gathered:
        """Embed what is there."""
        self.asked += [ref.task_id for ref in refs]
        advance(len(refs))
        gathered = Gathered()
        for ref in refs:
            if ref.task_id in self.missing:
                gathered.failures[ref] = "http_404"
            else:
                light = str(ref.url).startswith("light")
                gathered.vectors[ref] = self.samples.light if light else self.samples.dark
        return gathered


@pytest.fixture
def images(samples: "Samples") -> Images:
    """Images that can all be had."""
    return Images(samples)


@pytest.fixture
def studio(samples: "Samples") -> InMemoryStudio:
    """A project of ten tasks without predictions: dark images at even ids, light ones at odd."""
    made = InMemoryStudio(samples.config)
    for task in range(10):
        made.add_task({"image": f"{kind_of(task)}-{task}.png"}, task_id=task)
    return made


def store(studio: InMemoryStudio, version: str, *tasks: int) -> None:
    """Store predictions of a version."""
    for task in tasks:
        studio.predict(task, version, [region("kind", "dark")])


def predicted(studio: InMemoryStudio) -> list[int]:
    """The task of each prediction."""
    return sorted(row["task"] for row in studio.predictions)


@pytest.fixture
def bulk(studio: InMemoryStudio, images: Images, samples: "Samples", tmp_path: Path) -> Bulk:
    """A bulk prediction of a project that has a trained model."""
    registry = ModelRegistry(tmp_path)
    registry.save(7, samples.trained())
    registry.switch(7, samples.version)
    return Bulk(client_of(studio), registry, images, tmp_path)


def test_every_task_gets_its_suggestion_once(bulk: Bulk, studio: InMemoryStudio, samples: "Samples") -> None:
    """Ten tasks, ten predictions of the version that answers; a second run looks and stores nothing."""
    first = bulk.predict(7)
    assert suggested(studio, samples.version) == {task: kind_of(task) for task in range(10)}
    second = bulk.predict(7)
    assert (first.tasks, first.stored, first.already) == (10, 10, 0)
    assert (second.tasks, second.stored, second.already) == (10, 0, 10)
    assert predicted(studio) == list(range(10))


def test_requests_are_full(bulk: Bulk, studio: InMemoryStudio, monkeypatch: pytest.MonkeyPatch) -> None:
    """A request costs time for every task of the project: ten predictions, found by twos, go in four of three."""
    monkeypatch.setattr("ml_backend.predict.bulk.PAGE", 2)
    monkeypatch.setattr("ml_backend.predict.bulk.CHUNK", 3)
    assert bulk.predict(7).stored == 10
    assert [len(rows) for rows in studio.bodies("POST", "import/predictions")] == [3, 3, 3, 1]


def test_what_is_there_is_not_embedded_again(
    bulk: Bulk, studio: InMemoryStudio, images: Images, samples: "Samples"
) -> None:
    """After a run that was killed when four were stored, only the other six are looked at."""
    store(studio, samples.version, *range(4))
    bulk.predict(7)
    assert images.asked == [4, 5, 6, 7, 8, 9]
    assert predicted(studio) == list(range(10))


def test_what_a_killed_run_stored_twice_is_deleted(bulk: Bulk, studio: InMemoryStudio, samples: "Samples") -> None:
    """Task 3 has two predictions of the version that answers: it has one afterwards, as each of the others."""
    store(studio, samples.version, 3, 3)
    assert bulk.predict(7).already == 1
    assert predicted(studio) == list(range(10))


def test_one_prediction_of_a_project_runs_at_a_time(
    bulk: Bulk, images: Images, studio: InMemoryStudio, tmp_path: Path
) -> None:
    """A second one waits, and then finds all there."""

    def embed(*arguments: Any) -> Gathered:  # noqa: ANN401 - as the other one takes them
        with held(tmp_path / "projects" / "7" / "predicting.lock", wait=False) as free:
            assert not free
        return images(*arguments)

    assert replace(bulk, embed=embed).predict(7).stored == 10
    assert bulk.predict(7).already == 10
    assert predicted(studio) == list(range(10))
    assert images.asked == list(range(10))


def test_what_another_machine_stores_meanwhile_is_there_once(
    bulk: Bulk, studio: InMemoryStudio, samples: "Samples"
) -> None:
    """Between the look and the request somebody else has stored some of the same."""

    def store_some(_: httpx.Request) -> None:
        del studio.faults["POST import/predictions"]
        store(studio, samples.version, 1, 2, 3)

    studio.faults["POST import/predictions"] = store_some
    bulk.predict(7)
    assert predicted(studio) == list(range(10))


def trained_meanwhile(bulk: Bulk, images: Images, samples: "Samples", versions: "Iterable[str]") -> Bulk:
    """The same, but each time that images are embedded the next of these versions begins to answer."""
    coming = iter(versions)

    def embed(*arguments: Any) -> Gathered:  # noqa: ANN401 - as the other one takes them
        if version := next(coming, None):
            bulk.registry.save(7, samples.trained(version))
            bulk.registry.switch(7, version)
        return images(*arguments)

    return replace(bulk, embed=embed)


def test_where_a_training_ends_meanwhile_its_version_is_predicted(
    bulk: Bulk, images: Images, studio: InMemoryStudio, samples: "Samples"
) -> None:
    """Nothing of the version that was replaced is stored, and nobody has to start again."""
    newer = "resnet18-random-20270101T120000-00bb"
    done = trained_meanwhile(bulk, images, samples, [newer]).predict(7)
    assert (done.model_version, done.stored, done.already) == (newer, 10, 0)
    assert {row["model_version"] for row in studio.predictions} == {newer}
    assert predicted(studio) == list(range(10))


def test_where_one_training_ends_after_the_other_it_says_so(
    bulk: Bulk, images: Images, studio: InMemoryStudio, samples: "Samples"
) -> None:
    """Three versions are begun with; then the fourth is named, and nothing was stored."""
    newer = [f"resnet18-random-2027010{day}T120000-00bb" for day in (1, 2, 3)]
    with pytest.raises(VersionReplacedError, match=f"{newer[1]} does not answer .* {newer[2]} does: run"):
        trained_meanwhile(bulk, images, samples, newer).predict(7)
    assert predicted(studio) == []


def test_failures_are_named_and_tried_again(bulk: Bulk, studio: InMemoryStudio, images: Images) -> None:
    """Two missing images cost two tasks; with failed_only these two are asked, and one of them is there now."""
    images.missing = {3, 4}
    first = bulk.predict(7)
    assert (first.stored, first.failures) == (8, {3: "http_404", 4: "http_404"})
    images.missing, images.asked = {4}, []
    again = bulk.predict(7, failed_only=True)
    assert images.asked == [3, 4]
    assert (again.tasks, again.stored, again.failures) == (2, 1, {4: "http_404"})
    assert FailedTasks(bulk.data_dir, 7).read() == {4: "http_404"}
    assert predicted(studio) == [0, 1, 2, 3, 5, 6, 7, 8, 9]


def test_what_label_studio_refuses_is_a_failure(bulk: Bulk, studio: InMemoryStudio) -> None:
    """A prediction that Label Studio leaves out without an error is listed with the failures."""
    renamed = studio.project["label_config"].replace('"light"', '"bright"')

    def rename(_: httpx.Request) -> None:
        studio.project["label_config"] = renamed

    studio.faults["POST import/predictions"] = rename
    assert bulk.predict(7).failures == dict.fromkeys(range(1, 10, 2), REFUSED)


def test_failures_survive_a_run_that_ends_in_an_error(bulk: Bulk, studio: InMemoryStudio, images: Images) -> None:
    """Label Studio goes away before anything is stored: what failed is known to the next --failed."""
    images.missing = {3}
    studio.faults["POST import/predictions"] = httpx.Response(400)
    with pytest.raises(LabelStudioError):
        bulk.predict(7)
    assert FailedTasks(bulk.data_dir, 7).read() == {3: "http_404"}


def test_progress_counts_every_task(bulk: Bulk, studio: InMemoryStudio, samples: "Samples") -> None:
    """What is already there counts as done: the bar ends at the number of tasks."""
    store(studio, samples.version, 0)
    steps: list[tuple[str, int, int]] = []
    bulk.predict(7, progress=lambda *step: steps.append(step))
    assert (steps[0], steps[-1]) == (("predicting", 0, 10), ("predicting", 10, 10))


def test_without_a_version_the_message_says_what_to_run(bulk: Bulk, studio: InMemoryStudio) -> None:
    """A project that was never trained, and one whose controls have all been replaced, ask for a training."""
    studio.add_project("<View/>", 8)
    with pytest.raises(NothingToPredictError, match="ml-backend train --project 8"):
        bulk.predict(8)
    studio.project["label_config"] = "<View/>"
    with pytest.raises(NothingToPredictError, match="knows no control"):
        bulk.predict(7)


def test_a_damaged_list_of_failures_is_an_empty_one(tmp_path: Path) -> None:
    """A file that is no JSON costs the list, not the command."""
    (tmp_path / "projects" / "7").mkdir(parents=True)
    (tmp_path / "projects" / "7" / "failed.json").write_text("{")
    assert FailedTasks(tmp_path, 7).read() == {}
