import json
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ml_backend.core.comparison import compare
from ml_backend.core.controls import Control
from ml_backend.core.model import Evidence, fit_model, from_arrays, to_arrays

KIND = Control("kind", "image", ("dark", "light"), multiple=False, image_key="image")
TRAITS = Control("traits", "image", ("old", "new"), multiple=True, image_key="image")
EMBEDDINGS = np.concatenate([np.tile([1, 0], (6, 1)), np.tile([-1, 0], (6, 1))]).astype(np.float32)
EMBEDDINGS += np.random.default_rng(0).normal(scale=0.01, size=(12, 2)).astype(np.float32)
ROWS = np.arange(12)
MODEL = fit_model(
    EMBEDDINGS,
    [
        Evidence(KIND, ROWS, np.repeat(np.eye(2, dtype=np.float32), 6, axis=0), tasks=ROWS + 7),
        Evidence(TRAITS, ROWS, np.repeat([[1, 1], [0, 0]], 6, axis=0).astype(np.float32), tasks=ROWS + 7),
    ],
)


def test_single_and_multiple_controls_are_scored() -> None:
    """Dark images are dark and have both traits, light ones are light and have none."""
    scores = MODEL.scores(EMBEDDINGS[[0, 11]], {"kind": KIND, "traits": TRAITS})
    assert scores["kind"][0].argmax(axis=1).tolist() == [0, 1]
    assert (scores["traits"][0] > 0.5).tolist() == [[True, True], [False, False]]


def test_only_the_controls_of_today_are_scored() -> None:
    """A control that left the label config, or changed its kind, is not served."""
    served = {"kind": replace(KIND, multiple=True), "other": TRAITS}
    assert MODEL.scores(EMBEDDINGS, served) == {}


def test_a_likelier_label_that_is_gone_is_no_reason_for_another() -> None:
    """A light image is not suggested to be dark because light has another name now."""
    today = replace(KIND, labels=("bright", "dark"))
    assert MODEL.scores(EMBEDDINGS[[0, 11]], {"kind": today})["kind"][1].tolist() == [True, False]


@pytest.mark.parametrize("labels", [("black", "light"), ("light", "grey", "black")])
def test_a_label_with_another_name_is_suggested_under_it(labels: tuple[str, ...]) -> None:
    """A model that has learned dark says black at once, as surely, and nothing where black is no choice."""
    control = replace(KIND, labels=labels, renamed={"dark": "black"})
    scores, supported = MODEL.scores(EMBEDDINGS, {"kind": control})["kind"]
    then, _ = MODEL.scores(EMBEDDINGS, {"kind": KIND})["kind"]
    assert supported.all()
    np.testing.assert_array_equal(scores[:, labels.index("black")], then[:, 0])
    away = replace(KIND, labels=("light", "grey"), renamed={"dark": "black"})
    _, supported = MODEL.scores(EMBEDDINGS, {"kind": away})["kind"]
    assert supported.tolist() == [False] * 6 + [True] * 6


def test_labels_that_became_one_are_added_up() -> None:
    """Dark and light are both called plain now: that is as likely as both together."""
    plain = replace(KIND, labels=("plain", "striped"), renamed={"dark": "plain", "light": "plain"})
    scores, _ = MODEL.scores(EMBEDDINGS, {"kind": plain})["kind"]
    np.testing.assert_allclose(scores[:, 0], 1, atol=1e-5)


def test_labels_follow_the_config_of_today() -> None:
    """A removed label is not suggested, a new one is impossible so far, and the order is that of today."""
    today = replace(KIND, labels=("new", "dark"))
    scores, supported = MODEL.scores(EMBEDDINGS[[0]], {"kind": today})["kind"]
    assert scores[0, 0] == 0
    assert scores[0, 1] > 0.5
    assert supported.all()


def test_a_control_with_none_of_its_labels_left_suggests_nothing() -> None:
    """After all labels were renamed there is no evidence for any."""
    _, supported = MODEL.scores(EMBEDDINGS[[0]], {"kind": replace(KIND, labels=("x", "y"))})["kind"]
    assert not supported.any()


