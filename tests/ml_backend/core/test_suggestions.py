from dataclasses import replace
from math import inf

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from label_studio_sdk.label_interface import LabelInterface

from common.label_studio.suggestions import as_chosen
from ml_backend.core.controls import Control
from ml_backend.core.held_out import HeldOutCheck
from ml_backend.core.suggestions import Ticking, suggestion

SINGLE = Control("kind", "image", ("cat", "dog", "owl"), multiple=False, image_key="image")
MULTIPLE = replace(SINGLE, name="traits", multiple=True)


def test_a_prediction_has_label_studios_shape() -> None:
    """Every key that Label Studio reads is there, and no other."""
    made = suggestion([(SINGLE, np.array([0.125, 0.5, 0.375]))], task_id=3, model_version="v1")
    region_id = made["result"][0].pop("id")
    assert made == {
        "model_version": "v1",
        "score": 0.5,
        "result": [
            {
                "from_name": "kind",
                "to_name": "image",
                "type": "choices",
                "value": {"choices": ["dog"]},
                "scores": {"dog": 0.5, "owl": 0.375, "cat": 0.125},
            }
        ],
    }
    assert len(region_id) == 10


def test_multiple_suggests_every_likely_label() -> None:
    """Labels above a half are suggested, the likeliest first; exactly a half is an alternative."""
    made = suggestion([(MULTIPLE, np.array([0.625, 0.5, 0.75]))], task_id=3, model_version="v1")
    assert made["result"][0]["value"] == {"choices": ["owl", "cat"]}
    assert made["score"] == 0.625
    assert list(made["result"][0]["scores"].items()) == [("owl", 0.75), ("cat", 0.625), ("dog", 0.5)]


@pytest.mark.parametrize(
    ("top_k", "labels"),
    [(0, ["dog"]), (1, ["dog"]), (2, ["dog", "owl"]), (3, ["dog", "owl"]), (9, ["dog", "owl"])],
)
def test_as_many_labels_are_told_as_wanted(top_k: int, labels: list[str]) -> None:
    """The suggested label is one of the k, and what is impossible is none."""
    made = suggestion([(SINGLE, np.array([0, 0.75, 0.25]))], task_id=3, model_version="v1", top_k=top_k)
    assert list(made["result"][0]["scores"]) == labels


@pytest.mark.parametrize(
    ("control", "probabilities", "ticked", "suggested"),
    [
        (SINGLE, [0.125, 0.625, 0.25], ["dog"], ["dog"]),
        (SINGLE, [0.125, 0.5, 0.375], [], ["dog"]),
        (MULTIPLE, [0.5625, 0.125, 0.75], ["owl"], ["owl", "cat"]),
        (MULTIPLE, [0.5625, 0.125, 0.25], [], ["cat"]),
    ],
)
def test_what_is_not_sure_enough_is_suggested_and_not_ticked(
    control: Control, probabilities: list[float], ticked: list[str], suggested: list[str]
) -> None:
    """With 0.6 as the least score: it keeps its score and its place, and a reader still learns the label."""
    made = suggestion(
        [(control, np.array(probabilities))], task_id=3, model_version="v1", least_scores={control.name: 0.6}
    )
    assert made["result"][0]["value"]["choices"] == ticked
    [chosen] = as_chosen(made["result"])
    assert (chosen["value"]["choices"], chosen["score"]) == (suggested, made["score"])
    assert made["score"] == min(probabilities[control.labels.index(label)] for label in suggested)


@pytest.mark.parametrize(
    ("ticking", "accuracy", "least"),
    [
        (Ticking(0.25, 0.5), 0.5, 0.25),
        (Ticking(0.25, 0.5), 0.4375, inf),
        (Ticking(0.25, 0.5), None, inf),
        (Ticking(0.25, 0), None, 0.25),
        (Ticking({"kind": 0.75}, {"other": 1}), None, 0.75),
        (Ticking({"other": 0.75}, {"kind": 0.5}), 0.5, 0),
    ],
)
def test_a_version_ticks_where_it_was_right_often_enough(
    ticking: Ticking, accuracy: float | None, least: float
) -> None:
    """Of a version that could hold out no annotation nothing is known; limits can be set by control."""
    assert ticking.least_score("kind", HeldOutCheck(accuracy=accuracy)) == least


def test_likeliness_ties_keep_the_order_of_the_config() -> None:
    """Of labels that are equally likely the first one is suggested."""
    made = suggestion([(SINGLE, np.array([0.25, 0.375, 0.375]))], task_id=3, model_version="v1")
    assert list(made["result"][0]["scores"]) == ["dog", "owl", "cat"]


@pytest.mark.parametrize("least", [0, 1])
@pytest.mark.parametrize("control", [SINGLE, MULTIPLE])
def test_the_sdk_finds_nothing_wrong_with_it(control: Control, least: float) -> None:
    """The checks that Label Studio runs on imported predictions accept a suggestion as it is, ticked or not."""
    choice = "multiple" if control.multiple else "single"
    labels = "".join(f'<Choice value="{label}"/>' for label in control.labels)
    config = LabelInterface(
        f'<View><Image name="image" value="$image"/>'
        f'<Choices name="{control.name}" toName="image" choice="{choice}">{labels}</Choices></View>'
    )
    made = suggestion(
        [(control, np.array([0.625, 0.5, 0.75]))],
        task_id=3,
        model_version="v1",
        least_scores={control.name: least},
    )
    assert config.validate_prediction(made, return_errors=True) == []


def test_a_prediction_is_as_sure_as_its_least_sure_region() -> None:
    """Regions with 0.5 and 0.75 make a prediction with 0.5, the surest region first."""
    pairs = [(SINGLE, np.array([0.5, 0.25, 0.25])), (MULTIPLE, np.array([0.75, 0, 0]))]
    made = suggestion(pairs, task_id=3, model_version="v1")
    assert made["score"] == 0.5
    assert [region["from_name"] for region in made["result"]] == ["traits", "kind"]


def test_nothing_likely_is_no_prediction() -> None:
    """A multiple choice without a likely label suggests nothing, and nor do no controls."""
    assert suggestion([(MULTIPLE, np.array([0.5, 0.5, 0.1]))], task_id=3, model_version="v1") is None
    assert suggestion([], task_id=3, model_version="v1") is None


@given(st.integers(0, 9), st.integers(0, 9))
def test_region_ids_are_their_own(task_id: int, other_id: int) -> None:
    """Two tasks share a region id only if they are the same task."""
    first, second = (
        suggestion([(SINGLE, np.array([1, 0, 0]))], task_id=task, model_version="v1")["result"][0]["id"]
        for task in (task_id, other_id)
    )
    assert (first == second) == (task_id == other_id)
