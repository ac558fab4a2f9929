"""The project that an import goes to: made of what the source holds, or an existing one as it is."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from itertools import chain
from typing import Any

from common.label_studio.given_labels import NO_WORDS, UNSURE_WORDS, YES_WORDS
from common.label_studio.label_config import LabelConfig, read_label_config
from consensus.core.votes.controls import ControlSettings, resolve
from consensus.errors import ConfigError, SourceError
from consensus.settings import ProjectConfig
from consensus.transfer.label_configs import GIVEN_KEY, IMAGE_KEY, choices_config, verification_config, with_labels
from consensus.transfer.sources.records import LeftOut, Record

CONTROL, CHECK = "label", "check"
"""Names of the controls that are made: for the choice of labels, for yes, no or unsure."""
OWN_KEYS = ("checksum", "source")
"""Keys of the tasks' data by which an import knows its images again."""
MOST_LABELS = 1000
"""That a choice is made of."""
TITLE_LENGTHS = (3, 50)
"""Letters that the title of a project has in Label Studio."""
_VERIFYING = {*YES_WORDS, *NO_WORDS, *UNSURE_WORDS}


@dataclass(frozen=True)
class Target:
    """A project with one control.

    Attributes
    ----------
    project_id : int or None
        None: it is to be made.
    labels : tuple of str
        What the control offers; empty for a verification, which takes any label.
    label_config : str or None
        What is to be set; None: it stays.
    added : tuple of str
        Labels that are added to those of an existing project.
    """

    project_id: int | None
    title: str
    control: str
    labels: tuple[str, ...]
    multiple: bool = False
    verifies: bool = False
    image_key: str = IMAGE_KEY
    given_key: str = GIVEN_KEY
    label_config: str | None = None
    added: tuple[str, ...] = ()
    overlap: int | None = None
    created_at: str = ""

    def why_not(self, record: Record) -> str:
        """Return why the labels of a record have no place in the project; "" where they have."""
        for label in record.labels:
            if why := why_no_choice(label):
                return why
        if self.verifies and not record.labels:
            return "it has no label that could be verified"
        if len(record.labels) > 1 and not self.multiple:
            return (
                f"control {self.control!r} takes one label an image, and this one has {', '.join(record.labels)}"
            )
        foreign = [label for label in record.labels if not self.verifies and label not in self.labels]
        if foreign:
            return (
                f"the project has no label {', '.join(foreign)} on control {self.control!r}; "
                "--add-labels adds what is missing"
            )
        return ""

    def data(self, record: Record, address: str, checksum: str) -> dict[str, Any]:
        """Return the data of a record's task."""
        labels: Any = [*record.labels] if self.multiple else record.labels[0] if record.labels else None
        data = {self.image_key: address, "source": record.source}
        return data | ({"checksum": checksum} if checksum else {}) | ({self.given_key: labels} if labels else {})


def labels_of(records: Iterable[Record]) -> tuple[str, ...]:
    """Return the labels of records that can be choices, each once, in the order of the alphabet."""
    labels = set(chain.from_iterable(record.labels for record in records))
    return tuple(sorted(label for label in labels if not why_no_choice(label)))


def why_no_choice(label: str) -> str:
    """Return why Label Studio cannot offer a label; "" where it can."""
    if not label.isprintable():
        return f"the label {label!r} has letters that cannot be shown"
    return f"the label {label!r} begins as a key of the task does in Label Studio" if label[:1] == "$" else ""


def alike(labels: Iterable[str]) -> list[str]:
    """Name labels that differ in nothing but case and blanks.

    Examples
    --------
    >>> alike(["cat", "Cat", "dog"])
    ["'Cat', 'cat'"]
    """
    by_spelling: dict[str, list[str]] = {}
    for label in sorted(labels):
        by_spelling.setdefault("".join(label.casefold().split()), []).append(label)
    return [", ".join(map(repr, spellings)) for spellings in by_spelling.values() if len(spellings) > 1]


