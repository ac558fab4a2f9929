"""Suggestions that were left as they were."""

from typing import Any

import pytest

from consensus.core.votes.accepted_suggestions import accepted
from consensus.core.votes.from_annotations import Annotation


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
    assert accepted(begun(result, suggestion), "kind") is expected


def test_a_skipped_task_accepts_nothing() -> None:
    """It says nothing about the suggestion."""
    assert accepted(begun([], said("cat"), skipped=True), "kind") is None
