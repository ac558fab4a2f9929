"""Suggestions from the names of labels, with vectors that can be counted by hand."""

import numpy as np
import pytest

from ml_backend.core.controls import Control, image_controls
from ml_backend.core.held_out import NOTHING
from ml_backend.core.model import from_arrays, to_arrays
from ml_backend.core.zero_shot import Likeness, fit_names, nameless, prompts

KIND = Control("kind", "image", ("cat", "dog"), multiple=False, image_key="image")
TRAITS = Control("traits", "image", ("wet", "old", "new"), multiple=True, image_key="image")
IMAGES = np.array([[1, 0, 0], [0.6, 0.8, 0], [0, 1, 0]], dtype=np.float32)
TEXTS = {
    "kind": np.array([[[1, 0, 0]], [[0, 1, 0]]], dtype=np.float32),
    "traits": np.array([[[1, 0, 0]] * 2, [[0, 0, 1]] * 2, [[0.6, 0.8, 0], [0.6, -0.8, 0]]], dtype=np.float32),
}


def test_a_single_choice_is_shared_out() -> None:
    """A softmax of the scaled cosines, for every image: nothing has to be annotated near it."""
    model = fit_names(IMAGES, [KIND, TRAITS], TEXTS, Likeness(10, -5))
    scores, supported = model.scores(IMAGES, {"kind": KIND})["kind"]
    chances = np.exp([[10, 0], [6, 8], [0, 10]])
    np.testing.assert_allclose(scores, chances / chances.sum(axis=1, keepdims=True), atol=1e-6)
    assert supported.all()


def test_each_label_of_a_multiple_choice_stands_for_itself() -> None:
    """A sigmoid of the scaled cosine and the bias; several texts of a label are one direction, their mean's."""
    model = fit_names(IMAGES, [KIND, TRAITS], TEXTS, Likeness(10, -5))
    scores, _ = model.scores(IMAGES[:2], {"traits": TRAITS})["traits"]
    np.testing.assert_allclose(scores, 1 / (1 + np.exp(-np.array([[5, -5, 5], [1, -5, 1]]))), atol=1e-5)


def test_it_is_measured_on_nothing_and_survives_being_stored() -> None:
    """Without an accuracy nothing is ticked; read again it says the same."""
    model = fit_names(IMAGES, [KIND], TEXTS, Likeness(10))
    again = from_arrays(*to_arrays(model))
    for each in (model, again):
        check = each.controls[0].check
        assert (each.is_from_names, check.against, check.tasks, check.accuracy) == (True, NOTHING, 0, None)
    first, second = (each.scores(IMAGES, {"kind": KIND})["kind"][0] for each in (model, again))
    np.testing.assert_array_equal(first, second)


@pytest.mark.parametrize(
    ("control", "bias", "why"),
    [
        (KIND, None, ""),
        (TRAITS, None, "takes several labels"),
        (TRAITS, -10, ""),
        (Control("blurred", "image", ("Yes", "No"), multiple=False, image_key="image"), -10, "is answered by yes"),
    ],
)
def test_names_that_say_nothing_are_left_alone(control: Control, bias: float | None, why: str) -> None:
    """Yes and no describe no image, and only a sigmoid says of a label alone whether it fits."""
    assert nameless(control, Likeness(100, bias)).startswith(why)
    assert bool(nameless(control, Likeness(100, bias))) == bool(why)


def test_a_label_is_described_by_its_hint() -> None:
    """Else by what annotators see, never by an alias, which is often a code."""
    config = """<View><Image name="image" value="$image"/><Choices name="kind" toName="image">
        <Choice value="Wheat_ear" alias="c1"/><Choice value="c2" hint=" rye "/></Choices></View>"""
    texts = prompts(config, image_controls(config), ["a {label}", "{label}, seen from above"])
    assert texts == {"kind": [["a Wheat ear", "Wheat ear, seen from above"], ["a rye", "rye, seen from above"]]}
