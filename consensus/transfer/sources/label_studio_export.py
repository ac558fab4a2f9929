"""A JSON or JSON-MIN export of a Label Studio.

https://labelstud.io/guide/export#Export-formats-supported-by-Label-Studio
"""

from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from common.label_studio.annotations import choices_in
from consensus.errors import SourceError
from consensus.transfer.sources.detections import load_json
from consensus.transfer.sources.records import ADDRESS, ENDINGS, SERVED, LeftOut, Reading, is_file, texts_of
from consensus.transfer.sources.tables import IMAGE_COLUMNS, LABEL_COLUMNS, NO_COLUMNS, Columns


def read_label_studio_export(path: Path, root: Path, columns: Columns = NO_COLUMNS) -> Reading:
    """Read the tasks of an export.

    A task's labels are what most of its annotations choose, of equally many the earliest, and what its ground
    truth chooses where it has one; without annotations they are in its data. An image that a Label Studio served
    is looked for below the root, and left at its address where it is not there.

    Parameters
    ----------
    columns : Columns
        ``labels`` may name a control as well as keys of the data.

    Raises
    ------
    SourceError
        Where it is no export, or several controls could hold the labels.
    """
    tasks = load_json(path)
    if not isinstance(tasks, list) or not all(isinstance(task, dict) for task in tasks):
        raise SourceError(f"{path} is no export of Label Studio: it is no list of tasks")
    controls = {name for task in tasks for made in _choices_of(task) for name in made}
    chosen = controls & {*columns.labels} or controls
    if len(chosen) > 1 and not columns.labels:
        raise SourceError(
            f"{path} has choices of several controls; name the one that holds the labels with --label-column "
            f"({', '.join(sorted(controls))})"
        )
    control = next(iter(chosen)) if chosen and (not columns.labels or controls & {*columns.labels}) else None
    reading = Reading()
    for number, task in enumerate(tasks, start=1):
        row = task.get("data") if isinstance(task.get("data"), dict) else task
        name = _image_of(row, columns.image)
        if name is None:
            reading.left_out.append(LeftOut(f"task {task.get('id', number)}", "no image", "it shows no image"))
            continue
        labels = _labels(task, control) if control else ()
        reading.add(_here(name, root), labels or _labels_in(row, columns), root)
    return reading


def _choices_of(task: Mapping[str, Any]) -> list[Mapping[str, tuple[str, ...]]]:
    """What each annotation chooses, ground truth alone where there is some."""
    rows = [each for each in _listed(task.get("annotations")) if isinstance(each, Mapping)]
    annotations = [each for each in rows if not each.get("was_cancelled")]
    starred = [each for each in annotations if each.get("ground_truth")]
    return [choices_in(_listed(each.get("result"))).made for each in starred[-1:] or annotations]


def _listed(value: object) -> list[Any]:
    return value if isinstance(value, list) else []


def _labels(task: Mapping[str, Any], control: str) -> tuple[str, ...]:
    answers = Counter(tuple(dict.fromkeys(made[control])) for made in _choices_of(task) if control in made)
    return answers.most_common(1)[0][0] if answers else ()


def _labels_in(row: Mapping[str, Any], columns: Columns) -> tuple[str, ...]:
    names = columns.labels or [name for name in LABEL_COLUMNS if name in row][:1]
    values = (row.get(name) for name in names)
    choices = [value.get("choices") if isinstance(value, dict) else value for value in values]  # JSON-MIN
    return texts_of(choices, columns.separator)


def _image_of(row: Mapping[str, Any], column: str | None) -> str | None:
    names = [column] if column else [*(name for name in IMAGE_COLUMNS if name in row), *row]
    texts = (value for name in names if isinstance(value := row.get(name), str))
    return next((text for text in texts if column or _looks_like_an_image(text)), None)


def _looks_like_an_image(text: str) -> bool:
    return bool(ADDRESS.match(text)) or text.startswith(SERVED) or Path(text).suffix.lower() in ENDINGS


def _here(name: str, root: Path) -> str:
    """Name the file of a served image where it is below the root."""
    if not name.startswith(SERVED):
        return name
    served = name.removeprefix("/data/").removeprefix("local-files/?d=")
    return next((each for each in (served, Path(served).name) if is_file(root / each)), name)
