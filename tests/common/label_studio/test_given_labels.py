"""Given labels as both programs read them: where they lie, and what asks whether they are right."""

from typing import Any

import pytest

from common.label_studio.given_labels import GivenSource, given_sources
from common.label_studio.label_config import read_label_config
from consensus.core.votes.controls import ControlSettings, resolve

IMAGE = '<Image name="image" value="$image"/>'
KINDS = '<Choices name="kind" toName="image"><Choice value="cat"/><Choice value="dog"/></Choices>'
CHECK = '<Choices name="check" toName="image"><Choice value="Yes"/><Choice value="No"/></Choices>'
SHOWN = '<Header value="Is it a $label?"/>'


def data(**values: object) -> list[dict[str, Any]]:
    """Four tasks with an image, each with the value of its place under each key."""
    return [
        {"image": f"{row}.png", **{key: held[row % len(held)] for key, held in values.items()}}  # type: ignore[index,arg-type]
        for row in range(4)
    ]


@pytest.mark.parametrize(
    ("config", "tasks"),
    [
        (KINDS, data(label=["cat", "dog"])),
        (KINDS, data(label=["cat", "dog"], scene=["dog", "cat"])),
        (KINDS, data(species=["cat", "dog"])),
        (KINDS, data(species=["cat", "dog"], scene=["dog", "cat"])),
        (KINDS, data(label=["Cat", "dog "])),
        (KINDS, data(label=["cat", "dog", "cat", "owl"])),
        (KINDS, data(image2=["1.png"])),
        (KINDS, []),
        (SHOWN + CHECK, data(label=["cat", "dog"])),
        (SHOWN + CHECK, data(label=["cat", "dog", None])),
        (SHOWN + CHECK, data(label=["a/b.png"])),
        (CHECK, data(label=["cat", "dog"])),
        (SHOWN + KINDS + CHECK, data(label=["cat", "dog"])),
        (SHOWN + CHECK + CHECK.replace("check", "blurry"), data(label=["cat", "dog"])),
        (SHOWN + CHECK.replace("Yes", "ja").replace("No", "nein"), data(label=["cat", "dog"])),
    ],
)
def test_both_programs_agree(config: str, tasks: list[dict[str, Any]]) -> None:
    """On the key and on what is a verification, without settings."""
    read = read_label_config(f"<View>{IMAGE}{config}</View>")
    resolved = {tag.name: resolve(tag, ControlSettings(), tasks, read) for tag in read.choices}
    expected = {
        name: GivenSource(control.given, control.answers)
        for name, control in resolved.items()
        if control.given is not None
    }
    assert given_sources(read, tasks) == expected


def test_a_person_names_what_cannot_be_found() -> None:
    """A key, the answers of a verification in another language, or that there is nothing."""
    config = CHECK.replace("Yes", "ja").replace("No", "nein")
    read = read_label_config(f"<View>{IMAGE}{KINDS}{config}</View>")
    tasks = data(label=["cat", "dog"], folder=["dog", "cat"])
    check = {"given": "label", "yes": "ja", "no": "nein"}
    assert given_sources(read, tasks, {"kind": "folder", "check": check}) == {
        "kind": GivenSource("folder"),
        "check": GivenSource("label", {"ja": "yes", "nein": "no"}),
    }
    assert given_sources(read, tasks, {"kind": "none"}) == {}


@pytest.mark.parametrize(
    ("held", "labels"),
    [
        ("cat", ("cat",)),
        ("old", ("dog",)),
        (["cat", "old"], ("cat", "dog")),
        (7, ("7",)),
        ({"a": 1}, ()),
        (None, ()),
    ],
)
def test_labels_of_a_task(held: object, labels: tuple[str, ...]) -> None:
    """Under their names of today; what is no label is none."""
    assert GivenSource("meta.label").labels({"meta": {"label": held}}, {"old": "dog"}) == labels
