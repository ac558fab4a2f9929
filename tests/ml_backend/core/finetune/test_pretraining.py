from typing import TYPE_CHECKING

import numpy as np
import pytest
import torch

from ml_backend.core.finetune.loop import Options, Tuning
from ml_backend.core.finetune.pretraining import Pretraining, PretrainingOptions, vicreg

if TYPE_CHECKING:
    from conftest import Pictures


def test_two_views_that_differ_cost_their_mean_squared_difference() -> None:
    """Embeddings that are spread enough and not redundant cost the invariance alone."""
    spread = torch.tensor([[2.0, 2.0], [2.0, -2.0], [-2.0, 2.0], [-2.0, -2.0]])
    assert float(vicreg(spread, spread + torch.tensor([0.0, 1.0]))) == pytest.approx(25 * 0.5)


def test_a_collapse_costs_the_variance() -> None:
    """Where all images are embedded alike, each of the two views costs 25 times (1 - the root of 0.0001)."""
    same = torch.ones(4, 3)
    assert float(vicreg(same, same)) == pytest.approx(2 * 25 * 0.99)


def test_numbers_that_say_the_same_cost_the_covariance() -> None:
    """Two equal columns of variance 16 / 3: their two covariances squared, over two numbers, for both views."""
    column = torch.tensor([[2.0], [2.0], [-2.0], [-2.0]])
    redundant = column.expand(4, 2)
    assert float(vicreg(redundant, redundant)) == pytest.approx(2 * (2 * (16 / 3) ** 2) / 2)


def test_the_loss_goes_down(pictures: "Pictures") -> None:
    """Over three epochs on striped pictures."""
    torch.manual_seed(0)
    made = Pretraining(
        pictures.body(), 512, image_size=32, preparation=pictures.preparation, options=PretrainingOptions(64)
    )
    run = Tuning(made, pictures.images, np.arange(48), Options(3, 24, 32, 1e-3))
    losses = [step.loss for step in run.run() if step.ends_epoch]
    assert losses[-1] < losses[0] - 0.3
    assert made.validation_loss() is None
