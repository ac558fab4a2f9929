"""Controls: how one `<Choices>` of a project asks, and which key of the tasks holds the given label."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from common.contract import ControlKind
from common.label_studio.annotations import answer_on
from common.label_studio.given_labels import (
    MOST,
    answers_in,
    asks_yes_or_no,
    familiar,
    given_key,
    keys_of,
    labels_of,
    plain,
    share_of,
    verified_key,
)
from common.label_studio.label_config import ChoicesTag, LabelConfig, value_at
from consensus.core.votes.votes import Choice
from consensus.errors import ConfigError

ODD_NAMED = 3


@dataclass(frozen=True)
class ControlSettings:
    """What a settings file says of a control; None is left to `resolve`."""

    kind: ControlKind | None = None
    given: str | None = None
    given_annotations: bool = False
    given_version: str | None = None
    candidates: str | None = None
    yes: str | None = None
    no: str | None = None
    unsure: str | None = None
    renamed: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Control:
    """A control whose annotations are votes.

    Attributes
    ----------
    kind : {"choices", "verification"}
    given : str or None
        Key of `task.data` that holds the given label (or a list of them); None: no label is given.
    candidates : str or None
        Key of `task.data` that holds labels to report even without votes though they are not given.
    answers : dict of str to {"yes", "no", "unsure"}
        Of a verification control: what each of its labels says. Empty for choices.
    hint : str
        What a person may want to set, where something was not clear.
    given_annotations : bool
        Whether ground truth holds the given labels (they were imported as annotations) and is no gold.
    given_version : str or None
        The model version whose predictions are the given labels.
    renamed : mapping of str to str
        What choices and given labels mean that are spelled otherwise than a choice of today.
    """

    tag: ChoicesTag
    kind: ControlKind
    given: str | None = None
    candidates: str | None = None
    answers: Mapping[str, str] = field(default_factory=dict)
    hint: str = ""
    renamed: Mapping[str, str] = field(default_factory=dict)
    given_annotations: bool = False
    given_version: str | None = None

    @property
    def choice(self) -> Choice:
        """How the control's votes are counted."""
        if self.kind == "verification":
            return "each"
        return "multiple" if self.tag.multiple else "single"

    def chosen(self, made: Mapping[str, tuple[str, ...]]) -> tuple[str, ...] | None:
        """Return what choices by control, as they are named today, answer on it; None where it was not shown."""
        name, multiple = self.tag.name, self.choice == "multiple"
        today = tuple(self.renamed.get(choice, choice) for choice in made.get(name, ()))
        return answer_on(name, {**made, name: today}, multiple=multiple, conditions=self.tag.conditions)

    @property
    def about(self) -> str:
        """One line for a person: what was inferred or set."""
        question = "yes / no on the given label" if self.kind == "verification" else f"{self.choice} choice"
        given = f"given label in {self.given!r}" if self.given else "no given label"
        if self.given_annotations:
            given = "ground truth holds the given label"
        elif self.given_version:
            given = f"predictions of {self.given_version!r} are the given label"
        candidates = f", candidates in {self.candidates!r}" if self.candidates else ""
        hint = f" ({self.hint})" if self.hint else ""
        return f"{self.tag.name}: {question} of {len(self.tag.labels)} labels, {given}{candidates}{hint}"


def resolve(
    tag: ChoicesTag, settings: ControlSettings, tasks: Sequence[Mapping[str, object]], config: LabelConfig
) -> Control:
    """Find out how a control asks, from its settings where they speak and from the tasks where not.

    Where the settings are silent, yes and no verify the given label only if the label config shows that label
    (`$key`), it is no choice of another control, and no other control asks for yes or no: one of them may be about
    something else. Otherwise they are choices like others.

    Parameters
    ----------
    tasks : sequence of mappings
        `task.data` of the project's tasks, or of a sample.
    config : LabelConfig
        The one that the tag is of. What its objects show (images, texts) is no given label of choices.

    Raises
    ------
    ConfigError
        Where a control that the settings call a verification has no key with the given label, or words that are
        not understood, or a key that the settings name is in no task.
    """
    _check_names(tag, settings, tasks)
    if settings.given_annotations or settings.given_version:
        return _given_elsewhere(tag, settings)
    answers = answers_of(tag, settings)
    is_yes_no = asks_yes_or_no(answers)
    if settings.kind == "verification" and not is_yes_no:
        raise ConfigError(
            f"control {tag.name!r} is a verification, but what each of its labels {', '.join(tag.labels)} means "
            f'is unclear; set yes = "...", no = "..." and, for a third one, unsure = "..." under '
            f"[controls.{tag.name}]"
        )
    if is_yes_no and settings.kind != "choices":
        given = settings.given or verified_key(
            tag, tasks, config, {settings.candidates or ""}, certain=settings.kind is not None
        )
        if given or (settings.kind and not tasks):
            return Control(tag, "verification", given, settings.candidates, answers, renamed=settings.renamed)
        if settings.kind:
            raise ConfigError(
                f"control {tag.name!r} asks for yes or no about a given label, but which key of the tasks holds "
                f'it is unclear; set given = "KEY" under [controls.{tag.name}], or kind = "choices" where it is '
                "about no given label"
            )
    taken = {*config.objects, settings.candidates or ""}
    given = settings.given or given_key(tasks, {*tag.labels, *settings.renamed}, taken, tag.name)
    hint = "" if given else _misspelt(tag, tasks, taken)
    if is_yes_no and settings.kind is None and not hint:
        hint = f'is it about a label that tasks came with? Then set given = "KEY" in [controls.{tag.name}]'
    return Control(tag, "choices", given, settings.candidates, hint=hint, renamed=settings.renamed)


