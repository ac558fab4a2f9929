"""Given labels: how tasks come with labels, and which `<Choices>` asks whether they are right.

Both programs read them here, so that what one counts as given is what the other learns from.
"""

import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from common.label_studio.label_config import ChoicesTag, LabelConfig, value_at

YES_WORDS = ("yes", "correct", "right", "true", "confirm", "confirmed")
NO_WORDS = ("no", "incorrect", "wrong", "false", "reject", "rejected")
UNSURE_WORDS = ("unsure", "not sure", "maybe", "unclear", "don't know", "skip")
GIVEN_WORDS = ("given", "given_label", "label", "class", "category")
"""Keys of a task that are taken for the given label before others."""
MOST = 0.5
"""More of a key's values than this are labels where it holds the given label: a few may be misspelt."""
OFF = "none"
"""In the place of a key: there is no given label."""
_WHOLE = re.compile(r"(-?\d+)\.0+")


@dataclass(frozen=True)
class GivenSource:
    """Where the given label of a control lies.

    Attributes
    ----------
    key : str
        Key or path of `task.data`.
    answers : mapping of str to {"yes", "no", "unsure"}
        Of a control that verifies it: what each of its labels says. Empty where annotators choose the label.
    """

    key: str
    answers: Mapping[str, str] = field(default_factory=dict)

    def labels(self, data: Mapping[str, object], renamed: Mapping[str, str] | None = None) -> tuple[str, ...]:
        """Read a task's given labels; none where what is there is no label.

        Examples
        --------
        >>> GivenSource("label").labels({"label": "dog"}, {"dog": "hound"}), GivenSource("label").labels({})
        (('hound',), ())
        """
        names = renamed or {}
        return tuple(dict.fromkeys(names.get(label, label) for label in labels_of(value_at(data, self.key)) or ()))


def given_sources(
    config: LabelConfig,
    tasks: Sequence[Mapping[str, object]],
    named: Mapping[str, str | Mapping[str, str]] | None = None,
    renamed: Mapping[str, Mapping[str, str]] | None = None,
) -> dict[str, GivenSource]:
    """Return where the given label of each control lies; controls without one are left out.

    Parameters
    ----------
    tasks : sequence of mappings
        `task.data` of the project's tasks.
    named : mapping of str to str or mapping, optional
        By control, what a person knows: the key, `none`, or a mapping with the key under `given` and the labels
        under `yes`, `no` and `unsure`.
    renamed : mapping of str to mapping, optional
        By control, other names of its labels.

    Examples
    --------
    >>> from common.label_studio.label_config import read_label_config
    >>> config = read_label_config('''<View><Image name="i" value="$i"/><Header value="Is it a $label?"/>
    ...     <Choices name="check" toName="i"><Choice value="right"/><Choice value="wrong"/></Choices></View>''')
    >>> given_sources(config, [{"i": "1.png", "label": "cat"}])
    {'check': GivenSource(key='label', answers={'right': 'yes', 'wrong': 'no'})}
    """
    sources = {}
    for tag in config.choices:
        by_person = (named or {}).get(tag.name, {})
        words = {"given": by_person} if isinstance(by_person, str) else dict(by_person)
        key = words.pop("given", None)
        if key == OFF:
            continue
        answers = answers_in(tag.labels, **words)
        if asks_yes_or_no(answers):
            verified = key or verified_key(tag, tasks, config, certain=bool(words))
            if verified:
                sources[tag.name] = GivenSource(verified, answers)
                continue
        names = {*tag.labels, *(renamed or {}).get(tag.name, {})}
        if source_key := key or given_key(tasks, names, config.objects, tag.name):
            sources[tag.name] = GivenSource(source_key)
    return sources


def answers_in(
    labels: Sequence[str], yes: str | None = None, no: str | None = None, unsure: str | None = None
) -> dict[str, str]:
    """Return what each label says, yes, no or unsure; empty unless all of them say something.

    Parameters
    ----------
    yes, no, unsure : str, optional
        The label that says so; by default one of the familiar words does, in any case.

    Examples
    --------
    >>> answers_in(["Right", "Wrong"]), answers_in(["ja", "nein"]), answers_in(["ja", "nein"], yes="ja", no="nein")
    ({'Right': 'yes', 'Wrong': 'no'}, {}, {'ja': 'yes', 'nein': 'no'})
    """
    answers = {}
    for meaning, named, words in (("yes", yes, YES_WORDS), ("no", no, NO_WORDS), ("unsure", unsure, UNSURE_WORDS)):
        spoken = [named] if named is not None else [label for label in labels if label.casefold() in words]
        answers.update(dict.fromkeys(spoken, meaning))
    return answers if set(answers) == set(labels) else {}


