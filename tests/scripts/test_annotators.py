"""The simulated crowd: as reliable as it is said to be, seeded, and with the votes that the story needs."""

from collections import Counter, defaultdict

import pytest
from demonstration.annotators import CROWD, SKIP_SHARE, Annotator, Answer, simulate
from demonstration.digits import Digit

DIGITS = [Digit(f"image-{number:04d}.png", b"", truth=str(number % 10), given="0") for number in range(2000)]
ANSWERS = simulate(DIGITS, CROWD, without_votes=100, seed=1)


def test_each_annotated_image_has_three_to_six_answers() -> None:
    """Every annotated image is seen by at least three annotators, some by all six."""
    counts = Counter(answer.name for answer in ANSWERS)
    assert len(counts) == 1900
    assert set(counts.values()) == {3, 4, 5, 6}


def test_nobody_answers_twice() -> None:
    """An annotator sees an image once."""
    assert len({(answer.email, answer.name) for answer in ANSWERS}) == len(ANSWERS)


def test_the_last_images_stay_without_votes() -> None:
    """Those images are what NoVotes lists."""
    assert {answer.name for answer in ANSWERS}.isdisjoint(digit.name for digit in DIGITS[-100:])


@pytest.mark.parametrize("annotator", CROWD, ids=lambda annotator: annotator.email)
def test_answers_are_as_reliable_as_said(annotator: Annotator) -> None:
    """The share of right answers is the reliability, within what chance allows for about 1,200 answers."""
    truth = {digit.name: digit.truth for digit in DIGITS}
    labelled = [answer for answer in ANSWERS if answer.email == annotator.email and answer.label is not None]
    right = sum(answer.label == truth[answer.name] for answer in labelled) / len(labelled)
    assert right == pytest.approx(annotator.reliability, abs=0.05)


def test_annotators_skip_now_and_then() -> None:
    """Skips are rare, and there are some."""
    skipped = sum(answer.label is None for answer in ANSWERS) / len(ANSWERS)
    assert skipped == pytest.approx(SKIP_SHARE, abs=0.01)


def test_the_same_seed_gives_the_same_answers() -> None:
    """A demo can be repeated."""
    assert simulate(DIGITS[:50], CROWD, without_votes=5, seed=7) == simulate(
        DIGITS[:50], CROWD, without_votes=5, seed=7
    )


def test_wrong_answers_are_spread() -> None:
    """Who errs chooses any of the other labels: errors of two annotators seldom agree."""
    wrong = defaultdict(set)
    truth = {digit.name: digit.truth for digit in DIGITS}
    for answer in ANSWERS:
        if answer.label not in (None, truth[answer.name]):
            wrong[truth[answer.name]].add(answer.label)
    assert all(len(labels) == 9 for labels in wrong.values())


def test_a_perfect_annotator_is_always_right() -> None:
    """Reliability 1 leaves only right answers and skips."""
    alone = (Annotator("one@example.com", 1.0), Annotator("two@example.com", 1.0), Annotator("x@example.com", 1.0))
    answers = simulate(DIGITS[:200], alone, without_votes=0, seed=0)
    truth = {digit.name: digit.truth for digit in DIGITS}
    assert {answer.label for answer in answers if answer.label != truth[answer.name]} == {None}
    assert all(isinstance(answer, Answer) for answer in answers)
