"""Datasets that are taken away from the pages."""

import csv
import io
import os
import re
import zipfile
from datetime import UTC, datetime
from pathlib import Path

import pytest
from flask.testing import FlaskClient
from made_desk import OTHER, Desk, send, words
from made_projects import PROJECT

from consensus.transfer.archives import KEPT_S, Archives
from consensus.transfer.export import Request, write_dataset
from consensus.transfer.export_images import ImageSource

HOME = f"/projects/{PROJECT}/"


def exported(desk: Desk, admin: FlaskClient, **form: object) -> zipfile.ZipFile:
    """A dataset, downloaded."""
    answer = send(
        admin, f"{HOME}export", admin.get(f"{HOME}setup"), **{"control": "kind", "layout": "csv", **form}
    )
    desk.ended(answer)
    page = admin.get(answer.headers["Location"]).text
    assert re.search(r"\d+ labels of \d+ tasks, of which", words(page))
    [link] = re.findall(r'href="([^"]+\.zip)"', page)
    with admin.get(link) as download:
        assert download.headers["Content-Disposition"] == f"attachment; filename=dataset-{PROJECT}.zip"
        return zipfile.ZipFile(io.BytesIO(download.data))


def test_a_dataset_is_what_the_command_writes(desk: Desk, admin: FlaskClient, tmp_path: Path) -> None:
    """Without images, to the last byte; its README names the command."""
    archive = exported(desk, admin)
    order = f"consensus export --project {PROJECT} --layout csv --control kind OUT"
    write_dataset(
        desk.made.connected(), desk.store, ImageSource(desk.console.pictures.fetcher),
        Request(PROJECT, "csv", order, "kind"), tmp_path / "by-command", now=datetime.now(UTC),
    )  # fmt: skip
    files = {path.name: path.read_bytes() for path in (tmp_path / "by-command").iterdir()}
    assert {name: archive.read(name) for name in archive.namelist()} == files
    assert order in archive.read("README.md").decode()
    rows = list(csv.DictReader(io.StringIO(archive.read("labels.csv").decode())))
    assert {row["label"] for row in rows} == {"cat", "dog", "owl"}
    desk.console.pictures.close()


@pytest.mark.parametrize(
    ("layout", "file"), [("jsonl", "labels.jsonl"), ("parquet", "labels.parquet"), ("coco", "annotations.json")]
)
def test_each_layout_can_be_had(desk: Desk, admin: FlaskClient, layout: str, file: str) -> None:
    """All that need no images."""
    assert file in exported(desk, admin, layout=layout, keep_doubtful="on").namelist()
    desk.console.pictures.close()


@pytest.mark.parametrize(
    "form", [{"layout": "folders"}, {"layout": "csv", "control": "none"}, {"control": "kind"}]
)
def test_what_cannot_be_exported_is_said(admin: FlaskClient, form: dict[str, str]) -> None:
    """With what can be."""
    answer = send(admin, f"{HOME}export", admin.get(f"{HOME}setup"), **form)
    assert (answer.status_code, "csv, jsonl, parquet, coco" in words(answer.text)) == (400, True)


@pytest.mark.parametrize("name", ["0" * 32, "..%2f..%2fstore", "x", "0" * 31 + "%0a"])
def test_nothing_else_is_sent(desk: Desk, admin: FlaskClient, name: str) -> None:
    """Neither another file, nor anything to who is no admin."""
    assert admin.get(f"{HOME}exports/{name}.zip").status_code == 404
    assert desk.signed_in(OTHER).get(f"{HOME}exports/{'0' * 32}.zip").status_code == 403


def test_another_projects_dataset_is_not_sent(desk: Desk, admin: FlaskClient) -> None:
    """Its address is below its project."""
    exported(desk, admin)
    desk.console.pictures.close()
    [path] = (desk.folder / "exports").iterdir()
    name = path.stem.partition("-")[2]
    assert admin.get(f"/projects/8/exports/{name}.zip").status_code == 404


def test_datasets_are_there_for_a_day(tmp_path: Path) -> None:
    """What a killed process has left goes with them."""
    archives = Archives(tmp_path / "exports")
    first, second = (f"7-{digit * 32}" for digit in "12")
    archives.add(first, lambda folder: (folder / "a").write_text("a"))
    (tmp_path / "exports" / "left").mkdir()
    for path in (tmp_path / "exports").iterdir():
        os.utime(path, (0, path.stat().st_mtime - KEPT_S - 1))
    archives.add(second, lambda folder: (folder / "a").write_text("a"))
    assert archives.find(first) is None
    assert [path.stem for path in (tmp_path / "exports").iterdir()] == [second]
