"""One reading of a label config: which `<Choices>` is a control, and why each other one is passed over.

The case of the names of tags and attributes makes no difference, as in Label Studio's frontend. `consensus` counts
votes on all controls, the ML backend suggests for those of one image.
https://labelstud.io/tags/choices
"""

import hashlib
import re
import xml.etree.ElementTree as ET
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache

_REMEMBERED_LENGTH = 100_000
"""Longer configs are read anew each time."""
_KEY = re.compile(r"\$([^\s$,;:!?\"'<>(){}]+)")
_STEP = re.compile(r"[^.\[\]]+")
_SELECTED, _UNSELECTED = "choice-selected", "choice-unselected"
_UNTOLD = "not told by choices on tasks"


class LabelConfigError(ValueError):
    """A label config is no XML."""


@dataclass(frozen=True)
class Condition:
    """`visibleWhen` of a control, of a tag around it, or of a control on which it depends.

    Attributes
    ----------
    kind : str
        `choice-selected`, `choice-unselected`, or a word for what the choices on a task do not tell.
    control : str
        Name of the `<Choices>` that it depends on; "" where it names none.
    choices : tuple of str
        One of these has to be chosen there; any one where it is empty.
    """

    kind: str
    control: str = ""
    choices: tuple[str, ...] = ()

    def holds(self, chosen: Mapping[str, Sequence[str]]) -> bool | None:
        """Whether the control is shown while these choices are made, by control; None where they do not tell."""
        if self.kind not in (_SELECTED, _UNSELECTED):
            return None
        every = [choice for choices in chosen.values() for choice in choices]
        made = chosen.get(self.control, ()) if self.control else every
        selected = any(choice in made for choice in self.choices) if self.choices else bool(made)
        return selected == (self.kind == _SELECTED)


@dataclass(frozen=True)
class ChoicesTag:
    """A `<Choices>` about whole tasks.

    Attributes
    ----------
    multiple : bool
        Whether any number of labels may be chosen, none among them: `choice="multiple"`, or a single `<Choice>`, a
        tick box that says no where it is left blank.
    labels : tuple of str
        What results hold: the alias of a choice where it has one.
    shown_as : tuple of str
        What annotators see, label by label.
    described_as : tuple of str
        Label by label its `hint` or, without one, what annotators see.
    conditions : tuple of Condition
        All of them hold while the control is shown.
    image_key : str
        Key or path of `task.data` with the address of the image that it is about; "" where that is not one image.
    why_no_image : str
        Why it is not.
    """

    name: str
    to_name: str
    multiple: bool
    labels: tuple[str, ...]
    shown_as: tuple[str, ...] = ()
    described_as: tuple[str, ...] = ()
    conditions: tuple[Condition, ...] = ()
    image_key: str = ""
    why_no_image: str = ""


@dataclass(frozen=True)
class LabelConfig:
    """What a label config asks.

    Attributes
    ----------
    choices : tuple of ChoicesTag
        The controls, in the order of the config.
    passed_over : mapping of str to str
        Why each other `<Choices>` is no control, by its name.
    objects : frozenset of str
        Keys of `task.data` that hold what is labelled.
    shown : frozenset of str
        Keys and paths of `task.data` that are shown anywhere, as an object or within a text.
    offered : frozenset of str or None
        Values and aliases of every `<Choice>` and `<Label>`; None where some come from the tasks.
    """

    choices: tuple[ChoicesTag, ...] = ()
    passed_over: Mapping[str, str] = field(default_factory=dict)
    objects: frozenset[str] = frozenset()
    shown: frozenset[str] = frozenset()
    offered: frozenset[str] | None = frozenset()

    @property
    def reasons(self) -> tuple[str, ...]:
        """Why each `<Choices>` that is no control is passed over, one line each."""
        return tuple(f"{name}: {why}" for name, why in self.passed_over.items())


@dataclass(frozen=True)
class _Tag:
    """An element, and the one around it."""

    name: str
    attributes: Mapping[str, str]
    element: ET.Element
    parent: "_Tag | None" = None

    @classmethod
    def of(cls, element: ET.Element, parent: "_Tag | None" = None) -> "_Tag":
        attributes = {name.lower(): value for name, value in element.attrib.items()}
        return cls(element.tag.lower(), attributes, element, parent)

    @property
    def lineage(self) -> Iterator["_Tag"]:
        """The element and all around it, from the inside out."""
        tag: _Tag | None = self
        while tag:
            yield tag
            tag = tag.parent

    def get(self, attribute: str) -> str:
        return self.attributes.get(attribute, "").strip()

    def says(self, attribute: str) -> bool:
        return self.get(attribute).lower() == "true"


def is_visible(conditions: Iterable[Condition], chosen: Mapping[str, Sequence[str]]) -> bool | None:
    """Whether a control is shown while these choices are made, by control; None where they do not tell."""
    held = {condition.holds(chosen) for condition in conditions}
    return False if False in held else None if None in held else True


