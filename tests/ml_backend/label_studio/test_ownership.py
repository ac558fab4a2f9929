from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from in_memory_label_studio import InMemoryStudio
from training_parts import client_of

from common.label_studio.rows import ConnectionRow
from ml_backend.core.versions import untrained_version
from ml_backend.label_studio.ownership import instance_id, own_connections, owns
from ml_backend.model_registry import ModelRegistry
from ml_backend.settings import Settings

if TYPE_CHECKING:
    from conftest import Samples

OURS, OTHERS = "http://ml.example:9090", "http://other.example:9090"


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    """A backend that does not know its own address."""
    return Settings.model_validate({"data_dir": tmp_path / "ours"})


@pytest.fixture
def trained(settings: Settings, samples: "Samples") -> str:
    """The version that it has trained for project 7."""
    registry = ModelRegistry(settings.data_dir)
    registry.save(7, samples.trained())
    return samples.version


def test_a_project_without_a_connection_is_nobodys(settings: Settings, trained: str) -> None:
    """Also where this backend has trained it."""
    assert trained
    assert not owns(client_of(InMemoryStudio()), settings, 7)


def test_a_connection_to_the_public_address_is_ours(settings: Settings) -> None:
    """However the address is written, and whether or not Label Studio reaches it now."""
    studio = InMemoryStudio()
    studio.connect("http://ML.example:9090/", "suggestions", state="DI")
    there = settings.model_copy(update={"public_url": OURS})
    elsewhere = settings.model_copy(update={"public_url": OTHERS})
    assert owns(client_of(studio), there, 7)
    assert not owns(client_of(studio), elsewhere, 7)


def test_before_the_first_version_the_identity_tells(settings: Settings, tmp_path: Path) -> None:
    """What ``/setup`` named through Label Studio is this backend's, not that of one with another folder."""
    for folder, ours in ((settings.data_dir, True), (tmp_path / "other", False)):
        studio = InMemoryStudio()
        name = untrained_version("resnet18", "imagenet", instance_id(folder))
        studio.connect(OURS, "suggestions", model_version=name)
        assert owns(client_of(studio), settings, 7) is ours


def test_a_version_that_only_this_backend_has_tells(settings: Settings, trained: str) -> None:
    """Where it answers, or was the last that was seen of a connection that does not answer now."""
    for row, ours in (
        ({"model_version": trained, "title": "suggestions"}, True),
        ({"model_version": "resnet18-random-20260131T130000-00bb", "title": trained}, False),
        ({"model_version": "resnet18-random-untrained-ffff", "title": trained}, False),
        ({"model_version": None, "title": trained, "state": "DI"}, True),
        ({"model_version": None, "title": "suggestions", "state": "DI"}, False),
    ):
        studio = InMemoryStudio()
        studio.connect(OURS, **row)
        assert owns(client_of(studio), settings, 7) is ours, row


def test_the_identity_stays(tmp_path: Path) -> None:
    """All processes that begin at once agree on one, and every later one; another folder has another."""
    with ThreadPoolExecutor(8) as pool:
        names = set(pool.map(instance_id, [tmp_path / "new"] * 8))
    assert names == {instance_id(tmp_path / "new")} != {instance_id(tmp_path / "other")}
    assert all(names)


def test_a_folder_that_cannot_be_written_gives_none(tmp_path: Path) -> None:
    """A backend without an identity goes by addresses and versions."""
    (tmp_path / "file").touch()
    assert instance_id(tmp_path / "file" / "folder") == ""
    row = ConnectionRow(1, OURS, "suggestions", "CO", answers_with="resnet18-imagenet-untrained")
    assert own_connections([row], OTHERS, (), "") == []
    assert own_connections([row], OURS, (), "") == [row]
