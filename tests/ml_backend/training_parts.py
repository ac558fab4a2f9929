"""What a training uses, in memory, for tests without a server and for child processes that are killed."""

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

import numpy as np

from ml_backend.core.consensus_targets import Verdict
from ml_backend.core.evidence import Annotation
from ml_backend.core.identity import Identity
from ml_backend.embedding.gather import Gathered, ImageRef
from ml_backend.errors import LabelStudioError, WeightsError
from ml_backend.label_studio.client import Project, Task
from ml_backend.model_registry import ModelRegistry
from ml_backend.settings import Settings
from ml_backend.training.train import Trainer

NOW = datetime(2026, 1, 31, 12, tzinfo=UTC)
STAMP = "1795256176"
CONFIG = """<View><Image name="image" value="$image"/>
<Choices name="kind" toName="image"><Choice value="dark"/><Choice value="light"/></Choices>
<TextArea name="note" toName="image"/></View>"""
BLIND = "0b11d0b1"
"""Weights that see no difference between images."""


class Embedder:
    """An embedder that embeds nothing; its key tells what it was calibrated on."""

    def __init__(self, weights_id: str = "random", calibration: dict[str, Any] | None = None) -> None:
        self.identity = Identity("resnet18", weights_id, 0, calibration or {})
        self.backbone, self.weights_id = "resnet18", weights_id
        self.calibration, self.key = self.identity.calibration, self.identity.key

    def calibrate(self, prepared: Sequence[Any]) -> "Embedder":
        """Remember the number of images."""
        return Embedder(self.weights_id, {"n": np.array([len(prepared)], dtype=np.float32)})

    def with_calibration(self, calibration: dict[str, Any]) -> "Embedder":
        """Take a calibration from before."""
        return Embedder(self.weights_id, dict(calibration))


@dataclass
class Loader:
    """Gives embedders; the weights named in ``lost`` cannot be had."""

    weights_id: str = "random"
    lost: set[str] = field(default_factory=set)

    def close(self) -> None:
        """Nothing is open."""

    def preferred(self) -> Embedder:
        """What the settings would name."""
        return Embedder(self.weights_id)

    def matching(self, identity: Identity, _key: str, **_: object) -> Embedder:
        """What a version was made with."""
        if identity.weights_id in self.lost:
            raise WeightsError(f"the weights {identity.weights_id} are not there")
        return Embedder(identity.weights_id, dict(identity.calibration))


class Images:
    """Every even task's image is dark, every odd one's light; those of ``broken`` tasks cannot be read."""

    def __init__(self, broken: frozenset[int] = frozenset()) -> None:
        self.broken = broken

    def prepare(self, refs: Sequence[ImageRef], _: Embedder) -> tuple[list[int], Counter[str]]:
        """Those that can be read."""
        good = [ref.task_id for ref in refs if ref.task_id not in self.broken]
        return good, Counter({"missing": len(refs) - len(good)})

    def gather(self, refs: Sequence[ImageRef], *, embedding_key: str, **_: object) -> Gathered:
        """Embeddings with a little noise, by blind weights of noise alone."""
        rng, found = np.random.default_rng(0), Gathered()
        sees = 0.0 if BLIND in embedding_key else 1.0
        for ref in refs:
            if ref.task_id in self.broken:
                found.failures[ref] = "missing"
            else:
                seen = np.array([sees * (1 if ref.task_id % 2 else -1), 0, 0, 0], dtype=np.float32)
                found.vectors[ref] = seen + rng.normal(scale=0.01, size=4).astype(np.float32)
        return found


class Studio:
    """A Label Studio in memory that keeps what is stored, in order."""

    def __init__(self, tasks: list[Task], config: str = CONFIG, stamp: str = STAMP) -> None:
        self.config, self.found, self.stamp = config, tasks, stamp
        self.events: list[str] = []
        self.refuses = self.fails_to_delete = False
        self.stored: list[dict[str, Any]] = []
        self.old: set[str] = set()
        self.spoken: list[tuple[int, Verdict]] = []

    def project(self, project_id: int) -> Project:
        """The project shows nothing."""
        return Project(project_id, self.config, None, stamp=self.stamp)

    def annotated_tasks(self, *_: object, **__: object) -> Iterator[Task]:
        """All tasks."""
        yield from self.found

    def tasks_alone(self, _: int) -> list[Task]:
        """All tasks."""
        return self.found

    def tasks_with_version(self, _: int, version: str) -> set[int]:
        """The tasks that have a prediction of a version."""
        return {one["task"] for one in self.stored if one["model_version"] == version}

    def import_predictions(self, _: int, predictions: Sequence[dict[str, Any]]) -> int:
        """Keep them, or fail."""
        if self.refuses:
            self.stored += predictions[: len(predictions) // 2]
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

    def version_counts(self, _: int) -> dict[str, tuple[int, str]]:
        """The same, and whether consensus has run."""
        counts = Counter(one["model_version"] for one in self.stored)
        counts.update(f"consensus/{one.report}" for _, one in self.spoken)
        return {version: (count, "2026-01-31") for version, count in counts.items()}

    def verdicts(self, *_: object) -> list[tuple[int, Verdict]]:
        """What consensus says."""
        return self.spoken

    def delete_version(self, _: int, version: str) -> None:
        """Delete a version's predictions, or fail."""
        if self.fails_to_delete:
            raise LabelStudioError("cannot be reached")
        self.stored = [one for one in self.stored if one["model_version"] != version]
        self.old.discard(version)


def task(number: int, *labels: str | None) -> Task:
    """A task with an annotation for each label; None is a skipped one."""
    annotations = tuple(
        Annotation(
            annotator,
            "2026-01-01",
            skipped=label is None,
            ground_truth=False,
            choices={"kind": (label,)} if label else {},
        )
        for annotator, label in enumerate(labels)
    )
    return Task(number, {"image": f"/{number}.png"}, annotations)


def kind_of(number: int) -> str:
    """What a task's image shows."""
    return "light" if number % 2 else "dark"


def tasks(annotated: int, count: int) -> list[Task]:
    """Tasks of which the first are annotated rightly."""
    return [task(number, *[kind_of(number)] * (number < annotated)) for number in range(count)]


def trainer(
    settings: Settings, studio: Studio, images: Images | None = None, backbones: Loader | None = None
) -> Trainer:
    """A trainer of those parts."""
    parts: Any = studio, images or Images(), backbones or Loader()
    return Trainer(settings, *parts, ModelRegistry(settings.data_dir))
