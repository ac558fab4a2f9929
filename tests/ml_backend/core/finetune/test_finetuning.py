from typing import TYPE_CHECKING

import numpy as np
import pytest
import torch

from ml_backend.core.finetune.finetuning import FineTuning, FineTuningOptions
from ml_backend.core.finetune.loop import Options, Tuning
from ml_backend.core.finetune.targets import ControlTargets

if TYPE_CHECKING:
    from conftest import Pictures


def targets(pictures: "Pictures", weights: object = 1, *, multiple: bool = False) -> ControlTargets:
    """Which way the stripes run."""
    shares = np.eye(2, dtype=np.float32)[pictures.across.astype(int)]
    return ControlTargets(shares, np.broadcast_to(np.float32(weights), 48).copy(), multiple)


def objective(pictures: "Pictures", *controls: ControlTargets, **options: float) -> FineTuning:
    """What is learned; the last eight rows validate."""
    return FineTuning(
        pictures.body(),
        512,
        images=pictures.images,
        targets=controls,
        validated=np.arange(40, 48),
        image_size=32,
        preparation=pictures.preparation,
        options=FineTuningOptions(**options),
    )


def loss(made: FineTuning, pictures: "Pictures", rows: list[int]) -> float:
    """Of a batch."""
    images = torch.from_numpy(pictures.images[rows])
    return float(made.loss(images, np.array(rows), torch.Generator().manual_seed(0)).detach())


def test_it_learns_to_tell_stripes_apart(pictures: "Pictures") -> None:
    """After some steps the validation loss is far below that of knowing nothing, log 2."""
    shares = targets(pictures)
    learned, validated = np.setdiff1d(np.arange(48), np.arange(3, 48, 4)), np.arange(3, 48, 4)
    made = FineTuning(
        pictures.body(),
        512,
        images=pictures.images,
        targets=[shares],
        validated=validated,
        image_size=32,
        preparation=pictures.preparation,
    )
    run = Tuning(made, pictures.images, learned, Options(4, 12, 32, 1e-3, seed=0))
    losses = [step.validation for step in run.run() if step.validation is not None]
    assert min(losses) < 0.4


def test_knowing_nothing_costs_the_logarithm_of_the_labels(pictures: "Pictures") -> None:
    """The heads start from zero: log 2 for two labels, whether one or several may be chosen."""
    for multiple in (False, True):
        made = objective(pictures, targets(pictures, multiple=multiple))
        assert loss(made, pictures, [0, 1, 30, 31]) == pytest.approx(np.log(2))
        made.eval()
        assert made.validation_loss() == pytest.approx(np.log(2))


def test_rows_without_weight_teach_nothing(pictures: "Pictures") -> None:
    """A row of weight 0 changes no gradient of its control, and a control without any known row none at all."""
    weights = np.ones(48, dtype=np.float32)
    weights[0] = 0
    made = objective(pictures, targets(pictures, weights), targets(pictures, 0))
    made.train()
    images = torch.from_numpy(pictures.images[[0, 30]])
    made.loss(images, np.array([0, 30]), torch.Generator().manual_seed(0)).backward()
    first, second = (head.bias.grad for head in made.heads)
    assert first is not None
    assert second is not None
    assert first.tolist() == pytest.approx([0.25, -0.25], abs=0.03)  # half of 0.5, for row 30 alone; smoothed
    assert second.tolist() == [0, 0]


def test_nothing_is_validated_where_nothing_is_known(pictures: "Pictures") -> None:
    """Without a weight among the validated rows there is no validation loss."""
    weights = (np.arange(48) < 40).astype(np.float32)
    made = objective(pictures, targets(pictures, weights))
    made.eval()
    assert made.validation_loss() is None


def test_frozen_stages_do_not_move(pictures: "Pictures") -> None:
    """With three stages frozen, their weights and their batch normalisation stay, and the others change."""
    made = objective(pictures, targets(pictures), frozen=3)
    before = {name: tensor.clone() for name, tensor in made.body.state_dict().items()}
    run = Tuning(made, pictures.images, np.arange(40), Options(1, 20, 32, 1e-3))
    list(run.run())
    after = made.body.state_dict()
    moved = {name.split(".")[0] for name in before if not torch.equal(before[name], after[name])}
    assert moved == {"layer3", "layer4"}


def test_stages_near_the_input_learn_more_slowly(pictures: "Pictures") -> None:
    """The rate is halved from stage to stage; the heads learn ten times as fast as the last stage."""
    groups = objective(pictures, targets(pictures), layer_decay=0.5).groups(0.01, 1e-4)
    rates = sorted({round(group["lr"], 6) for group in groups})
    assert rates == [0.000625, 0.00125, 0.0025, 0.005, 0.01, 0.1]
    assert {group["weight_decay"] for group in groups if group["params"][0].ndim == 1} == {0.0}
