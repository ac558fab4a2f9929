"""Why controls of a label config get no suggestions."""

from typing import Any

from label_studio_sdk.label_interface import LabelInterface
from label_studio_sdk.label_interface.control_tags import ChoicesTag
from label_studio_sdk.label_interface.object_tags import ImageTag

from ml_backend.label_studio.label_configs import choices_controls


def left_alone(label_config: str) -> dict[str, str]:
    """Name the Choices that get no suggestions, each with the reason.

    Examples
    --------
    >>> choices = '<Choices name="c" toName="t"><Choice value="a"/></Choices>'
    >>> left_alone(f'<View><Text name="t" value="$t"/>{choices}</View>')
    {'c': 'is bound to Text, not to an Image'}
    """
    served = {control.name for control in choices_controls(label_config)}
    try:
        tags = list(LabelInterface(label_config).controls)
    except Exception:  # noqa: BLE001 - the parser raises its own, lxml's and plain KeyErrors
        return {}
    return {tag.name: _why(tag) for tag in tags if isinstance(tag, ChoicesTag) and tag.name not in served}


def _why(tag: Any) -> str:  # noqa: ANN401 - the SDK's tags are untyped
    objects = list(tag.objects or ())
    if len(objects) != 1:
        return f"is bound to {len(objects)} tags, not to one Image"
    bound = objects[0]
    if not isinstance(bound, ImageTag):
        return f"is bound to {bound.tag}, not to an Image"
    if bound.is_image_list:
        return "is bound to a list of images (valueList)"
    if not bound.value_is_variable:
        return f"is bound to an Image whose value {bound.value!r} is no key of the task, as $image is"
    if not tag.labels:
        return "takes its choices from the task"
    return "is asked for each region (perRegion)"
