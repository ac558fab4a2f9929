from dataclasses import replace

import numpy as np
import pytest

from ml_backend.core.comparison import succeeds
from ml_backend.core.controls import Control
from ml_backend.core.held_out import check
from ml_backend.core.model import Evidence, ProjectModel, fit_model

KIND = Control("kind", "image", ("dark", "light"), multiple=False, image_key="image")
ROWS = np.arange(20)
SHARES = np.eye(2, dtype=np.float32)[ROWS % 2]


def model(*, sees: bool, control: Control = KIND) -> tuple[ProjectModel, list[Evidence]]:
    """A model of twenty images, every other one light, by embeddings that show it or that show nothing."""
    noise = np.random.default_rng(0).normal(scale=0.01, size=(20, 4)).astype(np.float32)
    noise[:, 0] += np.where(ROWS % 2, 1, -1) * float(sees)
    evidence = [Evidence(control, ROWS, SHARES, tasks=ROWS)]
    return fit_model(noise, evidence), evidence


@pytest.fixture(scope="module")
def seeing() -> tuple[ProjectModel, list[Evidence]]:
    """A model that is right."""
    return model(sees=True)


@pytest.fixture(scope="module")
def blind() -> tuple[ProjectModel, list[Evidence]]:
    """A model that guesses."""
    return model(sees=False)


def test_without_a_current_version_one_that_knows_something_takes_over(
    seeing: tuple[ProjectModel, list[Evidence]],
) -> None:
    """There is nothing else to be worse than."""
    assert succeeds(None, *seeing, None, chosen=False).promoted


def test_a_first_one_that_is_worse_than_a_guess_is_held_back() -> None:
    """It is sure of the other label each time: right in 0 of 20, where either label is right in half."""
    misled, evidence = misleading()
    held_back = succeeds(None, misled, evidence, None, chosen=False)
    assert not held_back.promoted
    assert "'kind' is right in 0.000 of 20 held-out tasks, and the commonest label in 0.500" in held_back.why


def test_a_control_that_knows_something_lets_the_first_one_answer(
    seeing: tuple[ProjectModel, list[Evidence]],
) -> None:
    """What is worse than a guess on one control only answers: there are suggestions on the other."""
    misled, evidence = misleading()
    both = replace(misled, controls=(*misled.controls, *seeing[0].controls))
    assert succeeds(None, both, evidence, None, chosen=False).promoted


def misleading() -> tuple[ProjectModel, list[Evidence]]:
    """A model whose held-out probabilities are sure of what is wrong."""
    made, evidence = model(sees=True)
    [scores] = made.controls
    wrong = check(np.where(SHARES > 0, 0.1, 0.9), SHARES, KIND)
    return replace(made, controls=(replace(scores, check=wrong),)), evidence


def test_a_worse_one_does_not_take_over(
    seeing: tuple[ProjectModel, list[Evidence]], blind: tuple[ProjectModel, list[Evidence]]
) -> None:
    """Guessing is worse than knowing, whoever chose the version that knows."""
    for chosen in (False, True):
        assert not succeeds(seeing[0], *blind, None, chosen=chosen).promoted


def test_an_equal_one_takes_over_only_where_nobody_has_chosen(seeing: tuple[ProjectModel, list[Evidence]]) -> None:
    """The same model again is no worse, and no better."""
    assert succeeds(seeing[0], *seeing, None, chosen=False).promoted
    successor = succeeds(seeing[0], *seeing, None, chosen=True)
    assert not successor.promoted
    assert successor.tasks == 20


def test_a_better_one_takes_over_from_a_chosen_one(
    seeing: tuple[ProjectModel, list[Evidence]], blind: tuple[ProjectModel, list[Evidence]]
) -> None:
    """Knowing is better than guessing by far more than the standard error."""
    successor = succeeds(blind[0], *seeing, None, chosen=True)
    assert successor.promoted
    assert successor.why.startswith("It is better than the version that a person chose.")


def test_labels_with_other_names_are_compared(
    seeing: tuple[ProjectModel, list[Evidence]], blind: tuple[ProjectModel, list[Evidence]]
) -> None:
    """A version that has learned dark still is one to be no worse than when that is called black."""
    black = replace(KIND, labels=("black", "light"), renamed={"dark": "black"})
    worse, evidence = model(sees=False, control=black)
    assert not succeeds(seeing[0], worse, evidence, None, chosen=False).promoted
    assert succeeds(blind[0], *model(sees=True, control=black), None, chosen=False).tasks == 20


def test_other_labels_end_a_person_s_choice(seeing: tuple[ProjectModel, list[Evidence]]) -> None:
    """With other labels no task tells which is better, and the chosen version could suggest none of them."""
    other, evidence = model(sees=True, control=replace(KIND, labels=("black", "white")))
    assert succeeds(seeing[0], other, evidence, None, chosen=False).promoted
    assert succeeds(seeing[0], other, evidence, None, chosen=True).promoted


def test_a_control_that_the_current_version_does_not_know_decides(
    seeing: tuple[ProjectModel, list[Evidence]],
) -> None:
    """A worse model takes over where the other one would leave a control empty."""
    rows = np.random.default_rng(0).normal(scale=0.01, size=(20, 4)).astype(np.float32)
    mood = replace(KIND, name="mood")
    evidence = [Evidence(control, ROWS, SHARES, tasks=ROWS) for control in (KIND, mood)]
    successor = succeeds(seeing[0], fit_model(rows, evidence), evidence, None, chosen=False)
    assert successor.promoted
    assert successor.why.startswith("The current version does not know 'mood' as it is now.")
    assert successor.log_loss_after > successor.log_loss_before