def read_label_config(text: str) -> LabelConfig:
    """Read a label config.

    Raises
    ------
    LabelConfigError
        Where it is no XML.

    Examples
    --------
    >>> config = read_label_config('''<View><Image name="image" value="$photo"/>
    ...     <Choices name="kind" toName="image"><Choice value="cat"/><Choice value="dog"/></Choices>
    ...     <Choices name="part" toName="image" perRegion="true"><Choice value="ear"/></Choices></View>''')
    >>> [(tag.name, tag.labels, tag.multiple, tag.image_key) for tag in config.choices]
    [('kind', ('cat', 'dog'), False, 'photo')]
    >>> config.reasons
    ('part: labels regions, not tasks (perRegion)',)
    """
    return (_remembered if len(text) <= _REMEMBERED_LENGTH else _read)(text)


def config_digest(text: str) -> str:
    """SHA-256 of a label config, by which a change of it is noticed."""
    return hashlib.sha256(text.encode()).hexdigest()


def value_at(data: Mapping[str, object], path: str) -> object:
    """Value of a task's data under a key or, where there is no such key, at a path as in `$meta.url`, `$a[0].b`.

    Examples
    --------
    >>> value_at({"meta": {"url": "a.png"}, "images": ["b.png"]}, "images[0]")
    'b.png'
    >>> value_at({"meta": {"url": "a.png"}, "meta.url": "c.png"}, "meta.url")
    'c.png'
    >>> value_at({"meta": {}}, "meta.url.more") is None
    True
    """
    if path in data:
        return data[path]
    value: object = data
    for step in _STEP.findall(path):
        if isinstance(value, Mapping):
            value = value.get(step)
        elif isinstance(value, list) and step.isdecimal() and int(step) < len(value):
            value = value[int(step)]
        else:
            return None
    return value


def _read(text: str) -> LabelConfig:
    if "<!DOCTYPE" in text or "<!ENTITY" in text:
        raise LabelConfigError("the label config cannot be read: it defines entities")
    try:
        root = ET.fromstring(text or "<View/>")  # noqa: S314  # entities, the danger of it, are refused above
    except (ET.ParseError, ValueError) as error:
        raise LabelConfigError(f"the label config cannot be read: {str(error).partition(chr(10))[0]}") from None
    tags = list(_walk(root))
    objects = {tag.get("name"): tag for tag in tags if tag.get("name") and _is_object(tag)}
    controls = [tag for tag in tags if tag.name == "choices"]
    by_name = {tag.get("name"): tag for tag in reversed(controls)}
    choices: dict[str, ChoicesTag] = {}
    passed_over: dict[str, str] = {}
    for tag in controls:
        name = tag.get("name")
        if why := _why_passed_over(tag):
            passed_over.setdefault(name or "a <Choices> without a name", why)
        else:
            choices.setdefault(name, _choices_tag(tag, objects, by_name))
    keys = {key for tag in objects.values() if (key := _whole_key(tag.get("value") or tag.get("valuelist")))}
    shown = {key.rstrip(".") for tag in tags for value in tag.attributes.values() for key in _KEY.findall(value)}
    return LabelConfig(tuple(choices.values()), passed_over, frozenset(keys), frozenset(shown), _offered(tags))


_remembered = lru_cache(maxsize=256)(_read)


def _walk(root: ET.Element) -> Iterator[_Tag]:
    """Yield all elements in the order of the text, without recursion: the depth is a stranger's."""
    waiting = [_Tag.of(root)]
    while waiting:
        tag = waiting.pop()
        yield tag
        waiting.extend(_Tag.of(child, tag) for child in reversed(tag.element))


def _offered(tags: Iterable[_Tag]) -> frozenset[str] | None:
    offered: set[str] = set()
    for tag in tags:
        if tag.name in ("choice", "label"):
            offered.update(tag.get(name) for name in ("value", "alias"))
        elif "toname" in tag.attributes and _whole_key(tag.get("value")):
            return None
    return None if any(map(_whole_key, offered)) else frozenset(offered - {""})


def _is_object(tag: _Tag) -> bool:
    return "toname" not in tag.attributes and ("value" in tag.attributes or "valuelist" in tag.attributes)


def _why_passed_over(tag: _Tag) -> str:
    """Why a `<Choices>` is no control; "" where it is one."""
    choices = _choices_in(tag)
    reasons = {
        "has no name": not tag.get("name"),
        "is bound to no tag (toName)": not tag.get("toname"),
        "labels regions, not tasks (perRegion)": tag.says("perregion"),
        "labels items of tasks, not tasks (perItem)": tag.says("peritem"),
        "is repeated within a task (Repeater)": _is_repeated(tag),
        "its choices come from the tasks": bool(tag.get("value")) or any(
            _whole_key(choice.get(name)) for choice in choices for name in ("value", "alias")
        ),
        "its choices are nested (allowNested), which is not supported": _is_nested(tag),
        "has no <Choice>": not choices,
    }  # fmt: skip
    return next((why for why, holds in reasons.items() if holds), "")


