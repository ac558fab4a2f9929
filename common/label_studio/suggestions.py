"""How the ML backend writes a suggestion into a prediction, and how both programs read one of any model.

A region names what is suggested and the likeliest labels' probabilities under keys of its own, `suggested` and
`scores`. Label Studio keeps them in the prediction; its label stream drops them from the annotation that begins
with it, where it would keep a region's `score` and `meta`. What is too unsure to be ticked in advance is suggested
by a region that chooses nothing.
"""

from collections.abc import Iterable, Mapping, Sequence
from math import isfinite
from typing import Any

SUGGESTED, SCORES = "suggested", "scores"


def suggested_region(
    control: str, to_name: str, ticked: Sequence[str], suggested: Sequence[str], scores: Mapping[str, float]
) -> dict[str, Any]:
    """Return a region that suggests labels and ticks some of them."""
    region = {
        "from_name": control,
        "to_name": to_name,
        "type": "choices",
        "value": {"choices": list(ticked)},
        SCORES: dict(scores),
    }
    return region if list(ticked) == list(suggested) else {**region, SUGGESTED: list(suggested)}


def as_chosen(result: Iterable[object]) -> list[Any]:
    """Return the regions of a prediction as if all that is suggested were chosen, each with its own `score`.

    Examples
    --------
    >>> unsure = suggested_region("kind", "image", [], ["dog"], {"dog": 0.4, "cat": 0.3})
    >>> [chosen] = as_chosen([unsure])
    >>> chosen["value"], chosen["score"]
    ({'choices': ['dog']}, 0.4)
    """
    return [_as_chosen(region) if isinstance(region, Mapping) else region for region in result]


def is_unanswered(region: Mapping[str, Any]) -> bool:
    """Return whether a region of an annotation is a suggestion that ticked nothing, copied by a bulk action.

    Nobody has looked at it: what was too unsure to be ticked is no answer, not even that none of the labels holds.

    Examples
    --------
    >>> unsure = suggested_region("kind", "image", [], ["dog"], {"dog": 0.4, "cat": 0.3})
    >>> is_unanswered(unsure), is_unanswered({"value": {"choices": []}})
    (True, False)
    """
    value = region.get("value")
    ticked = value.get("choices") if isinstance(value, Mapping) else None
    return isinstance(region.get(SCORES), Mapping) and bool(region.get(SUGGESTED)) and not ticked


def scores_in(region: Mapping[str, Any], whole: object = None) -> dict[str, float]:
    """Return the probability of each label that a region of a prediction names, suggested or not.

    A region of another model has one `score`, or only the prediction has, and may name `meta.alternatives`.

    Parameters
    ----------
    whole : object
        The prediction's score.

    Examples
    --------
    >>> scores_in({"value": {"choices": ["dog"]}}, 0.75)
    {'dog': 0.75}
    """
    named = region.get(SCORES)
    pairs = list(named.items()) if isinstance(named, Mapping) else []
    meta, value = region.get("meta"), region.get("value")
    alternatives = meta.get("alternatives") if isinstance(meta, Mapping) else None
    own = {
        "choices": value.get("choices") if isinstance(value, Mapping) else (),
        "score": region.get("score", whole),
    }
    for each in [] if pairs else [own, *(alternatives if isinstance(alternatives, list) else ())]:
        if isinstance(each, Mapping):
            pairs += [(label, each.get("score")) for label in each.get("choices") or ()]
    return {str(label): min(max(float(score), 0.0), 1.0) for label, score in pairs if _is_number(score)}


def _as_chosen(region: Mapping[str, Any]) -> Mapping[str, Any]:
    value = region.get("value")
    if not isinstance(region.get(SCORES), Mapping) or not isinstance(value, Mapping):
        return region
    labels = region.get(SUGGESTED, value.get("choices"))
    scores = scores_in(region)
    own = [scores[str(label)] for label in labels or () if str(label) in scores]
    return {**region, "value": {**value, "choices": labels}, **({"score": min(own)} if own else {})}


def _is_number(score: object) -> bool:
    return isinstance(score, int | float) and not isinstance(score, bool) and isfinite(score)
