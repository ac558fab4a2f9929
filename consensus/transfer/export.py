"""An export: from the last run and the decisions since to a folder with the dataset as it is now believed."""

import json
import shutil
from collections import Counter
from collections.abc import Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import datetime
from itertools import groupby
from pathlib import Path
from typing import Any

from common.errors import FetchError, FilesError, ImageRejectedError
from common.files import replacing_folder
from common.images.fetch import absolute_url
from common.progress import Progress, of_step, silent
from consensus import __version__
from consensus.core.dataset.believed import BelievedLabel
from consensus.core.dataset.choosing import Choosing, Dataset, choose, without
from consensus.core.dataset.names import BESIDE, MARKER, folder_names
from consensus.core.dataset.option_names import Layout, Link
from consensus.errors import ConfigError
from consensus.label_studio import Studio
from consensus.settings import ProjectConfig
from consensus.store.store import Store
from consensus.transfer.export_images import ImageSource, Places
from consensus.transfer.export_items import ProjectItems, TaskImage, project_items
from consensus.transfer.export_layouts import (
    LAYOUTS,
    WITH_IMAGES,
    Row,
    Table,
    left_out_text,
    row_of,
    write_text,
)
from consensus.transfer.export_readme import Provenance, readme
from consensus.transfer.image_checks import image_workers, size

README, LEFT_OUT_FILE, TABLE = BESIDE
IMAGES = "images"
"""Folder of the images where no folder stands for a label."""
_FETCHED = ".fetched"


@dataclass(frozen=True)
class Request:
    """What is to be exported.

    Attributes
    ----------
    control : str or None
        None where the project has but one.
    with_images : bool
        Whether images are put into the folder; the layouts of folders do it always.
    link : {"hard", "symbolic"} or None
        How those are put that need not be fetched; None: copied.
    command : str
        What the README names.
    """

    project: int
    layout: Layout
    command: str
    control: str | None = None
    choosing: Choosing = field(default_factory=Choosing)
    with_images: bool = False
    link: Link | None = None

    @property
    def brings_images(self) -> bool:
        """Whether the folder is to hold images."""
        return self.with_images or self.link is not None or self.layout in WITH_IMAGES


@dataclass(frozen=True)
class Exported:
    """What an export wrote.

    Attributes
    ----------
    failures : mapping of int to str
        Why an image could not be had, by task.
    """

    items: ProjectItems
    dataset: Dataset
    failures: Mapping[int, str]

    @property
    def summary(self) -> dict[str, Any]:
        """What came of it, for a program."""
        labels, left_out = self.dataset.labels, self.dataset.left_out
        return {
            "project": self.items.project.id,
            "control": self.items.tag.name,
            "labels": len(labels),
            "tasks": len({believed.task for believed in labels}),
            "changed": sum(believed.changed for believed in labels),
            "decided_by": dict(sorted(Counter(believed.basis for believed in labels).items())),
            "left_out": dict(sorted(Counter(each.kind for each in left_out).items())),
            "images_failed": len(self.failures),
        }


@dataclass(frozen=True)
class _Placed:
    """Paths or addresses of images, by task and label, and why others could not be had."""

    paths: dict[tuple[int, str], str] = field(default_factory=dict)
    failures: dict[int, str] = field(default_factory=dict)


def write_dataset(
    studio: Studio,
    store: Store,
    images: ImageSource,
    request: Request,
    out: Path,
    *,
    now: datetime,
    config: ProjectConfig | None = None,
    replace: bool = False,
    progress: Progress = silent,
) -> Exported:
    """Write a project's dataset into a folder, which appears under its name when all of it is there.

    Parameters
    ----------
    config : ProjectConfig, optional
        What the settings file says of the project.
    replace : bool
        Whether a folder may be replaced that an earlier export made.

    Raises
    ------
    FilesError
        Where the folder must not be replaced, or cannot be written.
    ConfigError
        Where the project has no run yet, or no such control.
    """
    with replacing_folder(out, lambda folder: check_replaceable(folder, replace=replace)) as folder:
        items = project_items(
            studio, store, request.project, request.control, config or ProjectConfig(), now, progress
        )
        if request.brings_images and not items.tag.image_key:
            raise ConfigError(f"control {items.tag.name!r} is not about one image: {items.tag.why_no_image}")
        dataset = choose(items.items, items.choice, request.choosing)
        placed = _images(items, dataset, images, request, folder, studio.client.url, progress)
        dataset = without(dataset, placed.failures)
        _write(items, dataset, placed, request, folder)
    return Exported(items, dataset, placed.failures)


