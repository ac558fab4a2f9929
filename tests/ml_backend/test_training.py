from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from ml_backend.artifacts import Artifacts
from ml_backend.core.evidence import Annotation
from ml_backend.errors import LabelStudioError, NothingToLearnError
from ml_backend.gather import Gathered, ImageRef
from ml_backend.label_studio import Project, Task
from ml_backend.settings import Settings
from ml_backend.training import Trainer, find_evidence, predict_gathered

if TYPE_CHECKING:
    from conftest import Samples

NOW = datetime(2026, 1, 31, 12, tzinfo=UTC)


class Embedder:
    """Stands for random weights: its key tells what it was calibrated on."""

    backbone, weights_id, key = "resnet18", "random", "resnet18:random-0"

    def __init__(self, calibration: dict[str, Any] | None = None) -> None:
        self.calibration = calibration or {}

    def calibrate(self, prepared: Sequence[Any]) -> "Embedder":
        """Remember the number of images."""
        return Embedder({"n": np.array([len(prepared)], dtype=np.float32)})

    def with_calibration(self, calibration: dict[str, Any]) -> "Embedder":
        """Take a calibration from before."""
        return Embedder(dict(calibration))


class Loader:
    """Gives that embedder."""

    def preferred(self) -> Embedder:
        """Random weights."""
        return Embedder()


class Images:
    """Every even task's image is dark, every odd one's light; those of ``broken`` tasks cannot be read."""

    def __init__(self, samples: "Samples", broken: frozenset[int] = frozenset()) -> None:
        self.samples, self.broken = samples, broken

    def prepare(self, refs: Sequence[ImageRef], _: Embedder) -> tuple[list[int], Counter[str]]:
        """Those that can be read."""
        good = [ref.task_id for ref in refs if ref.task_id not in self.broken]
        return good, Counter({"missing": len(refs) - len(good)})

    def gather(self, refs: Sequence[ImageRef], **_: object) -> Gathered:
        """Embeddings with a little noise."""
        rng, found = np.random.default_rng(0), Gathered()
        for ref in refs:
            if ref.task_id in self.broken:
                found.failures[ref] = "missing"
            else:
                vector = self.samples.light if ref.task_id % 2 else self.samples.dark
                found.vectors[ref] = vector + rng.normal(scale=0.01, size=4).astype(np.float32)
        return found


class Studio:
    """A Label Studio in memory that keeps what is stored, in order."""

    def __init__(self, config: str, tasks: list[Task]) -> None:
        self.config, self.found, self.events, self.refuses = config, tasks, [], False
        self.stored: list[dict[str, Any]] = []
        self.old: set[str] = set()

    def project(self, project_id: int) -> Project:
        """The project shows nothing."""
        return Project(project_id, self.config, None)

    def tasks(self, _: int) -> list[Task]:
        """All tasks."""
        return self.found

    def tasks_with_version(self, *_: object) -> set[int]:
        """No task has a prediction."""
        return set()

    def import_predictions(self, _: int, predictions: list[dict[str, Any]]) -> int:
        """Keep them, or fail."""
        if self.refuses:
            raise LabelStudioError("answered 500")
        self.stored += predictions
        return len(predictions)

    def connections(self, _: int) -> list[Any]:
        """The project has no connection."""
        return []

    def show_version(self, _: int, version: str) -> None:
        """Note the version, or refuse one that nothing has."""
        if version not in self.versions(7):
            raise LabelStudioError("answered 400")
        self.events.append(version)

    def versions(self, _: int) -> list[str]:
        """The versions of the predictions, and those from before."""
        return sorted({one["model_version"] for one in self.stored} | self.old)

    def delete_version(self, *_: object) -> None:
        """Fail."""
        raise LabelStudioError("cannot be reached")


def task(number: int, label: str | None = None) -> Task:
    """A task, perhaps annotated."""
    annotation = (
        Annotation(1, "2026-01-01", skipped=False, ground_truth=False, choices={"kind": (label,)})
        if label
        else None
    )
    return Task(number, {"image": f"/{number}.png"}, (annotation,) if annotation else ())


def trainer(settings: Settings, studio: Studio, images: Images) -> Trainer:
    """A trainer of those parts."""
    return Trainer(settings, studio, images, Loader(), Artifacts(settings.data_dir))  # type: ignore[arg-type]


@pytest.fixture
def studio(samples: "Samples") -> Studio:
    """Twenty tasks, the first ten of them annotated."""
    labels = ["dark", "light"] * 5
    return Studio(samples.config, [task(n, labels[n] if n < 10 else None) for n in range(20)])


def test_all_tasks_get_predictions(settings: Settings, studio: Studio, samples: "Samples") -> None:
    """Ten annotations make suggestions for all twenty tasks, and then the version answers and is shown."""
    made = trainer(settings, studio, Images(samples)).train(7, NOW)
    by_task = {one["task"]: one["result"][0]["value"]["choices"][0] for one in studio.stored}
    assert by_task == {n: "light" if n % 2 else "dark" for n in range(20)}
    assert made.predictions == 20
    assert studio.events == [made.artifact.model_version] == Artifacts(settings.data_dir).versions(7)


