"""The controls that the backend makes suggestions for."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Control:
    """A Choices control of a label config that is bound to one image.

    Parameters
    ----------
    name, to_name : str
        Names of the control and of its image tag.
    labels : tuple of str
        What can be chosen, in the order of the config; an alias where a choice has one.
    multiple : bool
        Whether an annotator may choose several.
    image_key : str
        Key of ``task.data`` that holds the image's address.
    """

    name: str
    to_name: str
    labels: tuple[str, ...]
    multiple: bool
    image_key: str
