"""Which images resemble an annotated one."""

import numpy as np
import pytest
from numpy.typing import NDArray

from ml_backend.core.controls import Control
from ml_backend.core.model import Evidence, ProjectModel, fit_model, from_arrays, to_arrays
from ml_backend.core.reach import fit_reach

CONTROL = Control("kind", "image", ("cat", "dog"), multiple=False, image_key="image")


def drawn(count: int, seed: int, kinds: int = 2) -> NDArray[np.float32]:
    """Embeddings of images of some kinds: 64 numbers, of which each kind has eight of its own."""
    rng = np.random.default_rng(seed)
    vectors = rng.random((count, 64), dtype=np.float32) * 0.5
    for row in range(count):
        vectors[row, 8 * (row % kinds) : 8 * (row % kinds) + 8] += 2
    return vectors


def strange(count: int) -> NDArray[np.float32]:
    """Embeddings of images of another kind."""
    return np.roll(drawn(count, seed=9), 32, axis=1)


@pytest.mark.parametrize("count", [8, 30, 300])
def test_what_is_of_another_kind_is_out_of_reach(count: int) -> None:
    """Nearly all images of the annotated kinds are within it, and none of another kind, at any brightness."""
    reach = fit_reach(drawn(count, seed=0))
    assert reach is not None
    assert reach.covers(drawn(400, seed=1)).mean() >= 0.9 if count == 8 else 0.98
    for factor in (0.01, 1, 100):
        assert not reach.covers(factor * strange(50)).any()


def test_a_rare_kind_is_within_reach() -> None:
    """Three images of a kind among a hundred of two others are enough."""
    rare = np.roll(drawn(60, seed=3, kinds=1), 16, axis=1)
    reach = fit_reach(np.concatenate([drawn(100, seed=0), rare[:3]]))
    assert reach is not None
    assert reach.covers(rare[3:]).mean() >= 0.9


def test_few_or_equal_images_say_nothing_of_what_is_usual() -> None:
    """Seven images, or a hundred times the same, refuse nothing."""
    assert fit_reach(drawn(7, seed=0)) is None
    assert fit_reach(np.repeat(drawn(1, seed=0), 100, axis=0)) is None


def test_images_that_are_almost_the_same_leave_room() -> None:
    """A hundred copies that differ by noise do not refuse one with a little more of it."""
    rng = np.random.default_rng(0)
    copies = drawn(1, seed=0) + 1e-4 * rng.random((101, 64), dtype=np.float32)
    reach = fit_reach(copies[:100])
    assert reach is not None
    assert reach.covers(copies[100:] + 1e-3).all()


def model() -> ProjectModel:
    """A model of two kinds, 40 images of each annotated."""
    shares = np.eye(2, dtype=np.float32)[np.arange(80) % 2]
    return fit_model(drawn(120, seed=0), [Evidence(CONTROL, np.arange(80), shares)])


def test_nothing_is_suggested_out_of_reach() -> None:
    """Images of the annotated kinds get a suggestion, those of another one none."""
    for each in (model(), from_arrays(*to_arrays(model()))):
        _, supported = each.scores(drawn(40, seed=1), {"kind": CONTROL})["kind"]
        assert supported.mean() >= 0.95
        _, supported = each.scores(strange(40), {"kind": CONTROL})["kind"]
        assert not supported.any()


def test_a_model_of_before_has_no_reach() -> None:
    """It suggests as it did."""
    arrays, described = to_arrays(model())
    older = {name: array for name, array in arrays.items() if not name.startswith("reach")}
    _, supported = from_arrays(older, described).scores(strange(40), {"kind": CONTROL})["kind"]
    assert supported.any()
