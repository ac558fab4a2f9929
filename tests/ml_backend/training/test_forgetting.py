from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest
from in_memory_label_studio import PROJECT, InMemoryStudio
from training_parts import client_of

from common.files import held
from ml_backend.embedding.cache import Address, Embedded, EmbeddingCache
from ml_backend.errors import ForgettingError
from ml_backend.model_registry import ModelRegistry
from ml_backend.settings import Settings
from ml_backend.training.forgetting import check_forgettable, forget, gone, kept, kept_projects

if TYPE_CHECKING:
    from conftest import Samples

URL = "http://ml.example:9090"


@pytest.fixture
def settings(tmp_path: Path, samples: "Samples") -> Settings:
    """A backend that has trained projects 7 and 9."""
    for project in (PROJECT, 9):
        ModelRegistry(tmp_path).save(project, samples.trained())
    return Settings.model_validate({"data_dir": tmp_path, "public_url": URL})


def test_what_is_kept_of_a_project_goes(settings: Settings) -> None:
    """Its folder and the addresses that it has seen; those of other projects stay."""
    cache = EmbeddingCache(settings.data_dir / "embeddings.sqlite")
    seen = [Address(project, "/data/a.png", "content", float("inf")) for project in (PROJECT, 9)]
    cache.write([Embedded("key", "content", np.ones(3, dtype=np.float32)), *seen])
    assert kept(settings.data_dir, 9).versions == 1
    assert kept(settings.data_dir, 9).n_bytes > 0
    forget(settings, 9)
    assert kept_projects(settings.data_dir) == [PROJECT]
    assert cache.vectors_at(9, ["/data/a.png"], "key") == {}
    assert [*cache.vectors_at(PROJECT, ["/data/a.png"], "key")] == ["/data/a.png"]
    cache.close()


def test_a_project_that_is_trained_is_not_forgotten(settings: Settings) -> None:
    """The training would write into a folder that is gone."""
    lock = settings.data_dir / "projects" / "9" / "training.lock"
    with held(lock, wait=True), pytest.raises(ForgettingError, match="is being trained just now"):
        forget(settings, 9)
    assert kept_projects(settings.data_dir) == [PROJECT, 9]


def test_gone_is_what_label_studio_does_not_have(settings: Settings) -> None:
    """Of several projects, those that it does not show."""
    assert gone(client_of(InMemoryStudio()), kept_projects(settings.data_dir)) == [9]


def test_a_label_studio_without_projects_is_doubted(settings: Settings) -> None:
    """All would be gone for a wrong address or another account."""
    studio = InMemoryStudio()
    studio.projects.clear()
    with pytest.raises(ForgettingError, match="shows no project at all"):
        gone(client_of(studio), kept_projects(settings.data_dir))
    assert gone(client_of(studio), []) == []


def test_a_connected_project_is_not_forgotten(settings: Settings) -> None:
    """It would be learned anew; one that is gone, or no longer connected, may go."""
    studio = InMemoryStudio()
    client = client_of(studio)
    row = studio.connect(URL, "suggestions")
    with pytest.raises(ForgettingError, match=f"first run ml-backend disconnect --project {PROJECT}"):
        check_forgettable(client, settings, PROJECT)
    check_forgettable(client, settings, 9)
    del studio.connections[row["id"]]
    check_forgettable(client, settings, PROJECT)
