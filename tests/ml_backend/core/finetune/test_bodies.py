from typing import TYPE_CHECKING

import torch

from ml_backend.core.finetune.bodies import STAGES, recalibrate

if TYPE_CHECKING:
    from conftest import Pictures


def test_the_stages_are_all_of_a_resnet(pictures: "Pictures") -> None:
    """Every parameter of the network belongs to a stage."""
    body = pictures.body()
    names = {name for stage in STAGES for name in stage}
    assert {name.split(".")[0] for name, _ in body.named_parameters()} == names


def test_batch_normalisation_takes_its_mean_from_all_batches(pictures: "Pictures") -> None:
    """The first one's mean is that of its inputs over two batches, and the network is left to evaluate."""
    body = pictures.body()
    batches = [torch.randn(4, 3, 32, 32, generator=torch.Generator().manual_seed(seed)) for seed in (0, 1)]
    recalibrate(body, iter(batches))
    mean = body.get_submodule("conv1")(torch.cat(batches)).mean((0, 2, 3))
    norm = body.get_submodule("bn1")
    assert torch.allclose(norm.get_buffer("running_mean"), mean, atol=1e-5)
    assert not body.training
    assert norm.momentum == 0.1
