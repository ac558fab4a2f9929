"""Suggestions: whether an annotation says what the prediction said that it began from."""

from common.label_studio.annotations import choices_in
from consensus.core.votes.controls import Control
from consensus.core.votes.from_annotations import Annotation, chosen_on


def accepted(annotation: Annotation, control: Control) -> bool | None:
    """Return whether the annotator left a suggestion for a control as it was.

    Only what was submitted is compared, read as votes are: a choice that was changed and changed back counts as
    accepted.

    Returns
    -------
    bool or None
        None where the annotation did not begin from a prediction, that prediction is no more, it suggests nothing
        for the control, or the task was skipped.

    Examples
    --------
    >>> from common.label_studio.label_config import ChoicesTag
    >>> kind = Control(ChoicesTag("kind", "image", multiple=False, labels=("cat", "dog")), "choices")
    >>> cat = [{"from_name": "kind", "value": {"choices": ["cat"]}}]
    >>> begun = Annotation(1, "a1", "", skipped=False, ground_truth=False, result=cat, suggestion=cat)
    >>> accepted(begun, kind)
    True
    """
    if annotation.suggestion is None or annotation.skipped:
        return None
    suggested, submitted = (
        set(chosen_on(choices_in(regions).made, control) or ())
        for regions in (annotation.suggestion, annotation.result)
    )
    return submitted == suggested if suggested else None
