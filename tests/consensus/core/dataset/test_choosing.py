"""What a dataset holds of the believed labels, and why not the others."""

import pytest

from common.contract import MACHINE_ACCOUNT
from consensus.core.dataset.believed import Candidate, Decision, Item
from consensus.core.dataset.choosing import Choosing, Only, choose, without

ITEMS = (
    Item(1, (Candidate("cat", given=True, yes=2, confidence=0.9, report="AllConfirmed"),)),
    Item(2, (Candidate("cat", given=True, confidence=0.6, report="NoVotes"),)),
    Item(
        3,
        (
            Candidate("cat", given=True, no=3, posterior=0.1, report="MisClassified"),
            Candidate("dog", yes=3, confidence=0.81, posterior=0.9, report="Discovered"),
        ),
    ),
    Item(4, (Candidate("cat", given=True),), Decision(("owl",), "corrected", "a@example.com")),
    Item(5, (Candidate("cat", given=True),), Decision(("cat",), "accepted", MACHINE_ACCOUNT, score=0.7)),
    Item(6, (Candidate("cat", given=True, no=3, posterior=0.1, report="MisClassified"),)),
)


@pytest.mark.parametrize(
    ("only", "tasks"),
    [
        (None, [1, 2, 3, 4, 5]),
        ("confirmed", [1, 3, 4, 5]),
        ("decided", [4, 5]),
        ("person", [4]),
        ("machine", [5]),
        ("votes", [1, 3]),
        ("given", [2]),
        ("changed", [3, 4]),
        ("doubtful", []),
    ],
)
def test_only_keeps_what_fits_its_word(only: Only | None, tasks: list[int]) -> None:
    """Each other item is left out once, and says why."""
    dataset = choose(ITEMS, "single", Choosing(only))
    assert [label.task for label in dataset.labels] == tasks
    assert [each.task for each in dataset.left_out] == sorted({1, 2, 3, 4, 5, 6} - {*tasks})
    assert all(each.reason for each in dataset.left_out)


def test_a_label_below_the_confidence_is_left_out_with_its_own() -> None:
    """A person's decision has a confidence of 1."""
    dataset = choose(ITEMS, "single", Choosing(min_confidence=0.8))
    assert [label.task for label in dataset.labels] == [1, 3, 4]
    reasons = {each.task: each.reason for each in dataset.left_out}
    assert reasons[2] == "confidence below 0.8: cat with 0.600"
    assert reasons[5] == "confidence below 0.8: cat with 0.700"


def test_doubtful_labels_join_where_they_are_asked_for() -> None:
    """They can be had alone, too."""
    assert [label.task for label in choose(ITEMS, "single", Choosing(keep_doubtful=True)).labels][-1] == 6
    only = choose(ITEMS, "single", Choosing("doubtful", keep_doubtful=True)).labels
    assert [(label.task, label.label) for label in only] == [(6, "cat")]


def test_tasks_without_their_image_move_to_what_is_left_out() -> None:
    """In the order of the tasks."""
    dataset = without(choose(ITEMS, "single", Choosing()), {2: "it is empty", 99: "not in it"})
    assert [label.task for label in dataset.labels] == [1, 3, 4, 5]
    assert dataset.left_out[0].reason == "the image cannot be had: it is empty"
    assert [each.task for each in dataset.left_out] == [2, 6]
