"""Label configs: which of their controls the backend can fill, and whether one has changed."""

import hashlib
from functools import lru_cache
from typing import Any

from label_studio_sdk.label_interface import LabelInterface
from label_studio_sdk.label_interface.control_tags import ChoicesTag
from label_studio_sdk.label_interface.object_tags import ImageTag

from ml_backend.core.controls import Control

_KEPT_LENGTH = 100_000  # of a label config whose controls are remembered


def config_digest(label_config: str) -> str:
    """Give a label config's SHA-256, by which a change of it is noticed."""
    return hashlib.sha256(label_config.encode()).hexdigest()


def choices_controls(label_config: str) -> tuple[Control, ...]:
    """Find the Choices controls that are bound to exactly one image.

    Controls of a region (``perRegion``), with choices taken from the task, or bound to anything but one
    ``<Image>`` with a plain ``$key`` are left alone. A config that cannot be read has no controls.

    Examples
    --------
    >>> config = '''<View><Image name="image" value="$photo"/><TextArea name="note" toName="image"/>
    ...     <Choices name="kind" toName="image"><Choice value="cat"/><Choice value="dog"/></Choices></View>'''
    >>> choices_controls(config)
    (Control(name='kind', to_name='image', labels=('cat', 'dog'), multiple=False, image_key='photo'),)
    """
    return (_kept_controls if len(label_config) <= _KEPT_LENGTH else _controls)(label_config)


def _controls(label_config: str) -> tuple[Control, ...]:
    try:
        found = list(LabelInterface(label_config).controls)
    except Exception:  # noqa: BLE001 - the parser raises its own, lxml's and plain KeyErrors
        return ()
    return tuple(control for tag in found if (control := _control(tag)) is not None)


_kept_controls = lru_cache(maxsize=256)(_controls)


def _control(tag: Any) -> Control | None:  # noqa: ANN401 - the SDK's tags are untyped
    if not isinstance(tag, ChoicesTag) or not tag.labels or len(tag.objects or ()) != 1:
        return None
    per_region = {key.lower(): value for key, value in tag.attr.items()}.get("perregion", "false")
    image = tag.objects[0]
    if per_region.lower() == "true" or not isinstance(image, ImageTag) or image.is_image_list:
        return None
    if not image.value_is_variable:
        return None
    return Control(
        name=tag.name,
        to_name=image.name,
        labels=tuple(dict.fromkeys(tag.labels)),
        multiple=bool(tag.is_multiple_choice),
        image_key=image.value_name,
    )
