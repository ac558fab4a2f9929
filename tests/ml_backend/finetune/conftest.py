"""A project of small pictures, in memory, whose backbone can be tuned in seconds."""

import io
from collections.abc import Iterator, Mapping
from contextlib import closing
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np
import pytest
from in_memory_label_studio import InMemoryStudio
from PIL import Image
from training_parts import client_of, kind_of, label_studio

from common.images.fetch import Connect
from ml_backend.backend import Backend
from ml_backend.finetune.image_squares import Fetch
from ml_backend.finetune.options import FINETUNE, TuningRequest
from ml_backend.settings import Settings
from ml_backend.training.train import Trainer

if TYPE_CHECKING:
    from conftest import Web

PROJECT = 7
COUNT = 40
ANNOTATED = 36
TINY: Mapping[str, float] = {"epochs": 1, "batch_size": 8, "image_size": 32}


def picture(number: int) -> bytes:
    """A dark or a light picture with noise of its own."""
    ground = 60 if kind_of(number) == "dark" else 190
    noise = np.random.default_rng(number).normal(scale=20, size=(48, 48, 3))
    file = io.BytesIO()
    Image.fromarray((ground + noise).clip(0, 255).astype(np.uint8)).save(file, "PNG")
    return file.getvalue()


@dataclass
class TinyProject:
    """Forty tasks with a picture each, the first thirty-six annotated; the last picture is cut off."""

    backend: Backend
    studio: InMemoryStudio
    id: int = PROJECT
    options: Mapping[str, float] = field(default_factory=lambda: TINY)

    kind_of = staticmethod(kind_of)
    picture = staticmethod(picture)

    @property
    def trainer_and_fetch(self) -> tuple[Trainer, Fetch]:
        """What a tuning is made with."""
        return self.backend.trainer, self.backend.fetcher.fetch

    def request(self, how: str = FINETUNE, **others: float) -> TuningRequest:
        """A tuning of one epoch."""
        return TuningRequest(how, {**self.options, **others})


@pytest.fixture
def project(settings: Settings, connections: Connect, web: "Web") -> Iterator[TinyProject]:
    """The project, and a backend that reads it."""
    studio = label_studio({number: [kind_of(number)] * (number <= ANNOTATED) for number in range(1, COUNT + 1)})
    web.pages |= {f"/{number}.png": picture(number) for number in range(1, COUNT)}
    web.pages[f"/{COUNT}.png"] = picture(COUNT)[:80]
    limited = settings.model_copy(update={"torch_threads": 1, "training_torch_threads": 1})
    backend = Backend(limited, connections)
    vars(backend)["client"] = client_of(studio)
    with closing(backend):
        yield TinyProject(backend, studio)
