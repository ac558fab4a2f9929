"""Suggestions: what predictions say on a control, and which were left as they were."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import pytest

from common.label_studio.label_config import ChoicesTag, Condition
from common.label_studio.suggestions import suggested_region
from consensus.core.votes.collected import collect
from consensus.core.votes.controls import Control
from consensus.core.votes.from_annotations import Annotation, Task, accepted

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


Regions = Sequence[Mapping[str, object]]


def region(choice: object, control: str = "kind", score: object = None) -> dict[str, object]:
    """A region of a prediction."""
    return {"from_name": control, "value": {"choices": choice}, "score": score}


SAID = [Annotation(1, "a1", "", skipped=False, ground_truth=False, result=[region(["cat"])])]


def rows(tasks: Sequence[Task], control: Control | None = None) -> list[tuple[str, str, float]] | None:
    """Task, label and score of each suggestion."""
    collected = collect(tasks, control or Control(KIND, "choices"))
    if (suggestions := collected.suggestions) is None:
        return None
    return list(
        zip(
            collected.votes.task_names[suggestions.task].tolist(),
            collected.votes.label_names[suggestions.label].tolist(),
            suggestions.score.tolist(),
            strict=True,
        )
    )


def test_a_regions_own_score_goes_before_the_whole_predictions() -> None:
    """Where a region has no score, the prediction's is taken; other controls' regions are not."""
    tasks = [
        Task(1, {}, SAID, [region(["dog"], score=0.75), region(["cat"], "colour")], 0.5),
        Task(2, {}, SAID, [region(["cat"])], 0.25),
        Task(3, {}, SAID),
    ]
    assert rows(tasks) == [("1", "dog", 0.75), ("2", "cat", 0.25)]


def test_a_suggestion_on_a_task_that_nobody_speaks_of_is_left_out() -> None:
    """It brings no task into the votes; one on a task with a given label is there, where it was suggested."""
    suggested = [region(["cat"], score=0.5)]
    tasks = [Task(1, {}, (), suggested), Task(2, {"given": "dog"}, (), suggested), Task(3, {}, SAID, suggested)]
    assert rows(tasks, Control(KIND, "choices", "given")) == [("2", "cat", 0.5), ("3", "cat", 0.5)]


def test_suggestions_are_read_as_annotations_are() -> None:
    """A renamed choice is that of today, of two regions on a single choice the last counts, a hidden one never."""
    renamed = Control(KIND, "choices", renamed={"hound": "dog"})
    assert rows([Task(1, {}, SAID, [region(["hound"], score=0.75)])], renamed) == [("1", "dog", 0.75)]
    twice = [region(["cat"], score=0.5), region(["dog"], score=0.25)]
    assert rows([Task(1, {}, SAID, twice)]) == [("1", "dog", 0.25)]
    hidden = Control(replace(KIND, conditions=(Condition("choice-selected", "seen", ("yes",)),)), "choices")
    assert rows([Task(1, {}, SAID, [region(["no"], "seen"), region(["cat"], score=0.5)])], hidden) == []


def test_a_guess_that_was_not_ticked_votes_and_was_never_accepted() -> None:
    """It has a label and a score as any other; who chooses the same label has decided on their own."""
    unsure = [suggested_region("kind", "image", [], ["dog"], {"dog": 0.5, "cat": 0.25})]
    assert rows([Task(1, {}, SAID, unsure, 0.5)]) == [("1", "dog", 0.5)]
    assert accepted(begun(said("dog"), unsure), Control(KIND, "choices")) is None


@pytest.mark.parametrize(
    ("regions", "score"),
    [
        ([region(["bird"])], 0.5),
        ([region(["cat"])], None),
        ([region(["cat"])], float("nan")),
        ([region("cat")], 0.5),
        ([{"from_name": "kind"}], 0.5),
    ],
)
def test_what_cannot_be_read_says_nothing(regions: Regions, score: float | None) -> None:
    """A label that is unknown, a score that is none and a region of another form are left out."""
    assert rows([Task(1, {}, SAID, regions, score)]) == []


def test_a_verification_takes_no_suggestions() -> None:
    """Where annotators say yes or no, a suggested label answers nothing."""
    yes_no = ChoicesTag("check", "image", multiple=False, labels=("yes", "no"))
    control = Control(yes_no, "verification", "given", None, {"yes": "yes", "no": "no"})
    said = Annotation(1, "a1", "", skipped=False, ground_truth=False, result=[region(["yes"], "check")])
    task = Task(1, {"given": "cat"}, [said], [region(["yes"], "check", 0.9)])
    assert rows([task], control) is None
