import hashlib
import threading
import time
from collections.abc import Callable
from pathlib import Path

import httpx
import pytest
import torch
from structlog.testing import capture_logs
from torchvision import models

from ml_backend.core.identity import Identity
from ml_backend.embedding import backbones, checkpoints, configured
from ml_backend.embedding.backbones import Backbones
from ml_backend.errors import ModelLoadingError, WeightsError
from ml_backend.settings import Settings


@pytest.fixture
def state_file(tmp_path: Path) -> Path:
    """A state dict of a ResNet-18."""
    path = tmp_path / "mine.pth"
    torch.save(models.resnet18().state_dict(), path)
    return path


def other_backbones(settings: Settings, **changed: object) -> Backbones:
    """Backbones with other settings."""
    return Backbones(settings.model_copy(update=changed))


def until(seen: Callable[[], bool], limit_s: float = 60) -> bool:
    """Wait for something, and tell whether it came."""
    ends_at = time.monotonic() + limit_s
    while not seen() and time.monotonic() < ends_at:
        time.sleep(0.01)
    return seen()


@pytest.fixture
def offline(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """No network, and no weights from an earlier time."""

    def refuse(*_: object, **__: object) -> None:
        raise httpx.ConnectError("no network")

    configured.warn_random.cache_clear()
    monkeypatch.setattr(checkpoints.httpx, "stream", refuse)
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))


def test_a_path_is_named_by_its_content(settings: Settings, state_file: Path) -> None:
    """The version of own weights begins with the SHA-256 of their file."""
    expected = hashlib.sha256(state_file.read_bytes()).hexdigest()[:8]
    assert other_backbones(settings, weights=str(state_file)).preferred().weights_id == expected


@pytest.mark.usefixtures("offline")
def test_imagenet_falls_back_to_random_loudly(settings: Settings) -> None:
    """Where the weights cannot be downloaded, random ones answer; the name says so, and a warning, once."""
    made = other_backbones(settings, backbone="resnet18", weights="imagenet")
    assert made.weights_id == "pending"
    with capture_logs() as lines:
        for _ in range(3):
            assert made.preferred().weights_id == made.weights_id == "random"
    assert [(line["log_level"], line["event"]) for line in lines] == [
        ("warning", "imagenet_weights_unavailable_using_random")
    ]


@pytest.mark.usefixtures("offline")
def test_a_download_that_keeps_failing_is_warned_of_once(settings: Settings) -> None:
    """It is tried again for hours, and each time nothing is new."""
    changed = settings.model_copy(update={"backbone": "resnet18", "weights": "imagenet"})
    with capture_logs() as lines:
        for _ in range(3):
            assert configured.configured_identity(changed, lambda _: False).weights_id == "random"
    assert len(lines) == 1