def test_a_broken_image_costs_its_own_prediction(settings: Settings, studio: Studio, samples: "Samples") -> None:
    """An annotated and an open task without a readable image are left out and named; the others are served."""
    made = trainer(settings, studio, Images(samples, frozenset({0, 19}))).train(7, NOW)
    assert {one["task"] for one in studio.stored} == set(range(1, 19))
    assert {ref.task_id: reason for ref, reason in made.failures.items()} == {0: "missing", 19: "missing"}


def test_an_address_that_is_no_text_costs_its_own_prediction(
    settings: Settings, studio: Studio, samples: "Samples"
) -> None:
    """A task that holds a list of images where the config names one does not stop the training."""
    studio.found.append(Task(20, {"image": ["/20.png"]}, ()))
    made = trainer(settings, studio, Images(samples, frozenset({20}))).train(7, NOW)
    assert made.predictions == 20


def test_a_training_that_cannot_publish_leaves_the_last_version(
    settings: Settings, studio: Studio, samples: "Samples"
) -> None:
    """If Label Studio refuses the predictions, the version before goes on answering."""
    parts = trainer(settings, studio, Images(samples))
    first = parts.train(7, NOW).artifact.model_version
    studio.refuses = True
    with pytest.raises(LabelStudioError):
        parts.train(7, NOW.replace(hour=13))
    assert parts.artifacts.current_version(7) == first


def test_a_failing_clean_up_is_no_failed_training(settings: Settings, studio: Studio, samples: "Samples") -> None:
    """When the old version's predictions cannot be deleted, the new version answers and the old one is kept."""
    parts = trainer(settings.model_copy(update={"keep_versions": 1}), studio, Images(samples))
    first = parts.train(7, NOW).artifact.model_version
    second = parts.train(7, NOW.replace(hour=13)).artifact.model_version
    assert parts.artifacts.versions(7) == [second, first]
    assert parts.artifacts.current_version(7) == second


def test_without_publishing_nothing_is_stored(settings: Settings, studio: Studio, samples: "Samples") -> None:
    """The bulk import can be turned off; the version answers all the same."""
    quiet = settings.model_copy(update={"publish_predictions": False})
    made = trainer(quiet, studio, Images(samples)).train(7, NOW)
    assert studio.stored == []
    assert Artifacts(settings.data_dir).current_version(7) == made.artifact.model_version


@pytest.mark.parametrize(
    ("config", "tasks", "why"),
    [
        ("<View/>", [task(1, "dark")], "no <Choices>"),
        (None, [task(1), task(2)], "no annotation"),
        (None, [], "no annotation"),
    ],
)
def test_nothing_to_learn_makes_no_version(
    settings: Settings, samples: "Samples", config: str | None, tasks: list[Task], why: str
) -> None:
    """Without a control or an annotation nothing changes, and the message says what is missing."""
    parts = trainer(settings, Studio(config or samples.config, tasks), Images(samples))
    with pytest.raises(NothingToLearnError, match=why):
        parts.train(7, NOW)
    assert parts.artifacts.current_version(7) is None


def test_unreadable_annotated_images_are_nothing_to_learn_from(settings: Settings, samples: "Samples") -> None:
    """If only images without annotations can be read, no version is made."""
    parts = trainer(settings, Studio(samples.config, [task(0, "dark"), task(1)]), Images(samples, frozenset({0})))
    with pytest.raises(NothingToLearnError, match="no image of project 7 with an annotation"):
        parts.train(7, NOW)


@pytest.mark.parametrize(("later", "calibrated_on"), [(20, 20), (39, 20), (40, 40), (200, 64)])
def test_a_calibration_is_kept_until_the_project_has_doubled(
    settings: Settings, studio: Studio, samples: "Samples", later: int, calibrated_on: int
) -> None:
    """Embeddings depend on the calibration: it is made anew only while it has few images, and has 64 at most."""
    parts = trainer(settings, studio, Images(samples))
    assert parts.train(7, NOW).artifact.n_calibrated == 20
    studio.found = [*studio.found, *(task(n) for n in range(20, later))]
    assert parts.train(7, NOW.replace(hour=13)).artifact.n_calibrated == calibrated_on


def test_evidence_points_at_the_right_rows(samples: "Samples") -> None:
    """Rows follow the order of the embeddings, also where an image is missing between."""
    gathered = Gathered({ImageRef(n, "image", ""): samples.dark for n in (3, 1)})
    [evidence] = find_evidence([samples.kind], [task(1, "light"), task(2, "dark"), task(3, "dark")], gathered)
    assert dict(zip(evidence.rows.tolist(), evidence.shares.tolist(), strict=True)) == {1: [0, 1], 0: [1, 0]}


def test_predictions_name_their_task_and_version(samples: "Samples") -> None:
    """What is imported in bulk carries the id of its task and the artifact's version."""
    gathered = Gathered({ImageRef(5, "image", ""): samples.light})
    artifact = replace(samples.trained(), model_version="resnet18-random-20260131T120000-00bb")
    [only] = predict_gathered(artifact, gathered)
    assert (only["task"], only["model_version"]) == (5, "resnet18-random-20260131T120000-00bb")
