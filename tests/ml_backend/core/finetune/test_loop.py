import io
from collections.abc import Callable
from itertools import islice
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import torch

from ml_backend.core.finetune.finetuning import FineTuning
from ml_backend.core.finetune.loop import Options, Step, Tuning
from ml_backend.core.finetune.pretraining import Pretraining, PretrainingOptions
from ml_backend.core.finetune.targets import ControlTargets

if TYPE_CHECKING:
    from conftest import Pictures

OPTIONS = Options(epochs=2, batch_size=4, image_size=32, learning_rate=1e-3, seed=3)
VALIDATED = np.arange(1, 48, 8)
LEARNED = np.arange(0, 48, 5)  # five of each kind


def finetuning(pictures: "Pictures", options: Options = OPTIONS) -> Tuning:
    """A fine-tuning on which way the stripes run."""
    shares = np.eye(2, dtype=np.float32)[pictures.across.astype(int)]
    objective = FineTuning(
        pictures.body(),
        512,
        images=pictures.images,
        targets=[ControlTargets(shares, np.ones(48, dtype=np.float32), multiple=False)],
        validated=VALIDATED,
        image_size=32,
        preparation=pictures.preparation,
    )
    return Tuning(objective, pictures.images, LEARNED, options)


def pretraining(pictures: "Pictures", options: Options = OPTIONS) -> Tuning:
    """A pre-training on the same pictures."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        objective = Pretraining(
            pictures.body(), 512, image_size=32, preparation=pictures.preparation, options=PretrainingOptions(64)
        )
    return Tuning(objective, pictures.images, LEARNED, options)


def stored(checkpoint: dict[str, Any]) -> dict[str, Any]:
    """A checkpoint as it comes back from a file."""
    file = io.BytesIO()
    torch.save(checkpoint, file)
    file.seek(0)
    state: dict[str, Any] = torch.load(file, weights_only=True)
    return state


@pytest.mark.parametrize("make", [finetuning, pretraining])
def test_a_run_that_was_stopped_ends_as_one_that_was_not(
    pictures: "Pictures", make: Callable[["Pictures"], Tuning]
) -> None:
    """Stopped within the second epoch and restored in a new run, the weights come out the same to the last bit."""
    whole = make(pictures)
    expected_steps = list(whole.run())
    stopped = make(pictures)
    first = list(islice(stopped.run(), 3))
    resumed = make(pictures)
    resumed.restore(stored(stopped.checkpoint()))
    assert first + list(resumed.run()) == expected_steps
    expected, result = whole.result(), resumed.result()
    assert expected.keys() == result.keys()
    assert all(torch.equal(expected[name], result[name]) for name in expected)


def test_steps_count_and_epochs_end(pictures: "Pictures") -> None:
    """Of 10 images in batches of 4 an epoch has 2 steps; validation is at its end only."""
    steps = list(finetuning(pictures).run())
    assert [step.number for step in steps] == [1, 2, 3, 4]
    assert [step.epoch for step in steps] == [1, 1, 2, 2]
    assert [step.ends_epoch for step in steps] == [False, True] * 2
    assert [step.validation is not None for step in steps] == [step.ends_epoch for step in steps]


def test_another_seed_learns_otherwise(pictures: "Pictures") -> None:
    """Order and views depend on the seed; the first loss, of heads that start from nothing, does not."""
    both = [finetuning(pictures, Options(1, 4, 32, 1e-3, seed=seed)) for seed in (0, 1)]
    first, other = ([step.loss for step in run.run()] for run in both)
    assert first[0] == other[0] == pytest.approx(np.log(2))
    assert first[1] != other[1]


class Falling(torch.nn.Module):
    """An objective whose validation loss goes down and up again."""

    def __init__(self) -> None:
        super().__init__()
        self.body = torch.nn.Linear(1, 1)
        self.losses = iter([0.5, 0.3, 0.4, 0.6, 0.2])
        self.states: list[float] = []

    def groups(self, learning_rate: float, weight_decay: float) -> list[dict[str, Any]]:
        """All parameters."""
        return [{"params": list(self.parameters()), "lr": learning_rate, "weight_decay": weight_decay}]

    def loss(self, images: torch.Tensor, _rows: object, _generator: object) -> torch.Tensor:
        """Anything that moves the weights."""
        return self.body(images[:, :1, 0, 0].float()).sum()

    def validation_loss(self) -> float:
        """The next one."""
        self.states.append(float(self.body.weight))
        return next(self.losses)


def falling(patience: int) -> tuple[Falling, list[Step], dict[str, torch.Tensor]]:
    """Run it for five epochs of one step."""
    objective = Falling()
    options = Options(epochs=5, batch_size=2, image_size=32, learning_rate=0.1, patience=patience)
    run = Tuning(objective, np.ones((2, 3, 1, 1), dtype=np.uint8), np.arange(2), options)
    return objective, list(run.run()), run.result()


def test_it_ends_when_the_validation_gets_no_better_and_the_best_epoch_stays() -> None:
    """With a patience of two epochs the fourth is the last, and the weights are those of the second."""
    objective, steps, result = falling(patience=2)
    assert [step.validation for step in steps] == [0.5, 0.3, 0.4, 0.6]
    assert [step.best for step in steps] == [1, 2, 2, 2]
    assert float(result["weight"]) == objective.states[1]


def test_with_more_patience_it_goes_on() -> None:
    """With a patience of three the last epoch is the best."""
    objective, steps, result = falling(patience=3)
    assert [step.best for step in steps] == [1, 2, 2, 2, 5]
    assert float(result["weight"]) == objective.states[4]


def test_an_ended_run_stays_ended_when_restored() -> None:
    """What stopped early does not go on because it was resumed."""
    options = Options(epochs=5, batch_size=2, image_size=32, learning_rate=0.1, patience=1)
    images = np.ones((2, 3, 1, 1), dtype=np.uint8)
    ended = Tuning(Falling(), images, np.arange(2), options)
    assert len(list(ended.run())) == 3
    again = Tuning(Falling(), images, np.arange(2), options)
    again.restore(stored(ended.checkpoint()))
    assert list(again.run()) == []


def test_one_image_is_too_few() -> None:
    """The message says how many there are and how many it takes."""
    options = Options(epochs=1, batch_size=2, image_size=32, learning_rate=0.1)
    with pytest.raises(ValueError, match="1 images are too few to learn from: at least 2 are needed"):
        Tuning(Falling(), np.ones((1, 3, 1, 1), dtype=np.uint8), np.arange(1), options)
