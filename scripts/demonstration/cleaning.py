"""From the reports to a cleaned dataset: exported, and compared with the truth on disk."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from demonstration.digits import Digit
    from demonstration.programs import Suite

QUEUES = ("misclassified", "controversial", "unvoted")
"""Those that are filled here; nothing is accepted without a look by a model, and so nothing is audited."""


@dataclass(frozen=True)
class Folders:
    """Images in class-named folders, as they lie on disk.

    Attributes
    ----------
    images : int
    wrong : int
        How many lie in the folder of a label that they do not show.
    """

    images: int
    wrong: int


@dataclass(frozen=True)
class Cleaned:
    """What became of the dataset.

    Attributes
    ----------
    mended : int
        Wrongly labelled images that lie in the right folder now.
    broken : int
        Rightly labelled images that lie in a wrong folder now.
    """

    before: Folders
    after: Folders
    mended: int
    broken: int


def labels_on_disk(folder: Path) -> dict[str, str]:
    """Label of each image by its file name: the folder that it lies in."""
    return {path.name: path.parent.name for path in folder.glob("*/*.png")}


def review(suite: Suite, project: int, truth: Mapping[int, str]) -> int:
    """Decide on all that waits in the queues; return on how many tasks.

    Parameters
    ----------
    truth : mapping of int to str
        What the image of each task shows.
    """
    waiting = {
        item["task"]: item["given"]
        for queue in QUEUES
        for item in suite.consensus("review", "--project", project, "--queue", queue, json="--format=json")
    }
    for task, given in waiting.items():
        verdict = ["keep"] if given == [truth[task]] else ["correct", "--label", truth[task]]
        suite.consensus("decide", "--project", project, "--task", task, "--verdict", *verdict)
    return len(waiting)


def compare(images: Sequence[Digit], before: Path, after: Path) -> Cleaned:
    """Compare the folders that were imported and those that were exported with what the images show."""
    truth = {image.name: image.truth for image in images}
    imported, exported = labels_on_disk(before), labels_on_disk(after)
    return Cleaned(
        _judge(imported, truth),
        _judge(exported, truth),
        sum(imported[name] != truth[name] == label for name, label in exported.items()),
        sum(imported[name] == truth[name] != label for name, label in exported.items()),
    )


def _judge(labels: Mapping[str, str], truth: Mapping[str, str]) -> Folders:
    return Folders(len(labels), sum(truth[name] != label for name, label in labels.items()))