def _check_names(tag: ChoicesTag, settings: ControlSettings, tasks: Sequence[Mapping[str, object]]) -> None:
    """Refuse settings that name a choice or a key of the tasks which is not there."""
    for old, new in settings.renamed.items():
        if new not in tag.labels:
            raise ConfigError(
                f"control {tag.name!r}: the settings say that {old!r} means {new!r}, which is none of its labels "
                f"{', '.join(tag.labels)}"
            )
    for key in (settings.given, settings.candidates):
        if key is not None and tasks and not any(key in data or value_at(data, key) is not None for data in tasks):
            raise ConfigError(
                f"control {tag.name!r}: the settings name {key!r}, but no task has that key; the tasks have "
                f"{', '.join(sorted(set().union(*tasks))) or 'none'}"
            )


def _given_elsewhere(tag: ChoicesTag, settings: ControlSettings) -> Control:
    """Return a control whose given labels are no data of the tasks but annotations or predictions."""
    places = {
        "given": settings.given,
        "given_annotations": settings.given_annotations,
        "given_version": settings.given_version,
    }
    named = [name for name, value in places.items() if value]
    if len(named) > 1:
        raise ConfigError(
            f"control {tag.name!r}: the settings name {' and '.join(named)}, "
            "but a given label comes from one place"
        )
    if settings.kind == "verification":
        raise ConfigError(
            f"control {tag.name!r} is a verification, whose given label lies in the tasks; "
            f"set given, not {named[0]}"
        )
    return Control(
        tag,
        "choices",
        None,
        settings.candidates,
        renamed=settings.renamed,
        given_annotations=settings.given_annotations,
        given_version=settings.given_version,
    )


def answers_of(tag: ChoicesTag, settings: ControlSettings) -> dict[str, str]:
    """Return what each label of a tag says, yes, no or unsure; empty unless all of them say something."""
    for meaning, named in (("yes", settings.yes), ("no", settings.no), ("unsure", settings.unsure)):
        if named is not None and named not in tag.labels:
            raise ConfigError(
                f"control {tag.name!r}: the settings say {meaning} = {named!r}, which is none of its labels "
                f"{', '.join(tag.labels)}"
            )
    return answers_in(tag.labels, settings.yes, settings.no, settings.unsure)


def _misspelt(tag: ChoicesTag, tasks: Sequence[Mapping[str, object]], taken: set[str]) -> str:
    """Name a key that would hold the given label if its values were spelled as the choices are."""
    spellings = {plain(text) for text in (*tag.labels, *tag.shown_as)}
    shares = {
        key: share_of(tasks, key, lambda labels: spellings.issuperset(map(plain, labels)))
        for key in keys_of(tasks, taken)
    }
    likely = [*familiar([key for key, share in shares.items() if share > 0], tag.name)]
    key = next(iter([*likely, *(key for key, share in shares.items() if share > MOST)]), None)
    held = [label for data in tasks for label in labels_of(value_at(data, key or "")) or ()]
    odd = Counter(label for label in held if label not in tag.labels).most_common()
    if not key or not odd:
        return _unreadable(tag, tasks, taken)
    named = ", ".join(f"{value!r} ({count} times)" for value, count in odd[:ODD_NAMED])
    more = f" and {len(odd) - ODD_NAMED} more" if len(odd) > ODD_NAMED else ""
    return (
        f"data key {key!r} is not taken for the given label, for it holds {named}{more}, no choices of "
        f"{tag.name!r}; spell them as {', '.join(tag.labels)}, or say what they mean under "
        f"[controls.{tag.name}.renamed]"
    )


def _unreadable(tag: ChoicesTag, tasks: Sequence[Mapping[str, object]], taken: set[str]) -> str:
    """Name a key of a familiar name that holds no label, but perhaps something with a label in it."""
    for key in familiar(keys_of(tasks, taken), tag.name):
        for data in tasks:
            if labels_of(value_at(data, key)) is None:
                return (
                    f"data key {key!r} is not taken for the given label, for it holds {data[key]!r}, which is no "
                    f'label; where the label is in it, set given = "{key}.KEY" under [controls.{tag.name}]'
                )
    return ""
