"""The layouts of a dataset: how its labels are written."""

import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import groupby
from pathlib import Path
from typing import Any

from common.console import csv_text
from consensus.core.dataset.believed import BelievedLabel, LeftOut
from consensus.core.dataset.option_names import Layout

Row = dict[str, Any]

WITH_IMAGES: tuple[Layout, ...] = ("folders", "imagefolder")
"""Layouts that are nothing without the images in them."""
COLUMNS = {
    "image": "VARCHAR",
    "label": "VARCHAR",
    "given": "VARCHAR",
    "report": "VARCHAR",
    "confidence": "DOUBLE",
    "upper": "DOUBLE",
    "posterior": "DOUBLE",
    "yes": "BIGINT",
    "no": "BIGINT",
    "unsure": "BIGINT",
    "decided_by": "VARCHAR",
    "at": "VARCHAR",
    "batch": "VARCHAR",
    "task": "BIGINT",
    "control": "VARCHAR",
    "address": "VARCHAR",
}
"""Of a table of labels, with DuckDB's types."""
LEFT_OUT_COLUMNS = ("task", "control", "given", "address", "reason")
DIGITS = 6
_ATTRIBUTES = [name for name in COLUMNS if name not in ("image", "label", "task", "address")]
_OF_IMAGE = ("given", "task", "control", "address")
_LONGEST_LINE = 1 << 30


@dataclass(frozen=True)
class Table:
    """The labels of a dataset, a row each, by task and label.

    Attributes
    ----------
    labels : tuple of str
        All that the control has.
    multiple : bool
        Whether an item may have several; the given labels are a list then.
    sizes : mapping of str to (int, int)
        Width and height of images, where they are known.
    """

    control: str
    labels: tuple[str, ...]
    multiple: bool
    rows: Sequence[Row]
    sizes: Mapping[str, tuple[int, int]] = field(default_factory=dict)


def row_of(believed: BelievedLabel, control: str, image: str, address: str, *, multiple: bool) -> Row:
    """Lay a label out in the columns of a table; None is unknown."""
    candidate = believed.candidate
    return {
        "image": image or None,
        "label": believed.label,
        "given": _given(believed.given, multiple=multiple),
        "report": candidate.report or None,
        "confidence": _number(candidate.confidence),
        "upper": _number(candidate.upper),
        "posterior": _number(candidate.posterior),
        "yes": candidate.yes,
        "no": candidate.no,
        "unsure": candidate.unsure,
        "decided_by": believed.decided_by,
        "at": believed.at or None,
        "batch": believed.batch or None,
        "task": believed.task,
        "control": control,
        "address": address or None,
    }


def left_out_text(left_out: Iterable[LeftOut], control: str, addresses: Mapping[int, str]) -> str:
    """List what was left out, as CSV."""
    rows = (
        {
            "task": each.task,
            "control": control,
            "given": _in_cell(_given(each.given, multiple=len(each.given) > 1)),
            "address": addresses.get(each.task) or None,
            "reason": each.reason,
        }
        for each in left_out
    )
    return csv_text(rows, LEFT_OUT_COLUMNS)


def _given(labels: Sequence[str], *, multiple: bool) -> list[str] | str | None:
    return [*labels] if multiple else labels[0] if labels else None


def _in_cell(value: object) -> object:
    return json.dumps(value, ensure_ascii=False) if isinstance(value, list) else value


def _number(value: float) -> float | None:
    return None if value != value else round(value, DIGITS)  # noqa: PLR0124 - NaN


def write_csv(folder: Path, table: Table) -> None:
    """Write `labels.csv`; several given labels are a list in JSON."""
    rows = ({**row, "given": _in_cell(row["given"])} for row in table.rows)
    write_text(folder / "labels.csv", csv_text(rows, [*COLUMNS]))


def write_jsonl(folder: Path, table: Table) -> None:
    """Write `labels.jsonl`."""
    write_text(folder / "labels.jsonl", _lines(table.rows))


def write_parquet(folder: Path, table: Table) -> None:
    """Write `labels.parquet`."""
    _write_parquet(folder / "labels.parquet", table.rows, COLUMNS)


