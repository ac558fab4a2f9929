"""Simulated annotators of different reliability, and what each of them answers on each image."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from demonstration.digits import another

if TYPE_CHECKING:
    from collections.abc import Sequence

    from demonstration.digits import Digit

SKIP_SHARE = 0.02
"""How often an annotator looks at a task and skips it."""
FEWEST_VOTES = 3
SHARES = (0.45, 0.30, 0.15, 0.10)
"""How many of the annotated tasks get 3, 4, 5 and 6 annotations."""


@dataclass(frozen=True)
class Annotator:
    """A simulated annotator.

    Attributes
    ----------
    email
        The account in Label Studio.
    reliability
        Probability that an answer is what the image shows; a wrong answer is any of the other labels.
    """

    email: str
    reliability: float


@dataclass(frozen=True)
class Answer:
    """What an annotator submits on an image: a label, or None for a skip."""

    email: str
    name: str
    label: str | None


CROWD = tuple(
    Annotator(f"annotator{number}@example.com", reliability)
    for number, reliability in enumerate((0.97, 0.93, 0.88, 0.80, 0.65, 0.15), start=1)
)


def simulate(
    digits: Sequence[Digit], crowd: Sequence[Annotator], *, without_votes: int, seed: int
) -> list[Answer]:
    """Let a crowd annotate images: three to six annotators each, and nobody on the last images.

    Parameters
    ----------
    digits, crowd
        Who annotates what.
    without_votes
        Number of images that nobody annotates.
    seed
        The same seed gives the same answers.
    """
    random = np.random.default_rng(seed)
    answers = []
    for digit in digits[: len(digits) - without_votes]:
        votes = int(random.choice(len(SHARES), p=SHARES)) + FEWEST_VOTES
        chosen = random.permutation(len(crowd))[:votes]
        answers.extend(_answer(crowd[index], digit, random) for index in chosen)
    return answers


def _answer(annotator: Annotator, digit: Digit, random: np.random.Generator) -> Answer:
    if random.random() < SKIP_SHARE:
        return Answer(annotator.email, digit.name, None)
    is_right = random.random() < annotator.reliability
    return Answer(annotator.email, digit.name, digit.truth if is_right else another(digit.truth, random))
