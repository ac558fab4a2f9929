"""Controls that ask whether a given label is right: what annotators answer is about labels, and so is the model.

What is suggested there compares the given label with what the image makes probable: yes where the model, which was
not taught this label, finds it likeliest itself, no where it finds it unlikely. Where it is not sure nothing is
suggested, and never anything of the image alone.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ml_backend.core.controls import Control

Floats = NDArray[np.floating[Any]]

SURE = 0.8
"""How probable an answer is that is suggested."""


def asked(control: Control) -> Control:
    """Return a verification as annotators see it: its labels are the answers."""
    return replace(control, labels=tuple(control.answers), answers={})


@dataclass(frozen=True)
class VerificationTargets:
    """What answers say of labels.

    Parameters
    ----------
    shares : (n_tasks, n_labels) float32
    weights : (n_tasks,) float32
        0 where nothing is known.
    """

    shares: NDArray[np.float32]
    weights: NDArray[np.float32]


def about_labels(control: Control, shares: Floats, weights: Floats, given: Floats) -> VerificationTargets:
    """Turn answers into targets of labels: yes confirms the given one, no speaks for all others.

    Parameters
    ----------
    shares : (n_tasks, n_answers) float
        Of the answers, in the order of ``control.answers``.
    weights : (n_tasks,) float
        How much they count; 0 where nobody has answered.
    given : (n_tasks, n_labels) float
        1 for the given label; rows of zeros where none is known.

    Examples
    --------
    >>> answers = {"yes": "yes", "no": "no"}
    >>> control = Control("check", "image", ("cat", "dog", "owl"), False, "image", answers=answers)
    >>> made = about_labels(control, np.array([[1, 0], [0, 1]]), np.ones(2), np.array([[1, 0, 0], [1, 0, 0]]))
    >>> made.shares.tolist()
    [[1.0, 0.0, 0.0], [0.0, 0.5, 0.5]]
    """
    meanings = list(control.answers.values())
    yes, no = (
        sum((shares[:, row] for row, each in enumerate(meanings) if each == meaning), np.zeros(len(shares)))
        for meaning in ("yes", "no")
    )
    decided = yes + no
    right = np.divide(yes, decided, out=np.zeros_like(decided), where=decided > 0)[:, None]
    others = (1 - given) / max(given.shape[1] - 1, 1)
    use = given.any(axis=1) & (decided > 0)
    about = right * given + (1 - right) * others
    counts = np.where(use, weights * decided, 0)
    return VerificationTargets(about.astype(np.float32), counts.astype(np.float32))


def yes_or_no(answers: Mapping[str, str]) -> tuple[str, str]:
    """Return the first label that says yes and the first that says no.

    Examples
    --------
    >>> yes_or_no({"right": "yes", "unclear": "unsure", "wrong": "no"})
    ('right', 'wrong')
    """
    meanings = {meaning: label for label, meaning in reversed([*answers.items()])}
    return meanings["yes"], meanings["no"]


def yes_and_no(shares: Floats, given: Floats) -> Floats:
    """(n_images, 2): what targets of labels say of the given one.

    Examples
    --------
    >>> yes_and_no(np.array([[0.25, 0.75]]), np.array([[1, 0]])).tolist()
    [[0.25, 0.75]]
    """
    right = (shares * given).sum(axis=1)
    return np.stack([right, 1 - right], axis=1)


def answers(
    control: Control, probabilities: Floats, right: Floats
) -> tuple[NDArray[np.float32], NDArray[np.bool_]]:
    """Score the answers by how probable it is that the given label is right.

    Parameters
    ----------
    control : Control
        As annotators see it today, with the answers in ``answers``.
    probabilities : (n_images, n_labels) float
        Of the labels, whatever was given.
    right : (n_images, n_labels) float
        How likely each given label is right; rows of zeros where none is known.

    Returns
    -------
    scores : (n_images, n_answers) float32
    supported : (n_images,) bool
        Whether the answer is sure enough to be suggested.
    """
    has_given, rows = right.any(axis=1), np.arange(len(right))
    given = right.argmax(axis=1)
    likely = right[rows, given]
    agrees = probabilities.argmax(axis=1) == given
    scores = np.zeros((len(right), len(control.labels)), dtype=np.float32)
    meanings = [control.answers.get(label) for label in control.labels]
    for meaning, chances in (("yes", likely), ("no", 1 - likely)):
        if meaning in meanings:
            scores[:, meanings.index(meaning)] = np.where(has_given, chances, 0)
    sure = np.where(agrees, likely, 1 - likely) >= SURE
    return scores, np.asarray(has_given & sure)
