"""What is read of a suggestion, whatever model wrote it."""

from typing import Any

import pytest

from common.label_studio.suggestions import as_chosen, scores_in, suggested_region

OTHER_MODELS = {"from_name": "kind", "value": {"choices": ["cat"]}, "score": 0.5}


def test_what_is_ticked_is_what_is_suggested_unless_it_is_named() -> None:
    """A region in which all is ticked names nothing twice."""
    region = suggested_region("kind", "image", ["cat"], ["cat"], {"cat": 0.75})
    assert "suggested" not in region
    assert as_chosen([region]) == [{**region, "score": 0.75}]


@pytest.mark.parametrize(
    "region", [OTHER_MODELS, "no region", {"value": None, "scores": {}}, {"value": {"choices": ["cat"]}}]
)
def test_regions_of_other_models_stay_as_they_are(region: Any) -> None:  # noqa: ANN401
    """Nothing is read into them."""
    assert as_chosen([region]) == [region]


@pytest.mark.parametrize(
    ("region", "whole", "scores"),
    [
        (OTHER_MODELS, 0.25, {"cat": 0.5}),
        ({"value": {"choices": ["cat"]}}, 0.25, {"cat": 0.25}),
        ({**OTHER_MODELS, "meta": {"alternatives": [{"choices": ["dog"], "score": 0.25}]}}, None,
         {"cat": 0.5, "dog": 0.25}),
        ({"value": {"choices": []}, "scores": {"dog": 0.75, "cat": 2, "owl": "much", "ant": float("nan")}}, 0.25,
         {"dog": 0.75, "cat": 1.0}),
        ({"value": None, "score": 0.5}, None, {}),
    ],
)  # fmt: skip
def test_scores_are_read_by_label(region: dict[str, Any], whole: float | None, scores: dict[str, float]) -> None:
    """A region's own, else the prediction's, and those of alternatives; what is no probability is left out."""
    assert scores_in(region, whole) == scores
