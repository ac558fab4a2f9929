from dataclasses import replace

import numpy as np

from ml_backend.core.controls import Control
from ml_backend.core.model import Evidence, fit_model, from_parts, to_parts

KIND = Control("kind", "image", ("dark", "light"), multiple=False, image_key="image")
TRAITS = Control("traits", "image", ("old", "new"), multiple=True, image_key="image")
EMBEDDINGS = np.concatenate([np.tile([1, 0], (6, 1)), np.tile([-1, 0], (6, 1))]).astype(np.float32)
EMBEDDINGS += np.random.default_rng(0).normal(scale=0.01, size=(12, 2)).astype(np.float32)
ROWS = np.arange(12)
MODEL = fit_model(
    EMBEDDINGS,
    [
        Evidence(KIND, ROWS, np.repeat(np.eye(2, dtype=np.float32), 6, axis=0)),
        Evidence(TRAITS, ROWS, np.repeat([[1, 1], [0, 0]], 6, axis=0).astype(np.float32)),
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
    """What was split for the disk scores as before."""
    again = from_parts(*to_parts(MODEL))
    before, after = (model.scores(EMBEDDINGS, {"kind": KIND})["kind"][0] for model in (MODEL, again))
    np.testing.assert_array_equal(before, after)
    assert again.controls[1].control == TRAITS
