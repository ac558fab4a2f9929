"""Labels that tasks came with teach as noisy targets; none vouches for itself."""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from sklearn.datasets import load_digits
from sklearn.metrics import average_precision_score

from ml_backend.core.controls import Control
from ml_backend.core.given_labels import learn_noise, taught_by_given
from ml_backend.core.held_out import ANNOTATIONS, GIVEN
from ml_backend.core.model import Answer, Evidence, ProjectModel, fit_model, from_arrays, to_arrays

Array = NDArray[Any]
LABELS = ("a", "b", "c")
CONTROL = Control("kind", "image", LABELS, multiple=False, image_key="image", given_key="label")
COUNT = 240


def images(seed: int = 0, count: int = COUNT) -> tuple[Array, Array]:
    """Embeddings in three overlapping groups, and which group each image is of."""
    rng = np.random.default_rng(seed)
    truth = np.arange(count) % 3
    return (np.eye(6)[truth] * 3 + rng.normal(scale=0.6, size=(count, 6))).astype(np.float32), truth


def one_hot(codes: Array, n_labels: int = 3) -> Array:
    """(n, n_labels) of 0 and 1."""
    return np.asarray(np.eye(n_labels)[codes], dtype=np.float32)


def evidence(given: Array, answers: Array | None = None, annotated: int = 0) -> Evidence:
    """Given labels of all images, and annotations of the first ones."""
    rows = np.arange(len(given))
    weights = (rows < annotated).astype(np.float32)
    shares = np.zeros_like(given) if answers is None else one_hot(answers) * weights[:, None]
    return Evidence(CONTROL, rows, shares, weights=weights, tasks=rows, given=given)


def answer(model: ProjectModel, embeddings: Array, codes: Array) -> Answer:
    """What a model says of tasks that came with labels."""
    tasks = [(row, {"label": LABELS[code]}) for row, code in enumerate(codes)]
    return model.answers(embeddings, {"kind": CONTROL}, tasks)["kind"]


def right_of(given: Answer) -> Array:
    """How likely each given label is right."""
    return np.array([each.probability for each in given.given if each is not None])


def noisy(truth: Array, share: float, seed: int = 1) -> Array:
    """A share of the labels replaced by another one."""
    rng = np.random.default_rng(seed)
    return np.where(rng.random(len(truth)) < share, (truth + rng.integers(1, 3, len(truth))) % 3, truth)


@pytest.mark.parametrize("share", [0.1, 0.3])
def test_how_often_labels_are_wrong_is_learned(share: float) -> None:
    """Without any annotation, within a few hundredths; and the wrong ones are unlikely."""
    embeddings, truth = images()
    codes = noisy(truth, share)
    model = fit_model(embeddings, [evidence(one_hot(codes))])
    noise = model.controls[0].noise
    assert noise is not None
    assert abs(noise.confusions[0].diagonal().mean() - (codes == truth).mean()) < 0.05
    likely = right_of(answer(model, embeddings, codes))
    assert likely[codes == truth].mean() > 0.9
    assert likely[codes != truth].mean() < 0.2


def test_no_label_vouches_for_itself() -> None:
    """Given another label, an image has the same scores in the version that learned from it, near enough."""
    embeddings, truth = images()
    changed = truth.copy()
    changed[:3] = (truth[:3] + 1) % 3
    before, after = (
        answer(fit_model(embeddings, [evidence(one_hot(codes))]), embeddings, codes) for codes in (truth, changed)
    )
    assert abs(before.scores[:3] - after.scores[:3]).max() < 0.05
    assert right_of(after)[:3].max() < 0.1


def test_targets_of_a_fold_do_not_depend_on_the_labels_in_it() -> None:
    """What the others teach while it is held out is the same; but how strongly to regularise is chosen by all."""
    embeddings, truth = images()
    folds, weights = np.arange(COUNT) % 5, np.zeros(COUNT, dtype=np.float32)
    changed = np.where(folds == 0, (truth + 1) % 3, truth)
    one, other = (
        taught_by_given(embeddings, one_hot(codes), np.zeros((COUNT, 3)), weights, folds, multiple=False)
        for codes in (truth, changed)
    )
    assert np.allclose(one.by_fold[0][folds != 0], other.by_fold[0][folds != 0], atol=1e-4)


def test_equal_pictures_do_not_vouch_for_one_another() -> None:
    """Copies of one picture with the same wrong label are held out together."""
    embeddings, truth = images()
    embeddings[1::3][:6] = embeddings[1]
    codes = truth.copy()
    codes[1::3][:6] = 2
    likely = right_of(answer(fit_model(embeddings, [evidence(one_hot(codes))]), embeddings, codes))
    assert likely[1::3][:6].max() < 0.2


def test_labels_that_say_nothing_teach_almost_nothing() -> None:
    """Where given labels are drawn at random, annotations decide."""
    embeddings, truth = images()
    codes = np.random.default_rng(3).integers(0, 3, COUNT)
    model = fit_model(embeddings, [evidence(one_hot(codes), truth, annotated=60)])
    scores = model.scores(embeddings[60:], {"kind": CONTROL})["kind"][0]
    assert (scores.argmax(axis=1) == truth[60:]).mean() > 0.9


@pytest.mark.parametrize("seed", range(4))
def test_few_labels_that_their_images_contradict_end_no_training(seed: int) -> None:
    """Where each label is less likely than by chance while it is held out, none is believed."""
    embeddings, codes = np.random.default_rng(seed).normal(size=(6, 2)).astype(np.float32), np.arange(6) % 3
    made = answer(fit_model(embeddings, [evidence(one_hot(codes))]), embeddings, codes)
    assert np.isfinite(made.scores).all()


