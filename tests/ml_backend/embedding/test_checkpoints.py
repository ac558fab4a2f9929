from pathlib import Path

import pytest
from torchvision import models

from ml_backend.core.identity import Identity
from ml_backend.embedding import checkpoints
from ml_backend.embedding.checkpoints import URLS, state_file
from ml_backend.errors import DownloadError
from ml_backend.settings import Settings

WEIGHTS = {
    "resnet18": models.ResNet18_Weights.DEFAULT,
    "resnet34": models.ResNet34_Weights.DEFAULT,
    "resnet50": models.ResNet50_Weights.DEFAULT,
}


@pytest.mark.parametrize("backbone", sorted(WEIGHTS))
def test_the_addresses_are_torchvisions(backbone: str) -> None:
    """What is downloaded without torch is what torchvision would download."""
    assert WEIGHTS[backbone].url == URLS[backbone]


def test_a_folder_that_takes_no_file_is_said(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where nothing can be kept nothing is downloaded, and the error names the file."""
    monkeypatch.setattr(checkpoints.httpx, "stream", lambda *_, **__: pytest.fail("asked"))
    monkeypatch.setenv("TORCH_HOME", str(settings.data_dir / "nowhere"))
    settings.data_dir.mkdir()
    (settings.data_dir / "weights").touch()
    with pytest.raises(DownloadError, match=r"resnet18-f37072fd\.pth cannot be downloaded \(FileExistsError\)"):
        state_file(Identity("resnet18", "imagenet"), settings)


def test_torchs_folder_is_looked_into_if_it_can_be(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    """What somebody else's folder forbids to see is not there, and the checkpoint is downloaded."""

    def forbid(path: Path) -> bool:
        raise PermissionError(13, "Permission denied", str(path))

    copy = settings.data_dir / "weights" / "resnet18-f37072fd.pth"
    monkeypatch.setenv("TORCH_HOME", str(settings.data_dir / "nowhere"))
    monkeypatch.setattr(Path, "is_file", forbid)
    monkeypatch.setattr(checkpoints, "_download", lambda _url, path, _timeout_s: path)
    assert state_file(Identity("resnet18", "imagenet"), settings) == copy