def write_imagefolder(folder: Path, table: Table) -> None:
    """Write the metadata that `datasets` reads: a row an image; what labels of one have is a list then.

    `datasets` infers types from JSON Lines, and lists without a value have none: these are in Parquet.

    https://huggingface.co/docs/datasets/image_dataset#imagefolder
    """
    own_image = [name for name in COLUMNS if name != "image"]
    if not table.multiple:
        lines = [{"file_name": row["image"], **{name: row[name] for name in own_image}} for row in table.rows]
        write_text(folder / "metadata.jsonl", _lines(lines))
        return
    lines = []
    for image, rows in groupby(table.rows, lambda row: row["image"]):
        labels = [*rows]
        lists = {name: [row[name] for row in labels] for name in own_image if name not in _OF_IMAGE}
        lines.append({"file_name": image, **lists, **{name: labels[0][name] for name in _OF_IMAGE}})
    types = {name: f"{COLUMNS[name]}[]" for name in own_image if name not in _OF_IMAGE}
    of_image = {name: COLUMNS[name] for name in _OF_IMAGE} | {"given": "VARCHAR[]"}
    _write_parquet(folder / "metadata.parquet", lines, {"file_name": "VARCHAR", **types, **of_image})


def _write_parquet(path: Path, rows: Iterable[Row], types: Mapping[str, str]) -> None:
    import duckdb  # noqa: PLC0415 - other layouts need none

    lines = path.with_suffix(".jsonl")
    write_text(lines, _lines(rows))
    options = f"format='newline_delimited', columns={dict(types)!r}, maximum_object_size={_LONGEST_LINE}"
    read = f"FROM read_json(?, {options})"
    with duckdb.connect(config={"threads": 1, "autoinstall_known_extensions": False}) as connection:
        connection.execute(f"COPY ({read}) TO ? (FORMAT parquet, COMPRESSION zstd)", [str(lines), str(path)])
    lines.unlink()


def write_coco(folder: Path, table: Table) -> None:
    """Write `annotations.json`: an annotation a label, whose box is the image where its size is known.

    https://cocodataset.org/#format-data
    """
    category = {label: number for number, label in enumerate(table.labels, start=1)}
    images = {row["task"]: _coco_image(row, table.sizes.get(row["image"])) for row in table.rows}
    annotations = [
        {
            "id": number,
            "image_id": row["task"],
            "category_id": category[row["label"]],
            "iscrowd": 0,
            **_whole(table.sizes.get(row["image"])),
            "attributes": {
                name: row[name] for name in COLUMNS if name not in ("image", "label", "task", "address")
            },
        }
        for number, row in enumerate(table.rows, start=1)
    ]
    content = {
        "info": {"description": f"labels of {table.control}; README.md says how they came about"},
        "licenses": [],
        "images": [*images.values()],
        "categories": [
            {"id": number, "name": label, "supercategory": table.control} for label, number in category.items()
        ],
        "annotations": annotations,
    }
    write_text(folder / "annotations.json", json.dumps(content, ensure_ascii=False, indent=1) + "\n")


def _coco_image(row: Row, size: tuple[int, int] | None) -> Row:
    pixels = dict(zip(("width", "height"), size, strict=True)) if size else {}
    return {"id": row["task"], "file_name": row["image"], **pixels, "coco_url": row["address"]}


def _whole(size: tuple[int, int] | None) -> Row:
    return {"bbox": [0, 0, *size], "area": size[0] * size[1]} if size else {}


LAYOUTS: dict[Layout, Callable[[Path, Table], None]] = {
    "folders": write_csv,
    "csv": write_csv,
    "jsonl": write_jsonl,
    "parquet": write_parquet,
    "coco": write_coco,
    "imagefolder": write_imagefolder,
}


def _lines(rows: Iterable[Row]) -> str:
    return "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows)


def write_text(path: Path, text: str) -> None:
    """Write a text; what UTF-8 cannot say of it is escaped."""
    path.write_bytes(text.encode("utf-8", "backslashreplace"))