def test_parts_make_the_same_model() -> None:
    """What was split for the disk, its description as JSON, scores and compares as before."""
    arrays, described = to_arrays(MODEL)
    again = from_arrays(arrays, json.loads(json.dumps(described)))
    served = {"kind": KIND, "traits": TRAITS}
    before, after = (model.scores(EMBEDDINGS, served) for model in (MODEL, again))
    for name in served:
        np.testing.assert_array_equal(before[name][0], after[name][0])
    assert [scores.control for scores in again.controls] == [KIND, TRAITS]
    for old, new in zip(MODEL.controls, again.controls, strict=True):
        assert (old.check, old.pool, old.smoothing) == (new.check, new.pool, new.smoothing)
        assert (old.linear is None) == (new.linear is None)
        np.testing.assert_array_equal(old.out_of_fold.tasks, new.out_of_fold.tasks)
        np.testing.assert_array_equal(old.out_of_fold.probabilities, new.out_of_fold.probabilities)
        np.testing.assert_array_equal(old.out_of_fold.unjudged, new.out_of_fold.unjudged)


def test_a_model_without_ids_or_line_is_kept_too() -> None:
    """Where a single label was seen there is no linear classifier, and without ids nothing is kept to compare."""
    made = fit_model(EMBEDDINGS, [Evidence(KIND, ROWS, np.tile(np.array([1, 0], dtype=np.float32), (12, 1)))])
    arrays, described = to_arrays(made)
    again = from_arrays(arrays, described)
    assert again.controls[0].linear is None
    assert again.controls[0].out_of_fold is None
    np.testing.assert_array_equal(
        made.scores(EMBEDDINGS, {"kind": KIND})["kind"][0], again.scores(EMBEDDINGS, {"kind": KIND})["kind"][0]
    )


def test_weights_and_clean_targets_reach_the_controls() -> None:
    """Half of the targets weigh 2, and half of them may judge."""
    shares = np.repeat(np.eye(2, dtype=np.float32), 6, axis=0)
    weights, clean = np.tile(np.array([2, 1], dtype=np.float32), 6), np.arange(12) % 2 == 0
    (made,) = fit_model(EMBEDDINGS, [Evidence(KIND, ROWS, shares, weights, clean, ROWS + 50)]).controls
    assert (made.clusters.annotated.sum(axis=1) == 18).all()
    assert made.out_of_fold.tasks.tolist() == [50, 52, 54, 56, 58, 60]
    assert made.check.tasks + made.check.unanswered == 6


def test_copies_of_a_picture_do_not_judge_one_another() -> None:
    """Each image of chance labels is there twice: whoever has seen its copy would be right."""
    rng = np.random.default_rng(0)
    embeddings = np.repeat(rng.normal(size=(60, 4)).astype(np.float32), 2, axis=0)
    shares = np.repeat(np.eye(2, dtype=np.float32)[rng.integers(0, 2, 60)], 2, axis=0)
    (made,) = fit_model(embeddings, [Evidence(KIND, np.arange(120), shares)]).controls
    assert made.check.mean_score < 0.65


def test_the_same_seed_gives_the_same_model() -> None:
    """A training can be repeated."""
    evidence = [Evidence(KIND, ROWS, np.repeat(np.eye(2, dtype=np.float32), 6, axis=0), tasks=ROWS)]
    first, second = (to_arrays(fit_model(EMBEDDINGS, evidence, seed=3))[0] for _ in range(2))
    for name, array in first.items():
        np.testing.assert_array_equal(array, second[name])


@settings(max_examples=25, deadline=None)
@given(st.data())
def test_any_evidence_makes_a_model_that_is_kept(data: st.DataObject) -> None:
    """Few images, copies, one label, no weight, nothing clean: scores are probabilities still."""
    n_images, n_labels = data.draw(st.integers(1, 14)), data.draw(st.integers(1, 3))
    rng = np.random.default_rng(data.draw(st.integers(0, 99)))
    embeddings = rng.normal(size=(n_images, 3)).astype(np.float32)[rng.integers(0, n_images, n_images)]
    control = replace(KIND, labels=tuple("abc"[:n_labels]), multiple=data.draw(st.booleans()))
    shares = rng.random((n_images, n_labels)) if control.multiple else rng.dirichlet(np.ones(n_labels), n_images)
    weights = (rng.random(n_images) * data.draw(st.sampled_from([0, 1]))).astype(np.float32)
    clean = rng.random(n_images) < data.draw(st.sampled_from([0, 0.5, 1]))
    rows = np.arange(n_images)
    evidence = Evidence(control, rows, shares.astype(np.float32), weights, clean, rows)
    arrays, described = to_arrays(fit_model(embeddings, [evidence]))
    model = from_arrays(arrays, json.loads(json.dumps(described, allow_nan=False)))
    scores, _ = model.scores(embeddings, {"kind": control})["kind"]
    assert scores.min() >= 0
    assert scores.max() <= 1
    if not control.multiple:
        np.testing.assert_allclose(scores.sum(axis=1), 1, rtol=1e-4)
    assert compare(model, model, [evidence], embeddings).promoted
