"""The controls that the backend makes suggestions for."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType

import numpy as np
from numpy.typing import NDArray

from common.label_studio.given_labels import GivenSource
from common.label_studio.label_config import Condition, LabelConfigError, read_label_config


@dataclass(frozen=True)
class Control:
    """A `<Choices>` of a label config that is bound to one image.

    Parameters
    ----------
    name, to_name : str
        Names of the control and of its image tag.
    labels : tuple of str
        What can be chosen, in the order of the config; an alias where a choice has one.
    multiple : bool
        Whether an annotator may choose several, or none.
    image_key : str
        Key or path of ``task.data`` that holds the image's address.
    conditions : tuple of Condition
        What has to be chosen on other controls for this one to be shown.
    given_key : str
        Key or path of ``task.data`` with the label that a task came with; "" where there is none.
    answers : mapping of str to {"yes", "no", "unsure"}
        Of a control that asks whether the given label is right: what each of its choices says. Its ``labels`` are
        then those that may be given, and the choices are the keys here.
    renamed : mapping of str to str
        Other names of labels.
    """

    name: str
    to_name: str
    labels: tuple[str, ...]
    multiple: bool
    image_key: str
    conditions: tuple[Condition, ...] = ()
    given_key: str = ""
    answers: Mapping[str, str] = field(default_factory=dict)
    renamed: Mapping[str, str] = field(default_factory=dict)

    @property
    def question(self) -> tuple[str, tuple[str, ...], bool]:
        """Name, labels and kind: only answers to the same question can be compared."""
        return self.name, self.labels, self.multiple

    def today(self, label: str) -> str:
        """Return the name that a label of an earlier config has now."""
        return label if label in self.labels else self.renamed.get(label, label)


def given_matrix(control: Control, tasks: Sequence[Mapping[str, object]]) -> NDArray[np.float32]:
    """Return what tasks came with, by their data: (n_tasks, n_labels) float32, 1 where a label was given.

    Where what is there is none of the labels, or several for a single choice, nothing is.
    """
    column_of = {label: column for column, label in enumerate(control.labels)}
    given = np.zeros((len(tasks), len(control.labels)), dtype=np.float32)
    source = GivenSource(control.given_key)
    for row, data in enumerate(tasks if control.given_key else ()):
        labels = source.labels(data, control.renamed)
        if all(label in column_of for label in labels) and (control.multiple or len(labels) == 1):
            given[row, [column_of[label] for label in labels]] = 1
    return given


def image_controls(
    label_config: str, renamed: Mapping[str, Mapping[str, str]] = MappingProxyType({})
) -> tuple[Control, ...]:
    """Controls of a label config that are bound to exactly one image; none where it cannot be read.

    Parameters
    ----------
    renamed : mapping of str to mapping of str to str
        New names of choices, by control.

    Examples
    --------
    >>> config = '''<View><Image name="image" value="$photo"/><TextArea name="note" toName="image"/>
    ...     <Choices name="kind" toName="image"><Choice value="cat"/><Choice value="dog"/></Choices></View>'''
    >>> [(control.name, control.labels, control.image_key) for control in image_controls(config)]
    [('kind', ('cat', 'dog'), 'photo')]
    """
    try:
        choices = read_label_config(label_config).choices
    except LabelConfigError:
        return ()
    return tuple(
        Control(
            tag.name,
            tag.to_name,
            tag.labels,
            tag.multiple,
            tag.image_key,
            tag.conditions,
            renamed=renamed.get(tag.name, {}),
        )
        for tag in choices
        if tag.image_key
    )


def passed_over(label_config: str) -> dict[str, str]:
    """Why each other `<Choices>` gets no suggestions, by name.

    Examples
    --------
    >>> choices = '<Choices name="c" toName="t"><Choice value="a"/></Choices>'
    >>> passed_over(f'<View><Text name="t" value="$t"/>{choices}</View>')
    {'c': 'is bound to Text, not to an Image'}
    """
    try:
        config = read_label_config(label_config)
    except LabelConfigError as error:
        return {"label config": str(error).removeprefix("the label config ")}
    return {**{tag.name: tag.why_no_image for tag in config.choices if tag.why_no_image}, **config.passed_over}
