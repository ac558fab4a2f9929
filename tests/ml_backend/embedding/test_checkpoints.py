import pytest
from torchvision import models

from ml_backend.embedding.checkpoints import URLS

WEIGHTS = {
    "resnet18": models.ResNet18_Weights.DEFAULT,
    "resnet34": models.ResNet34_Weights.DEFAULT,
    "resnet50": models.ResNet50_Weights.DEFAULT,
}


@pytest.mark.parametrize("backbone", sorted(WEIGHTS))
def test_the_addresses_are_torchvisions(backbone: str) -> None:
    """What is downloaded without torch is what torchvision would download."""
    assert WEIGHTS[backbone].url == URLS[backbone]
