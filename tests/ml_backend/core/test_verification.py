"""Controls that ask whether a given label is right."""

from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ml_backend.core.controls import Control
from ml_backend.core.model import Answer, Evidence, ProjectModel, fit_model
from ml_backend.core.verification import answers

ANSWERS = {"right": "yes", "wrong": "no", "unclear": "unsure"}
LABELS, COUNT = ("a", "b", "c"), 120
CONTROL = Control("kind", "image", LABELS, multiple=False, image_key="image", given_key="label")
ASKED = replace(CONTROL, labels=tuple(ANSWERS), given_key="")


def fitted() -> tuple[ProjectModel, NDArray[Any], NDArray[Any]]:
    """A model of given labels that are all right, its images, and what they show."""
    truth, rows = np.arange(COUNT) % 3, np.arange(COUNT)
    spread = np.random.default_rng(0).normal(scale=0.6, size=(COUNT, 6))
    embeddings = np.asarray(np.eye(6)[truth] * 3 + spread, dtype=np.float32)
    given, nobody = np.eye(3, dtype=np.float32)[truth], np.zeros(COUNT, dtype=np.float32)
    control = replace(CONTROL, answers=ANSWERS)
    evidence = Evidence(control, rows, np.zeros_like(given), weights=nobody, tasks=rows, given=given)
    return fit_model(embeddings, [evidence]), embeddings, truth


def asked(model: ProjectModel, embeddings: NDArray[Any], given: str) -> Answer:
    """What the model says of new tasks that came with a label."""
    tasks = [(COUNT + row, {"label": given}) for row in range(len(embeddings))]
    return model.answers(embeddings, {"kind": ASKED}, tasks)["kind"]


def test_the_given_label_is_compared_with_the_image() -> None:
    """The same image is confirmed with the one label and denied with the other; never called unclear."""
    model, embeddings, truth = fitted()
    image = embeddings[truth == 0][:1]
    for given, expected in (("a", "right"), ("b", "wrong")):
        made = asked(model, image, given)
        assert made.supported.tolist() == [True]
        assert ASKED.labels[made.scores[0].argmax()] == expected
        assert made.scores[0, 2] == 0


def test_nothing_is_said_of_unknown_labels_and_of_images_like_none() -> None:
    """Nor where there is no label at all."""
    model, embeddings, _ = fitted()
    assert not asked(model, embeddings[:3], "owl").supported.any()
    assert not model.answers(embeddings[:3], {"kind": ASKED})["kind"].supported.any()
    unlike = np.array([[0, 0, 0, 9, -9, 9]], dtype=np.float32)
    assert not any(asked(model, unlike, given).supported.any() for given in LABELS)


def test_an_answer_that_is_not_sure_is_not_suggested() -> None:
    """Neither where the model prefers the given label a little, nor where it prefers another one a little."""
    control = replace(ASKED, answers=ANSWERS)
    chances = np.array([[0.7, 0.3, 0], [0.3, 0.7, 0], [0.9, 0.1, 0], [0.05, 0.95, 0]])
    right = np.array([[0.75, 0, 0], [0.3, 0, 0], [0.95, 0, 0], [0.1, 0, 0]])
    scores, sure = answers(control, chances, right)
    assert sure.tolist() == [False, False, True, True]
    assert np.allclose(scores[2:], [[0.95, 0.05, 0], [0.1, 0.9, 0]])