def asks_yes_or_no(answers: Mapping[str, str]) -> bool:
    """Whether a control with these answers can verify something."""
    return {"yes", "no"} <= set(answers.values())


def given_key(
    tasks: Sequence[Mapping[str, object]], labels: Iterable[str], taken: Iterable[str], name: str
) -> str | None:
    """Key whose values are labels of a control: one of a familiar name, or the only one.

    Parameters
    ----------
    tasks : sequence of mappings
        `task.data` of the project's tasks.
    labels : iterable of str
        What the control offers, and other names of it.
    taken : iterable of str
        Keys that hold something else.
    name : str
        Of the control.
    """
    offered = frozenset(labels)
    fitting = [key for key in keys_of(tasks, taken) if share_of(tasks, key, offered.issuperset) > MOST]
    return next(familiar(fitting, name), fitting[0] if len(fitting) == 1 else None)


def verified_key(
    tag: ChoicesTag,
    tasks: Sequence[Mapping[str, object]],
    config: LabelConfig,
    taken: Iterable[str] = (),
    *,
    certain: bool = False,
) -> str | None:
    """Key of a familiar name whose values a verification can be about: any short text could be a label.

    Parameters
    ----------
    certain : bool
        Whether the control is known for a verification. Otherwise the label config must show the key (`$key`), its
        values are no choices of another control, and no other control asks for yes or no: one of them may be about
        something else.
    """
    keys = dict.fromkeys([*keys_of(tasks, taken), *sorted(config.shown)])
    fitting = [
        key
        for key in keys
        if share_of(tasks, key, lambda labels: not any("/" in label for label in labels)) > MOST
    ]
    if not certain:
        other_tags = [choices for choices in config.choices if choices.name != tag.name]
        if any(asks_yes_or_no(answers_in(choices.labels)) for choices in other_tags):
            return None
        other_labels = {plain(text) for choices in other_tags for text in (*choices.labels, *choices.shown_as)}
        fitting = [
            key
            for key in fitting
            if key in config.shown
            and share_of(tasks, key, lambda labels: not other_labels & {*map(plain, labels)}) == 1
        ]
    return next(familiar(fitting, tag.name), None)


def keys_of(tasks: Sequence[Mapping[str, object]], taken: Iterable[str]) -> list[str]:
    """Keys of the tasks but those that are taken."""
    excluded = frozenset(taken)
    return [key for key in dict.fromkeys(key for data in tasks for key in data) if key not in excluded]


def familiar(keys: Sequence[str], name: str) -> Iterator[str]:
    """Yield the keys of a familiar name, or paths that end in one, the most familiar first."""
    for word in (*GIVEN_WORDS, name):
        yield from (key for key in keys if key.casefold().rpartition(".")[2] == word.casefold())


def share_of(tasks: Sequence[Mapping[str, object]], key: str, fits: Callable[[tuple[str, ...]], bool]) -> float:
    """Share of the tasks with something under the key that have fitting labels there."""
    held = [labels for data in tasks if (labels := labels_of(value_at(data, key))) != ()]
    return sum(bool(labels) and fits(labels or ()) for labels in held) / max(len(held), 1)


def plain(text: str) -> str:
    """Return a text without what spellings of one label differ by; tables make 7.0 of 7."""
    return _WHOLE.sub(r"\1", text.strip().casefold())


def labels_of(value: object) -> tuple[str, ...] | None:
    """Read a task's given labels: texts, numbers or truth values, or nothing; None for anything else.

    Examples
    --------
    >>> labels_of("cat"), labels_of(["cat", 7]), labels_of(None), labels_of({"a": 1}), labels_of(True)
    (('cat',), ('cat', '7'), (), None, ('true',))
    """
    if value is None or value == "":
        return ()
    labels = [_label(entry) for entry in (value if isinstance(value, list) else [value]) if entry != ""]
    return None if None in labels else tuple(dict.fromkeys(label for label in labels if label is not None))


def _label(value: object) -> str | None:
    if isinstance(value, bool):
        return str(value).lower()
    return str(value) if isinstance(value, str | int | float) else None
