"""What a training uses, in memory, for tests without a server and for child processes that are killed."""

import json
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import httpx
import numpy as np
from in_memory_label_studio import NOW, PROJECT, URL, Answer, InMemoryStudio, region

from common.contract import VERSION_PREFIX, signed_meta
from ml_backend.core.identity import Identity
from ml_backend.embedding.gather import Gathered, ImageRef
from ml_backend.errors import WeightsError
from ml_backend.label_studio.client import LabelStudioClient, Task
from ml_backend.model_registry import ModelRegistry
from ml_backend.settings import Settings
from ml_backend.training.train import Trainer

STAMP = str(int(NOW.timestamp()))
LATER_PROJECT = "2026-01-31T12:30:00.000000Z", str(int(NOW.timestamp()) + 1800)
"""When another project of this id was made, after a reset of Label Studio, and its stamp."""
KEY = "secret-key"
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

    def seeing_whole(self) -> None:
        """It has no view."""


@dataclass
class Loader:
    """Gives embedders; the weights named in ``lost`` cannot be had."""

    weights_id: str = "random"
    lost: set[str] = field(default_factory=set)
    exported: list[str] = field(default_factory=list)

    def close(self) -> None:
        """Nothing is open."""

    def preferred(self) -> Embedder:
        """What the settings would name."""
        return Embedder(self.weights_id)

    def export(self, identity: Identity) -> None:
        """Make it an engine."""
        self.exported.append(identity.key)

    def matching(self, identity: Identity, _key: str, **_: object) -> Embedder:
        """What a version was made with."""
        if identity.weights_id in self.lost:
            raise WeightsError(f"the weights {identity.weights_id} are not there")
        return Embedder(identity.weights_id, dict(identity.calibration))


class Images:
    """Every even task's image is dark, every odd one's light; those of ``broken`` tasks cannot be read."""

    def __init__(self, broken: frozenset[int] = frozenset()) -> None:
        self.broken = broken

    def close(self) -> None:
        """Nothing is open."""

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


def label_studio(votes: Mapping[int, Sequence[str | None]], config: str = CONFIG) -> InMemoryStudio:
    """A project of tasks with an annotation for each label; None is a skipped one."""
    made = InMemoryStudio(config)
    for number, labels in votes.items():
        add_task(made, number, *labels)
    return made


def annotated(count: int, n_tasks: int) -> InMemoryStudio:
    """A project of which the first tasks are annotated rightly."""
    return label_studio({number: [kind_of(number)] * (number < count) for number in range(n_tasks)})


def annotate_more(studio: InMemoryStudio) -> None:
    """Annotate the first task that nobody has, rightly."""
    number = next(number for number, task in studio.tasks.items() if not task["annotations"])
    studio.annotate(number, [region("kind", kind_of(number))])


def add_task(studio: InMemoryStudio, number: int, *labels: str | None) -> None:
    """Add a task with an annotation by an account of its own for each label."""
    votes = [
        {
            "completed_by": account,
            "was_cancelled": label is None,
            "result": [region("kind", label)] if label else [],
        }
        for account, label in enumerate(labels)
    ]
    studio.add_task({"image": f"/{number}.png"}, votes, task_id=number)


def report(studio: InMemoryStudio, task: int, name: str, choice: str, score: float) -> None:
    """Store what consensus says of a task."""
    version, said = f"consensus/{name}", region("kind", choice)
    said["meta"] = signed_meta(KEY, task, version, score, said, "choices")
    studio.predict(task, version, [said], score=score)


def client_of(studio: InMemoryStudio, key: str = KEY) -> LabelStudioClient:
    """The ML backend's client of it."""
    settings = {"label_studio_url": URL, "label_studio_api_key": key}
    return LabelStudioClient(Settings.model_validate(settings), studio)


def tasks_of(studio: InMemoryStudio) -> list[Task]:
    """Its tasks, as a training reads them."""
    return list(client_of(studio).annotated_tasks(PROJECT))


def suggested(studio: InMemoryStudio, version: str | None = None) -> dict[int, str]:
    """What the predictions of a version, or of all that are no reports, suggest first, by task."""
    return {
        row["task"]: row["result"][0]["value"]["choices"][0]
        for row in studio.predictions
        if version in (None, row["model_version"]) and not row["model_version"].startswith(VERSION_PREFIX)
    }


def refuse_half(studio: InMemoryStudio) -> Answer:
    """Store half of a request's predictions, and fail."""

    def answer(request: httpx.Request) -> httpx.Response:
        rows = json.loads(request.content)
        for row in rows[: len(rows) // 2]:
            studio.predict(row.pop("task"), **row)
        return httpx.Response(500)

    return answer


def kind_of(number: int) -> str:
    """What a task's image shows."""
    return "light" if number % 2 else "dark"


def trainer(
    settings: Settings,
    studio: InMemoryStudio,
    images: Images | None = None,
    backbones: Loader | None = None,
) -> Trainer:
    """A trainer of those parts."""
    parts: Any = client_of(studio), images or Images(), backbones or Loader()
    return Trainer(settings, *parts, ModelRegistry(settings.data_dir))
