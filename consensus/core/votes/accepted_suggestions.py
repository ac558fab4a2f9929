"""Suggestions: whether an annotation says what the prediction said that it began from."""

from collections.abc import Iterable, Iterator, Mapping

from consensus.core.votes.from_annotations import Annotation


def accepted(annotation: Annotation, control: str) -> bool | None:
    """Return whether the annotator left a suggestion for a control as it was.

    Only what was submitted is compared: a choice that was changed and changed back counts as accepted.

    Returns
    -------
    bool or None
        None where the annotation did not begin from a prediction, that prediction is no more, it suggests nothing
        for the control, or the task was skipped.

    Examples
    --------
    >>> cat = [{"from_name": "kind", "value": {"choices": ["cat"]}}]
    >>> begun = Annotation(1, "a1", "", skipped=False, ground_truth=False, result=cat, suggestion=cat)
    >>> accepted(begun, "kind"), accepted(begun, "colour")
    (True, None)
    """
    if annotation.suggestion is None or annotation.skipped:
        return None
    suggested, submitted = (
        {choice for _, choice in choices_on(regions, control)}
        for regions in (annotation.suggestion, annotation.result)
    )
    return submitted == suggested if suggested else None


def choices_on(regions: Iterable[object], control: str) -> Iterator[tuple[Mapping[str, object], str]]:
    """Yield every choice that regions make on a control, with its region; regions of another form make none."""
    for region in regions:
        if not isinstance(region, Mapping) or region.get("from_name") != control:
            continue
        value = region.get("value")
        choices = value.get("choices") if isinstance(value, Mapping) else None
        yield from ((region, str(choice)) for choice in (choices if isinstance(choices, list) else ()))