def _is_repeated(tag: _Tag) -> bool:
    names = tag.get("name") + tag.get("toname")
    return "{{" in names or any(each.name == "repeater" for each in tag.lineage)


def _is_of_parts(tag: _Tag) -> bool:
    return tag.says("perregion") or tag.says("peritem")


def _is_nested(tag: _Tag) -> bool:
    within = (child.tag.lower() for choice in _choices_in(tag) for child in choice.element)
    return tag.says("allownested") or "choice" in within


def _choices_in(tag: _Tag) -> list[_Tag]:
    """The `<Choice>` tags of a `<Choices>`, those within a `<View>` in it too; not those within one another."""
    choices: list[_Tag] = []
    waiting = [*reversed(tag.element)]
    while waiting:
        child = _Tag.of(waiting.pop())
        if child.name != "choice":
            waiting.extend(reversed(child.element))
        elif child.get("value") or child.get("alias"):
            choices.append(child)
    return choices


def _shown_as(tag: _Tag) -> dict[str, tuple[str, str]]:
    """What annotators see of each label, and how it is described."""
    shown_as: dict[str, tuple[str, str]] = {}
    for choice in _choices_in(tag):
        value = choice.attributes.get("value", "")
        label = choice.attributes.get("alias") or value
        shown_as.setdefault(label, (value or label, choice.get("hint") or value or label))
    return shown_as


def _choices_tag(tag: _Tag, objects: Mapping[str, _Tag], controls: Mapping[str, _Tag]) -> ChoicesTag:
    shown_as = _shown_as(tag)
    to_names = [name.strip() for name in tag.get("toname").split(",")]
    image_key, why_no_image = _image_of([objects.get(name) for name in to_names])
    return ChoicesTag(
        name=tag.get("name"),
        to_name=to_names[0],
        multiple=tag.get("choice").lower() == "multiple" or len(shown_as) == 1,
        labels=tuple(shown_as),
        shown_as=tuple(shown for shown, _ in shown_as.values()),
        described_as=tuple(described for _, described in shown_as.values()),
        conditions=_conditions(tag, controls),
        image_key=image_key,
        why_no_image=why_no_image,
    )


def _conditions(tag: _Tag, controls: Mapping[str, _Tag]) -> tuple[Condition, ...]:
    """What has to hold while a control is shown.

    On a control that is hidden itself nothing is selected, whatever was chosen before: where one has to be, its
    conditions are conditions too.
    """
    conditions: dict[Condition, None] = {}
    waiting, met = [tag], {tag.get("name")}
    while waiting:
        for each in waiting.pop().lineage:
            condition = _condition(each, controls)
            if condition is None:
                continue
            conditions[condition] = None
            if condition.kind == _SELECTED and condition.control and condition.control not in met:
                met.add(condition.control)
                waiting.append(controls[condition.control])
    return tuple(conditions)


def _condition(tag: _Tag, controls: Mapping[str, _Tag]) -> Condition | None:
    """The condition of a tag, in what results hold; None where it has none.

    https://labelstud.io/tags/choices#Parameters; choices are named there by their alias or by what is shown.
    """
    kind, named, choice = (tag.get(name) for name in ("visiblewhen", "whentagname", "whenchoicevalue"))
    if not kind:
        return Condition(_SELECTED, "", (choice,)) if choice else None
    kind, control = kind.lower(), controls.get(named)
    if kind not in (_SELECTED, _UNSELECTED):
        return Condition(kind)
    if not named:
        return Condition(kind, "", _split(choice))
    if control is None or _is_nested(control) or _is_repeated(control) or _is_of_parts(control):
        return Condition(_UNTOLD)
    if kind == _UNSELECTED and any(each.get("visiblewhen") for each in control.lineage):
        return Condition(_UNTOLD)  # it holds as well while that control is hidden
    labels = {shown: label for label, (shown, _) in _shown_as(control).items()}
    return Condition(kind, named, tuple(labels.get(text, text) for text in _split(choice)))


def _split(text: str) -> tuple[str, ...]:
    return tuple(name for name in text.split(",") if name)


def _image_of(bound: Sequence[_Tag | None]) -> tuple[str, str]:
    """Key of the one image, or "" and why there is none."""
    tag = bound[0]
    if len(bound) != 1 or tag is None:
        return "", f"is bound to {len([each for each in bound if each])} tags, not to one Image"
    if tag.name != "image":
        return "", f"is bound to {tag.element.tag}, not to an Image"
    if tag.get("valuelist"):
        return "", "is bound to a list of images (valueList)"
    key = _whole_key(tag.get("value"))
    if not key:
        return "", f"is bound to an Image whose value {tag.get('value')!r} is no key of the task, as $image is"
    return key, ""


def _whole_key(value: str) -> str:
    """Key or path that a value is, as in `$image`; "" where it is a text, or one with keys in it."""
    return value[1:] if value.startswith("$") and "$" not in value[1:] and len(value.split()) == 1 else ""
