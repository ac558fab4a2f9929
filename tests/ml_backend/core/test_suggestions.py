from dataclasses import replace

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from ml_backend.core.controls import Control
from ml_backend.core.suggestions import suggestion

SINGLE = Control("kind", "image", ("cat", "dog", "owl"), multiple=False, image_key="image")
MULTIPLE = replace(SINGLE, name="traits", multiple=True)


def test_a_prediction_has_label_studios_shape() -> None:
    """Every key that Label Studio reads is there, and no other."""
    made = suggestion([(SINGLE, np.array([0.25, 0.5, 0.25]))], task_id=3, model_version="v1")
    region_id = made["result"][0].pop("id")
    assert made == {
        "model_version": "v1",
        "score": 0.5,
        "result": [
            {
                "from_name": "kind",
                "to_name": "image",
                "type": "choices",
                "score": 0.5,
                "value": {"choices": ["dog"]},
            }
        ],
    }
    assert len(region_id) == 10


def test_multiple_suggests_every_likely_label() -> None:
    """Labels above a half are suggested, exactly a half is not, and the region is as sure as its weakest label."""
    made = suggestion([(MULTIPLE, np.array([0.75, 0.5, 0.625]))], task_id=3, model_version="v1")
    assert made["result"][0]["value"] == {"choices": ["cat", "owl"]}
    assert made["result"][0]["score"] == 0.625


def test_a_prediction_is_as_sure_as_its_least_sure_region() -> None:
    """Regions with 0.5 and 0.75 make a prediction with 0.5."""
    pairs = [(SINGLE, np.array([0.5, 0.25, 0.25])), (MULTIPLE, np.array([0.75, 0, 0]))]
    made = suggestion(pairs, task_id=3, model_version="v1")
    assert made["score"] == 0.5
    assert [region["from_name"] for region in made["result"]] == ["kind", "traits"]


def test_nothing_likely_is_no_prediction() -> None:
    """A multiple choice without a likely label suggests nothing, and nor do no controls."""
    assert suggestion([(MULTIPLE, np.array([0.5, 0.5, 0.1]))], task_id=3, model_version="v1") is None
    assert suggestion([], task_id=3, model_version="v1") is None


@given(st.integers(0, 9), st.integers(0, 9))
def test_region_ids_are_their_own(one: int, two: int) -> None:
    """Two tasks share a region id only if they are the same task."""
    first, second = (
        suggestion([(SINGLE, np.array([1, 0, 0]))], task_id=task, model_version="v1")["result"][0]["id"]
        for task in (one, two)
    )
    assert (first == second) == (one == two)
