"""Suggestions that were left as they were."""

from dataclasses import replace
from typing import Any

import pytest

from common.label_studio.label_config import ChoicesTag, Condition
from consensus.core.votes.accepted_suggestions import accepted
from consensus.core.votes.controls import Control
from consensus.core.votes.from_annotations import Annotation

KIND = ChoicesTag("kind", "image", multiple=False, labels=("cat", "dog"))
TRAITS = ChoicesTag("kind", "image", multiple=True, labels=("fur", "wings"))


def said(*choices: str, control: str = "kind") -> list[dict[str, Any]]:
    """Regions with choices on a control."""
    return [{"from_name": control, "value": {"choices": list(choices)}}]


def begun(result: list[dict[str, Any]], suggestion: Any, *, skipped: bool = False) -> Annotation:  # noqa: ANN401
    """An annotation that began from a prediction."""
    return Annotation(1, "a1", "", skipped, ground_truth=False, result=result, suggestion=suggestion)


@pytest.mark.parametrize(
    ("result", "suggestion", "expected"),
    [
        (said("cat"), said("cat"), True),
        (said("dog"), said("cat"), False),
        ([], said("cat"), False),
        (said("fur", "wings"), said("wings", "fur"), True),
        (said("fur"), said("wings", "fur"), False),
        (said("cat"), None, None),
        (said("cat"), [], None),
        (said("cat"), said("fur", control="traits"), None),
        (said("cat"), [{"from_name": "kind"}], None),
        (said("cat"), ["nonsense"], None),
    ],
)
def test_what_was_submitted_is_compared_with_what_was_suggested(
    result: list[dict[str, Any]],
    suggestion: Any,  # noqa: ANN401
    expected: bool | None,  # noqa: FBT001
) -> None:
    """The same choices in any order are acceptance; without a suggestion for the control nobody can tell."""
    control = Control(TRAITS if "fur" in str(result) else KIND, "choices")
    assert accepted(begun(result, suggestion), control) is expected


@pytest.mark.parametrize(
    ("result", "suggestion", "control", "expected"),
    [
        (said("dog"), said("cat") + said("dog"), Control(KIND, "choices"), True),
        (said("dog"), said("hound"), Control(KIND, "choices", renamed={"hound": "dog"}), True),
        (
            said("cat") + said("yes", control="seen"),
            said("cat") + said("no", control="seen"),
            Control(replace(KIND, conditions=(Condition("choice-selected", "seen", ("yes",)),)), "choices"),
            None,
        ),
    ],
    ids=["of two regions on a single choice the last", "a renamed choice", "a control that was hidden"],
)
def test_both_are_read_as_votes_are(
    result: list[dict[str, Any]],
    suggestion: list[dict[str, Any]],
    control: Control,
    expected: bool | None,  # noqa: FBT001
) -> None:
    """What would be another answer as a vote is another one here, and what would be none is none."""
    assert accepted(begun(result, suggestion), control) is expected


def test_a_skipped_task_accepts_nothing() -> None:
    """It says nothing about the suggestion."""
    assert accepted(begun([], said("cat"), skipped=True), Control(KIND, "choices")) is None
