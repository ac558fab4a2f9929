import json
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from sklearn.metrics import f1_score

from ml_backend.core.controls import Control
from ml_backend.core.held_out import HeldOutCheck, calibration_chance, calibration_error, check, hits

SINGLE = Control("kind", "image", ("a", "b"), multiple=False, image_key="image")
MULTIPLE = replace(SINGLE, multiple=True)


def checked(control: Control, rows: list[tuple[list[float], list[float], float]]) -> HeldOutCheck:
    """The check of tasks that are given as scores, shares and weight."""
    scores, shares, weights = (np.array(each, dtype=np.float64) for each in zip(*rows, strict=True))
    return check(scores, shares, control, weights)


FOUR = [
    ([0.9, 0.1], [1, 0], 1),
    ([0.9, 0.1], [0, 1], 1),
    ([0.3, 0.7], [0, 1], 1),
    ([0.6, 0.4], [0.75, 0.25], 1),
]


def test_figures_of_a_single_choice() -> None:
    """Of 4 tasks a is suggested on 3 and right on 2, b is suggested on 1 and right there."""
    figures = checked(SINGLE, FOUR)
    assert figures.tasks == 4
    assert figures.accuracy == 3 / 4
    assert figures.agreement == (1 + 0 + 1 + 0.75) / 4
    assert np.isclose(figures.mean_score, (0.9 + 0.9 + 0.7 + 0.6) / 4)
    assert figures.confusion == ((2, 0), (1, 1))
    assert np.isclose(figures.macro_f1, (4 / 5 + 2 / 3) / 2)
    assert np.isclose(figures.calibration_error, (2 * (0.9 - 0.5) + (1 - 0.7) + (0.75 - 0.6)) / 4)
    lost = [-np.log(0.9), -np.log(0.1), -np.log(0.7), -(0.75 * np.log(0.6) + 0.25 * np.log(0.4))]
    assert np.isclose(figures.log_loss, np.mean(lost))


def test_precision_above_a_threshold() -> None:
    """Label a reaches 0.5 on three tasks, of which two have it, and 0.9 on two, of which one has it."""
    assert checked(SINGLE, FOUR).precision_at == {
        "a": {"0.5": (2 / 3, 3), "0.7": (1 / 2, 2), "0.8": (1 / 2, 2), "0.9": (1 / 2, 2)},
        "b": {"0.5": (1, 1), "0.7": (1, 1)},
    }


def test_a_task_counts_by_its_weight() -> None:
    """The wrong one of two tasks weighs 3: 1 / 4 is right; counts of tasks stay counts."""
    figures = checked(SINGLE, [([0.9, 0.1], [1, 0], 1), ([0.9, 0.1], [0, 1], 3)])
    assert (figures.accuracy, figures.agreement) == (1 / 4, 1 / 4)
    assert np.isclose(figures.calibration_error, 0.9 - 1 / 4)
    assert figures.confusion == ((1, 0), (1, 0))
    assert figures.precision_at["a"]["0.9"] == (1 / 4, 2)


def test_a_task_of_weight_nothing_is_no_task() -> None:
    """What does not count is not counted."""
    assert checked(SINGLE, [*FOUR, ([0.9, 0.1], [0, 1], 0)]) == checked(SINGLE, FOUR)


def test_tied_labels_are_half_right_each() -> None:
    """Two annotators disagree: either suggestion is half right, in the confusion matrix too."""
    figures = checked(SINGLE, [([0.9, 0.1], [0.5, 0.5], 1)])
    assert figures.accuracy == 1 / 2
    assert figures.confusion == ((1 / 2, 0), (1 / 2, 0))


def test_figures_of_a_multiple_choice() -> None:
    """Two labels on two tasks: a is found once and missed once, b is wrongly suggested once."""
    figures = checked(MULTIPLE, [([0.9, 0.8], [1, 0], 1), ([0.2, 0.1], [1, 0], 1)])
    assert figures.tasks == 2
    assert figures.accuracy == 2 / 4
    assert figures.agreement == 2 / 4
    assert figures.confusion == (((0, 0), (1, 1)), ((1, 1), (0, 0)))
    assert np.isclose(figures.macro_f1, (2 / 3 + 0) / 2)
    assert np.isclose(figures.calibration_error, (0.1 + 0.8 + 0.8 + 0.1) / 4)
    assert np.isclose(figures.log_loss, -np.log([0.9, 0.2, 0.2, 0.9]).mean())


def test_nothing_held_out_is_no_figure() -> None:
    """Without tasks no accuracy is claimed."""
    figures = check(np.zeros((0, 2)), np.zeros((0, 2)), SINGLE, unanswered=3)
    assert figures == HeldOutCheck(unanswered=3)
    assert figures.accuracy is None


@pytest.mark.parametrize("control", [SINGLE, MULTIPLE])
def test_json_keeps_the_figures(control: Control) -> None:
    """What was written as JSON is read as it was; a figure of another version is left out."""
    figures = checked(control, FOUR)
    written = json.loads(json.dumps(figures.as_dict() | {"later": 1}))
    assert HeldOutCheck.from_dict(written) == figures
    assert HeldOutCheck.from_dict({"tasks": 2, "accuracy": 0.5}) == HeldOutCheck(2, accuracy=0.5)


shares = arrays(np.float64, (12, 3), elements=st.floats(0, 1)).map(lambda one: one + np.eye(3)[np.arange(12) % 3])


@given(shares, shares, arrays(np.float64, 12, elements=st.floats(0.1, 1)))
def test_macro_f1_is_scikit_learns(scores: np.ndarray, said: np.ndarray, weights: np.ndarray) -> None:
    """Where no labels are tied, the weighted macro F1 is scikit-learn's."""
    control = replace(SINGLE, labels=("a", "b", "c"))
    said[np.arange(12), said.argmax(axis=1)] += 0.01
    right, suggested = said.argmax(axis=1), scores.argmax(axis=1)
    expected = f1_score(right, suggested, average="macro", sample_weight=weights, zero_division=0)
    assert np.isclose(check(scores, said, control, weights).macro_f1, expected)


def test_the_error_of_honest_scores_is_chance() -> None:
    """Labels that are drawn with the stated probabilities err by about as much, over 200 draws."""
    rng = np.random.default_rng(0)
    stated = rng.random(300)
    drawn = [(rng.random(300) < stated).astype(np.float64) for _ in range(200)]
    errors = [calibration_error(stated, true, np.ones(300)) for true in drawn]
    chances = [calibration_chance(stated, true, np.ones(300)) for true in drawn]
    assert abs(np.mean(errors) / np.mean(chances) - 1) < 0.05


def test_hits_by_task() -> None:
    """Single: right, wrong, and half right; multiple: the share of the labels that are right."""
    scores = np.array([[0.9, 0.1], [0.9, 0.1], [0.9, 0.1]])
    shares = np.array([[1, 0], [0, 1], [0.5, 0.5]])
    assert hits(scores, shares, multiple=False).tolist() == [1, 0, 1 / 2]
    assert hits(scores, shares, multiple=True).tolist() == [1, 0, 1 / 2]
