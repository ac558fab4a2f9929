"""From the predictions on tasks to suggestions that can vote."""

from collections.abc import Mapping, Sequence
from dataclasses import replace

import pytest

from common.label_studio.label_config import ChoicesTag, Condition
from consensus.core.model.from_predictions import suggestions_on
from consensus.core.votes.controls import Control
from consensus.core.votes.from_annotations import Annotation, Collected, Task, collect

TAG = ChoicesTag("kind", "image", multiple=False, labels=("cat", "dog"))
Regions = Sequence[Mapping[str, object]]


def region(choice: object, control: str = "kind", score: object = None) -> dict[str, object]:
    """A region of a prediction."""
    return {"from_name": control, "value": {"choices": choice}, "score": score}


SAID = [Annotation(1, "a1", "", skipped=False, ground_truth=False, result=[region(["cat"])])]


def rows(tasks: Sequence[Task], control: Control | None = None) -> list[tuple[str, str, float]] | None:
    """Task, label and score of each suggestion."""
    collected: Collected = collect(tasks, control or Control(TAG, "choices"), [])
    found = suggestions_on(collected, tasks)
    if found is None:
        return None
    tasks_of, labels = collected.votes.task_names, collected.votes.label_names
    columns = zip(found.task.tolist(), found.label.tolist(), found.score.tolist(), strict=True)
    return [(tasks_of[task], labels[label], score) for task, label, score in columns]


def test_a_regions_own_score_goes_before_the_whole_predictions() -> None:
    """Where a region has no score, the prediction's is taken; other controls' regions are not."""
    tasks = [
        Task(1, {}, SAID, [region(["dog"], score=0.75), region(["cat"], "colour")], 0.5),
        Task(2, {}, SAID, [region(["cat"])], 0.25),
        Task(3, {}, SAID),
    ]
    assert rows(tasks) == [("1", "dog", 0.75), ("2", "cat", 0.25)]


def test_suggestions_are_read_as_annotations_are() -> None:
    """A renamed choice is that of today, of two regions on a single choice the last counts, a hidden one never."""
    renamed = Control(TAG, "choices", renamed={"hound": "dog"})
    assert rows([Task(1, {}, SAID, [region(["hound"], score=0.75)])], renamed) == [("1", "dog", 0.75)]
    twice = [region(["cat"], score=0.5), region(["dog"], score=0.25)]
    assert rows([Task(1, {}, SAID, twice)]) == [("1", "dog", 0.25)]
    hidden = Control(replace(TAG, conditions=(Condition("choice-selected", "seen", ("yes",)),)), "choices")
    assert rows([Task(1, {}, SAID, [region(["no"], "seen"), region(["cat"], score=0.5)])], hidden) == []


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
