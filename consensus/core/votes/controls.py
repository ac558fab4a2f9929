"""Controls: how one `<Choices>` of a project asks, and which key of the tasks holds the given label."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

from consensus.core.votes.votes import Choice
from consensus.errors import ConfigError

Kind = Literal["choices", "verification"]
"""Annotators choose labels, or they say yes, no or unsure to the label that the task came with."""

YES_WORDS = ("yes", "correct", "right", "true", "confirm", "confirmed")
NO_WORDS = ("no", "incorrect", "wrong", "false", "reject", "rejected")
UNSURE_WORDS = ("unsure", "not sure", "maybe", "unclear", "don't know", "skip")
GIVEN_WORDS = ("given", "given_label", "label", "class", "category")
"""Keys of a task that are taken for the given label before others."""


@dataclass(frozen=True)
class ChoicesTag:
    """A `<Choices>` as the label config spells it.

    Attributes
    ----------
    name, to_name : str
    multiple : bool
        Whether several labels may be chosen at once.
    labels : tuple of str
    """

    name: str
    to_name: str
    multiple: bool
    labels: tuple[str, ...]


@dataclass(frozen=True)
class ControlSettings:
    """What a settings file says of a control; None is left to `resolve`."""

    kind: Kind | None = None
    given: str | None = None
    candidates: str | None = None
    yes: str | None = None
    no: str | None = None
    unsure: str | None = None


@dataclass(frozen=True)
class Control:
    """A control whose annotations are votes.

    Attributes
    ----------
    tag : ChoicesTag
    kind : {"choices", "verification"}
    given : str or None
        Key of `task.data` that holds the given label (or a list of them); None: no label is given.
    candidates : str or None
        Key of `task.data` that holds labels to report even without votes though they are not given.
    answers : dict of str to {"yes", "no", "unsure"}
        Of a verification control: what each of its labels says. Empty for choices.
    """

    tag: ChoicesTag
    kind: Kind
    given: str | None = None
    candidates: str | None = None
    answers: Mapping[str, str] = field(default_factory=dict)

    @property
    def choice(self) -> Choice:
        """How the control's votes are counted."""
        if self.kind == "verification":
            return "each"
        return "multiple" if self.tag.multiple else "single"

    @property
    def about(self) -> str:
        """One line for a person: what was inferred or set."""
        what = "yes / no on the given label" if self.kind == "verification" else f"{self.choice} choice"
        given = f"given label in {self.given!r}" if self.given else "no given label"
        candidates = f", candidates in {self.candidates!r}" if self.candidates else ""
        return f"{self.tag.name}: {what} of {len(self.tag.labels)} labels, {given}{candidates}"


def resolve(
    tag: ChoicesTag, settings: ControlSettings, tasks: Sequence[Mapping[str, object]], taken: Iterable[str]
) -> Control:
    """Find out how a control asks, from its settings where they speak and from the tasks where not.

    Parameters
    ----------
    tag : ChoicesTag
    settings : ControlSettings
    tasks : sequence of mappings
        `task.data` of the project's tasks, or of a sample.
    taken : iterable of str
        Keys of `task.data` that the label config shows (images, texts): no given label is there.

    Returns
    -------
    Control

    Raises
    ------
    ConfigError
        Where a verification control has no key with the given label, or words that are not understood, or
        a key that the settings name is in no task.
    """
    answers = _answers(tag, settings)
    kind = settings.kind or ("verification" if {"yes", "no"} <= set(answers.values()) else "choices")
    for key in (settings.given, settings.candidates):
        if key is not None and tasks and not any(key in data for data in tasks):
            raise ConfigError(
                f"control {tag.name!r}: the settings name {key!r}, but no task has that key; the tasks have "
                f"{', '.join(sorted(set().union(*tasks))) or 'none'}"
            )
    if kind == "choices":
        given = settings.given or _given_key(tasks, set(tag.labels), {*taken, settings.candidates or ""}, tag.name)
        return Control(tag, kind, given, settings.candidates)
    if not {"yes", "no"} <= set(answers.values()):
        raise ConfigError(
            f"control {tag.name!r} is a verification, but what each of its labels {', '.join(tag.labels)} means "
            f'is unclear; set yes = "...", no = "..." and, for a third one, unsure = "..." under '
            f"[controls.{tag.name}]"
        )
    given = settings.given or _given_key(tasks, None, {*taken, settings.candidates or ""}, tag.name)
    if given is None and tasks:
        raise ConfigError(
            f"control {tag.name!r} asks for yes or no about a given label, but which key of the tasks holds that "
            f'label is unclear; set given = "KEY" under [controls.{tag.name}], or kind = "choices" where it is '
            "about no given label"
        )
    return Control(tag, kind, given, settings.candidates, answers)


def _answers(tag: ChoicesTag, settings: ControlSettings) -> dict[str, str]:
    """What each label of the tag says; empty unless all of them say something."""
    answers = {}
    for meaning, named, words in (
        ("yes", settings.yes, YES_WORDS),
        ("no", settings.no, NO_WORDS),
        ("unsure", settings.unsure, UNSURE_WORDS),
    ):
        if named is not None and named not in tag.labels:
            raise ConfigError(
                f"control {tag.name!r}: the settings say {meaning} = {named!r}, which is none of its labels "
                f"{', '.join(tag.labels)}"
            )
        spoken = [named] if named is not None else [label for label in tag.labels if label.casefold() in words]
        answers.update(dict.fromkeys(spoken, meaning))
    return answers if set(answers) == set(tag.labels) else {}


def _given_key(
    tasks: Sequence[Mapping[str, object]], labels: set[str] | None, taken: set[str], name: str
) -> str | None:
    """Key whose values are labels: one of a familiar name, or the only one."""
    keys = [key for key in dict.fromkeys(key for data in tasks for key in data) if key not in taken]
    fitting = [key for key in keys if _holds_labels(tasks, key, labels)]
    familiar = [key for word in (*GIVEN_WORDS, name) for key in fitting if key.casefold() == word.casefold()]
    if familiar:
        return familiar[0]
    # Any short text could be what a verification asks about: only a familiar name will do.
    return fitting[0] if len(fitting) == 1 and labels is not None else None


def _holds_labels(tasks: Sequence[Mapping[str, object]], key: str, labels: set[str] | None) -> bool:
    """Whether most tasks that have something under the key have labels there: a few may be misspelt."""
    found = [values for data in tasks if (values := labels_of(data.get(key))) != ()]
    if labels is None:
        fitting = [values for values in found if values and not any("/" in label for label in values)]
    else:
        fitting = [values for values in found if values and labels.issuperset(values)]
    return len(fitting) > len(found) / 2


def labels_of(value: object) -> tuple[str, ...] | None:
    """Read a task's given labels: a text or number, a list of them, or nothing; None where it is neither.

    Examples
    --------
    >>> labels_of("cat"), labels_of(["cat", 7]), labels_of(None), labels_of({"a": 1})
    (('cat',), ('cat', '7'), (), None)
    """
    if value is None or value == "":
        return ()
    if isinstance(value, str | int) and not isinstance(value, bool):
        return (str(value),)
    if isinstance(value, list) and all(
        isinstance(item, str | int) and not isinstance(item, bool) for item in value
    ):
        return tuple(dict.fromkeys(str(item) for item in value if item != ""))
    return None