def test_a_label_that_taught_in_all_folds_is_not_judged() -> None:
    """What the embeddings were learned from is never held out: nothing tells how likely its label is right."""
    embeddings, truth = images()
    clean = np.arange(COUNT) >= 20
    model = fit_model(embeddings, [replace(evidence(one_hot(truth)), clean=clean)])
    given = answer(model, embeddings, truth).given
    assert [each is not None for each in given] == clean.tolist()


def test_annotations_outweigh_given_labels() -> None:
    """All labels of one class are given wrongly; twenty annotations of it are enough to see through that."""
    embeddings, truth = images()
    codes = np.where(truth == 0, 1, truth)
    model = fit_model(embeddings, [evidence(one_hot(codes), truth, annotated=60)])
    likely = right_of(answer(model, embeddings, codes))
    wrong = codes != truth
    assert average_precision_score(wrong[60:], -likely[60:]) > 0.9


def test_figures_are_of_annotations_alone() -> None:
    """Where there are none they are of given labels, and say so, also when stored."""
    embeddings, truth = images()
    codes = noisy(truth, 0.3)
    alone = fit_model(embeddings, [evidence(one_hot(codes))])
    both = fit_model(embeddings, [evidence(one_hot(codes), truth, annotated=50)])
    assert (alone.controls[0].check.against, alone.controls[0].check.tasks) == (GIVEN, COUNT)
    assert (both.controls[0].check.against, both.controls[0].check.tasks) == (ANNOTATIONS, 50)
    assert alone.controls[0].check.accuracy == pytest.approx((codes == truth).mean(), abs=0.05)
    assert both.controls[0].check.accuracy == pytest.approx(1, abs=0.05)
    again = from_arrays(*to_arrays(alone))
    assert again.controls[0].check == alone.controls[0].check
    assert (
        right_of(answer(again, embeddings, codes)).tolist() == right_of(answer(alone, embeddings, codes)).tolist()
    )


def test_a_model_scores_as_before_where_tasks_came_with_nothing() -> None:
    """Known tasks without a label get the probabilities of their image."""
    embeddings, truth = images()
    model = fit_model(embeddings, [evidence(one_hot(truth))])
    plain, _ = model.scores(embeddings, {"kind": CONTROL})["kind"]
    other = model.answers(embeddings, {"kind": CONTROL}, [(COUNT + row, {}) for row in range(COUNT)])["kind"]
    assert other.scores.tolist() == plain.tolist()
    assert set(other.given) == {None}


def test_each_label_of_a_multiple_choice_is_a_question_of_its_own() -> None:
    """One label is often forgotten, the other is not."""
    rng = np.random.default_rng(0)
    truth = rng.integers(0, 2, (600, 2)).astype(np.float32)
    truth[:, 0] = 1
    given = truth.copy()
    given[:, 1] *= rng.random(600) > 0.4
    chances = np.clip(truth, 0.05, 0.95)
    noise = learn_noise(chances, given, np.zeros_like(given), np.zeros(600), multiple=True)
    assert noise.confusions[1, 1, 0] == pytest.approx(0.4, abs=0.06)
    assert noise.confusions[1, 0, 0] > 0.95
    forgotten = (truth[:, 1] == 1) & (given[:, 1] == 0)
    assert noise.posterior(chances, given)[forgotten, 1].min() > 0.5


def test_few_labels_teach_as_they_are() -> None:
    """Of three images nothing can be held out."""
    embeddings, truth = images(count=3)
    model = fit_model(embeddings, [evidence(one_hot(truth))])
    assert model.controls[0].check.tasks == 0
    assert set(answer(model, embeddings, truth).given) == {None}


def test_one_picture_many_times_is_learned_without_a_fold_beside_it() -> None:
    """Nothing can be held out from it, and nothing fails."""
    embeddings, truth = images(count=9)
    embeddings[:] = embeddings[0]
    made = answer(fit_model(embeddings, [evidence(one_hot(truth))]), embeddings, truth)
    assert np.isfinite(made.scores).all()


@pytest.mark.parametrize("kept", [1.0, 0.1])
def test_wrong_labels_of_digits_come_first(kept: float) -> None:
    """15 in 100 are wrong, by simulation; also where most classes are rare."""
    digits = load_digits()
    rng = np.random.default_rng(0)
    chosen = np.flatnonzero((digits.target < 2) | (rng.random(len(digits.target)) < kept))
    embeddings, truth = digits.data[chosen].astype(np.float32), digits.target[chosen]
    codes = np.where(rng.random(len(truth)) < 0.15, (truth + rng.integers(1, 10, len(truth))) % 10, truth)
    labels = tuple("0123456789")
    control = Control("kind", "image", labels, multiple=False, image_key="image", given_key="label")
    rows, given = np.arange(len(truth)), one_hot(codes, 10)
    nothing = np.zeros_like(given)
    model = fit_model(
        embeddings, [Evidence(control, rows, nothing, weights=nothing[:, 0], tasks=rows, given=given)]
    )
    tasks = [(row, {"label": labels[code]}) for row, code in enumerate(codes)]
    made = model.answers(embeddings, {"kind": control}, tasks)["kind"]
    precision = average_precision_score(codes != truth, -right_of(made))
    assert precision > 0.95
    assert precision > average_precision_score(codes != truth, -made.scores[rows, codes]) - 0.01