def new_target(
    title: str, records: Sequence[Record], *, verify: bool, control: str | None, overlap: int
) -> Target:
    """Plan a project for what a source holds; several labels are taken where an image has several.

    Raises
    ------
    ConfigError
        Where Label Studio would refuse the title.
    SourceError
        Where there is nothing to choose from, or a verification of several labels.
    """
    shortest, longest = TITLE_LENGTHS
    if not shortest <= len(title) <= longest:
        raise ConfigError(
            f"the title {title!r} has {len(title)} letters; Label Studio takes {shortest} to {longest}"
        )
    labels, multiple = labels_of(records), any(len(record.labels) > 1 for record in records)
    if not labels:
        reasons = (why for record in records for label in record.labels if (why := why_no_choice(label)))
        if why := next(reasons, ""):
            raise SourceError(f"no label of the source can be chosen: {why}")
        raise SourceError(
            "no image of the source has a label, and so there is no label to choose from; import into a project "
            "that exists"
        )
    if len(labels) > MOST_LABELS and not verify:
        raise SourceError(
            f"the source has {len(labels)} labels, such as {labels[0]!r}; is that the column of labels? "
            f"Annotators cannot choose among more than {MOST_LABELS}; --verify asks about the given one alone"
        )
    if verify and multiple:
        raise SourceError("--verify asks about one label an image, and images of this source have several")
    if verify:
        name = control or CHECK
        return Target(
            None, title, name, (), verifies=True, label_config=verification_config(name), overlap=overlap
        )
    name = control or CONTROL
    config = choices_config(name, labels, multiple=multiple)
    return Target(None, title, name, labels, multiple=multiple, label_config=config, overlap=overlap)


def existing_target(
    target: Target,
    label_config: str,
    records: Sequence[Record],
    tasks: Sequence[dict[str, Any]],
    settings: ProjectConfig,
    *,
    verify: bool,
    control: str | None,
    add_labels: bool,
) -> Target:
    """Plan what goes into a project that exists, on one of its controls of an image.

    Parameters
    ----------
    target : Target
        With the project's id and title; the rest is filled in.
    tasks : sequence of dict
        The data of some tasks.

    Raises
    ------
    ConfigError
        Where the project has no such control, or several and none is named.
    """
    config = read_label_config(label_config)
    tags = {tag.name: tag for tag in config.choices if tag.image_key}
    names = ", ".join(tags) or "none"
    if control is not None and control not in tags:
        raise ConfigError(f"project {target.project_id} has no choices {control!r} about an image; it has {names}")
    if control is None and len(tags) != 1:
        raise ConfigError(
            f"project {target.project_id} has {len(tags)} choices about an image ({names}); "
            "name one with --control, or import into a new project"
        )
    tag = tags[control or next(iter(tags))]
    others = sorted(config.objects - {tag.image_key})
    if others:
        raise ConfigError(
            f"the tasks of project {target.project_id} need {', '.join(others)} as well as an image, which an "
            "import does not give"
        )
    section = settings.controls.get(tag.name)
    given, kind = (section.given, section.kind) if section else (None, None)
    asks = kind is None and {label.casefold() for label in tag.labels} <= _VERIFYING
    if kind == "verification" or (asks and (verify or _shown_label(config))):
        return replace(
            target, control=tag.name, verifies=True, labels=(), image_key=tag.image_key,
            given_key=given or _shown_label(config) or GIVEN_KEY,
        )  # fmt: skip
    if verify:
        raise ConfigError(f"project {target.project_id} does not ask whether a label is right; leave --verify out")
    unknown = tuple(label for label in labels_of(records) if label not in tag.labels)
    added = unknown if add_labels else ()
    return replace(
        target, control=tag.name, labels=(*tag.labels, *added), multiple=tag.multiple, image_key=tag.image_key,
        given_key=given or resolve(tag, ControlSettings(), tasks, config).given or GIVEN_KEY, added=added,
        label_config=with_labels(label_config, tag.name, added) if added else None,
    )  # fmt: skip


def _shown_label(config: LabelConfig) -> str:
    """Return the key that a label config shows beside its images; "" where there is not one."""
    keys = sorted(config.shown - config.objects)
    return keys[0] if len(keys) == 1 else ""


def fitting(target: Target, records: Iterable[Record]) -> tuple[list[Record], list[LeftOut]]:
    """Part records into those whose labels have a place in the project, and the others."""
    taken, left_out = [], []
    for record in records:
        if why := target.why_not(record):
            left_out.append(record.left_out("label", why))
        else:
            taken.append(record)
    return taken, left_out