def test_a_download_with_a_wrong_checksum_is_not_kept(
    settings: Settings, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """A page that is not the checkpoint is refused and leaves no file."""
    transport = httpx.MockTransport(lambda _: httpx.Response(200, content=b"<html>"))
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    with httpx.Client(transport=transport) as client:
        monkeypatch.setattr(checkpoints.httpx, "stream", lambda *args, **_: client.stream(*args))
        with pytest.raises(WeightsError, match="wrong checksum"):
            checkpoints.state_file(Identity("resnet18", "imagenet"), settings)
    assert list((settings.data_dir / "weights").iterdir()) == []


@pytest.mark.parametrize("body", [b"", b"not weights", b"cos\nsystem\n(S'true'\ntR."])
def test_a_file_that_is_no_state_dict_is_refused(settings: Settings, tmp_path: Path, body: bytes) -> None:
    """Neither garbage nor a pickle that would run a program is loaded; the message names the file."""
    path = tmp_path / "foreign.pth"
    path.write_bytes(body)
    with pytest.raises(WeightsError, match=r"foreign\.pth"):
        other_backbones(settings, weights=str(path)).preferred()


def test_a_missing_file_is_named(settings: Settings) -> None:
    """The message says which setting is wrong."""
    with pytest.raises(WeightsError, match="ML_BACKEND_WEIGHTS"):
        other_backbones(settings, weights="nowhere.pth").preferred()


def test_what_could_not_be_had_at_the_start_is_had_later(
    settings: Settings, monkeypatch: pytest.MonkeyPatch, state_file: Path, tmp_path: Path
) -> None:
    """Without a network random weights stand in, and the right ones come with it; no restart is needed."""
    failed, go_on = threading.Event(), threading.Event()

    def answer(request: httpx.Request) -> httpx.Response:
        if not go_on.is_set():
            failed.set()
            raise httpx.ConnectError("no network")
        assert request.url == "http://x.example/resnet18.pth"
        return httpx.Response(200, content=state_file.read_bytes())

    client = httpx.Client(transport=httpx.MockTransport(answer))
    monkeypatch.setattr(checkpoints.httpx, "stream", lambda *given, **_: client.stream(*given))
    monkeypatch.setitem(checkpoints.URLS, "resnet18", "http://x.example/resnet18.pth")  # a name without a checksum
    monkeypatch.setattr(backbones, "_RETRY_S", 0.05)
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    made = other_backbones(settings, backbone="resnet18", weights="imagenet", engine="torch")
    made.start()
    try:
        assert failed.wait(60)
        assert until(lambda: made.weights_id == "random")
        go_on.set()
        assert until(lambda: made.weights_id == "imagenet")
        assert made.error is None
    finally:
        made.close()
        client.close()


def test_a_file_that_comes_later_is_loaded(
    settings: Settings, monkeypatch: pytest.MonkeyPatch, state_file: Path, tmp_path: Path
) -> None:
    """A folder that is mounted after the start ends the fault that the status told."""
    monkeypatch.setattr(backbones, "_RETRY_S", 0.05)
    made = other_backbones(settings, weights=str(tmp_path / "later.pth"), engine="torch")
    made.start()
    try:
        assert until(lambda: made.error is not None)
        state_file.rename(tmp_path / "later.pth")
        assert until(lambda: made.loaded)
        assert made.error is None
    finally:
        made.close()


def test_loading_other_weights_is_not_waited_for(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    """While other weights are loaded, nobody waits longer than he may, and what is loaded answers meanwhile."""
    made, go_on, tried = other_backbones(settings), threading.Event(), []
    base = made.preferred()

    def load(*wanted: object) -> None:
        tried.append(wanted)
        go_on.wait(20)
        raise WeightsError("gone")

    monkeypatch.setattr(made, "_load", load)
    other = Identity("resnet18", "imagenet")
    for _ in range(2):
        with pytest.raises(ModelLoadingError):
            made.matching(other, other.key, timeout_s=0.05)
    assert made.matching(base.identity, base.key, timeout_s=0.05) is base
    go_on.set()
    for _ in range(2):
        with pytest.raises(WeightsError, match="gone"):
            made.matching(other, other.key, timeout_s=20)
    assert tried == [(other,)]


@pytest.mark.usefixtures("offline")
def test_a_download_that_fails_says_nothing_against_a_version(settings: Settings) -> None:
    """Without a network a version's weights are not there yet; no worse version shall take its place for that."""
    with pytest.raises(ModelLoadingError, match="cannot be downloaded"):
        other_backbones(settings).matching(Identity("resnet18", "imagenet"), "resnet18:imagenet", timeout_s=20)


def test_a_model_of_other_weights_is_not_answered_wrongly(settings: Settings) -> None:
    """An artifact whose weights are not configured any more cannot be served."""
    made = other_backbones(settings)
    made.start()
    with pytest.raises(WeightsError):
        made.matching(Identity("resnet18", "0a1b2c3d"), "resnet18:0a1b2c3d", timeout_s=600)