def check_replaceable(folder: Path, *, replace: bool) -> None:
    """Refuse a folder that holds what no export has made.

    Raises
    ------
    FilesError
        Where it must not be replaced.
    """
    if folder in (Path.cwd(), *Path.cwd().parents):
        raise FilesError(f"{folder} cannot be replaced while this command runs in it; name a folder in it")
    if not folder.exists():
        return
    if not folder.is_dir():
        raise FilesError(f"{folder} cannot be written: it is no folder; name another one")
    if not any(folder.iterdir()):
        return
    if not (folder / MARKER).is_file():
        raise FilesError(f"{folder} is not empty, and no export has made it; name a new or an empty folder")
    if not replace:
        raise FilesError(f"{folder} holds an export already; --replace replaces it, with all that is in it")


def _images(
    items: ProjectItems,
    dataset: Dataset,
    source: ImageSource,
    request: Request,
    folder: Path,
    url: str,
    progress: Progress,
) -> _Placed:
    by_task = {task: [*labels] for task, labels in groupby(dataset.labels, lambda believed: believed.task)}
    wanted_images = [items.images[task] for task in by_task]
    placed = _Placed()
    if not request.brings_images:
        for image in wanted_images:
            placed.paths[image.task, ""] = str(source.original(image) or _absolute(image, url))
        return placed
    folders = _folders(dataset.labels, request.layout)
    places, tell = Places(folder, request.link), of_step(progress, "images", len(wanted_images))
    fetched = folder / _FETCHED
    fetched.mkdir()
    for count, (image, original) in enumerate(source.get_all(wanted_images, fetched), start=1):
        if isinstance(original, str):
            placed.failures[image.task] = original
        else:
            targets = [believed.label for believed in by_task[image.task]] if folders else [""]
            for label in targets:
                last = label == targets[-1]
                placed.paths[image.task, label] = places.put(
                    image, original, folders.get(label, IMAGES), last=last
                )
        tell(count)
    shutil.rmtree(fetched)
    return placed


def _folders(labels: Iterable[BelievedLabel], layout: Layout) -> dict[str, str]:
    if layout != "folders":
        return {}
    return folder_names((believed.label for believed in labels), (*BESIDE, MARKER))


def _absolute(image: TaskImage, url: str) -> str:
    """Return an address that means the same elsewhere; one that cannot be asked for is returned as it is."""
    if image.address[:1] != "/":
        return image.address
    try:
        return absolute_url(image.address, base_url=url, task_id=image.task)
    except FetchError:
        return image.address


def _write(items: ProjectItems, dataset: Dataset, placed: _Placed, request: Request, folder: Path) -> None:
    control, multiple = items.tag.name, items.choice == "multiple"
    rows = [
        row_of(
            believed,
            control,
            placed.paths.get((believed.task, believed.label)) or placed.paths[believed.task, ""],
            items.images[believed.task].address,
            multiple=multiple,
        )
        for believed in dataset.labels
    ]
    labels = [*items.control["labels"], *sorted({believed.label for believed in dataset.labels})]
    sizes = _sizes(folder, rows) if request.layout == "coco" else {}
    LAYOUTS[request.layout](folder, Table(control, tuple(dict.fromkeys(labels)), multiple, rows, sizes))
    addresses = {task: image.address for task, image in items.images.items()}
    write_text(folder / LEFT_OUT_FILE, left_out_text(dataset.left_out, control, addresses))
    provenance = Provenance(items.project.title, items.project.id, control, request.command, _versions(items))
    write_text(folder / README, readme(dataset, provenance))
    marker = {"layout": request.layout, "project": items.project.id, "control": control, "version": __version__}
    write_text(folder / MARKER, json.dumps(marker) + "\n")


def _sizes(folder: Path, rows: Iterable[Row]) -> dict[str, tuple[int, int]]:
    """Return the sizes of the images that are files."""
    paths = {row["image"]: folder / row["image"] for row in rows if row["image"]}
    sizes: dict[str, tuple[int, int]] = {}
    with image_workers(1) as workers:
        for name, path in paths.items():
            with suppress(OSError, ImageRejectedError):  # such as one that is only linked, or has no head
                sizes[name] = tuple(workers.run(size, path.read_bytes()))
    return sizes


def _versions(items: ProjectItems) -> dict[str, str]:
    run = items.run
    lines = ", ".join(f"{name} {value:g}" for name, value in run["thresholds"].items())
    model = {"model that annotators saw": run["model_version"]} if run["model_version"] else {}
    return {"consensus": __version__, "policy": run["policy"], "thresholds": lines, **model}
