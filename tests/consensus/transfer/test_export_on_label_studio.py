"""From a folder to Label Studio, and out of it again, on a real one with uploaded images."""

from __future__ import annotations

import csv
import io
import json
import os
import subprocess
import sys
from typing import TYPE_CHECKING

import httpx
import pytest
from made_images import make_folders

if TYPE_CHECKING:
    from pathlib import Path

    from conftest import RunningLabelStudio

pytestmark = pytest.mark.server
WHO = tuple(f"exported-{number}@example.com" for number in range(4))
N_IMAGES = 24


class Program:
    """Consensus as a person calls it, beside a Label Studio."""

    def __init__(self, label_studio: RunningLabelStudio, folder: Path) -> None:
        self.folder = folder
        kept = {name: value for name, value in os.environ.items() if not name.startswith("CONSENSUS_")}
        self.environment = kept | {
            "LABEL_STUDIO_URL": label_studio.url,
            "LABEL_STUDIO_API_KEY": label_studio.api_key,
            "XDG_DATA_HOME": str(folder / "home"),
            "XDG_CACHE_HOME": str(folder / "home"),
        }

    def __call__(self, *words: object, status: int = 0) -> str:
        """Call it, and return what it prints."""
        command = [sys.executable, "-m", "consensus.cli", *map(str, words)]
        done = subprocess.run(
            command,
            check=False,
            env=self.environment,
            cwd=self.folder,
            capture_output=True,
            text=True,
            timeout=120,
        )
        assert done.returncode == status, done.stdout + done.stderr
        return done.stdout

    def files(self, name: str) -> dict[str, bytes]:
        """The images of a folder, by path."""
        root = self.folder / name
        return {path.relative_to(root).as_posix(): path.read_bytes() for path in sorted(root.rglob("*.png"))}


def test_images_that_were_uploaded_come_out_under_the_label_that_the_votes_confirm(
    label_studio: RunningLabelStudio, tmp_path: Path
) -> None:
    """Byte by byte, fetched or linked; what is gone is left out and named."""
    admin = label_studio.administrator
    program = Program(label_studio, tmp_path)
    photos = make_folders(tmp_path / "photos", N_IMAGES)
    truth = program.files("photos")
    (photos / "cat" / "000.png").rename(photos / "dog" / "000.png")
    admin.sign_up(WHO)
    program("import", "photos", "--project", "Exported", "--overlap", "5")
    project = next(number for number in admin.project_ids() if admin.project(number).title == "Exported")
    accounts = {email: number for number, email in admin.accounts().items()}
    classes = {path.rpartition("/")[2]: path.partition("/")[0] for path in truth}
    for task in admin.whole_tasks(project):
        label = classes[task["data"]["source"].rpartition("/")[2]]
        region = {"from_name": "label", "to_name": "image", "type": "choices", "value": {"choices": [label]}}
        for email in WHO:
            admin.annotate(task["id"], region, completed_by=accounts[email])
    program("run", "--project", project)

    program("export", "--project", project, "fetched")
    assert program.files("fetched") == truth
    rows = list(csv.DictReader(io.StringIO((tmp_path / "fetched" / "labels.csv").read_text())))
    changed = [(row["image"], row["given"], row["label"]) for row in rows if row["given"] != row["label"]]
    assert changed == [("cat/000.png", "dog", "cat")]
    program("export", "--project", project, "--images", "photos", "--link", "hard", "linked")
    assert program.files("linked") == truth
    assert (tmp_path / "linked" / "cat" / "002.png").samefile(photos / "cat" / "002.png")

    uploaded = next(row["address"] for row in rows if row["image"] == "cat/002.png")
    numbers = admin.ask("GET", f"/api/projects/{project}/file-uploads", params={"all": "true"})
    gone = next(upload["id"] for upload in numbers if upload["file"].endswith(uploaded.removeprefix("/data/")))
    body = {"file_upload_ids": [gone]}
    admin.ask("DELETE", f"/api/projects/{project}/file-uploads", json=body)
    summary = json.loads(program("export", "--project", project, "--json", "less", status=3))
    assert (summary["labels"], summary["images_failed"]) == (N_IMAGES - 1, 1)
    assert program.files("less") == {path: content for path, content in truth.items() if path != "cat/002.png"}
    assert uploaded in (tmp_path / "less" / "left-out.csv").read_text()

    program.environment["LABEL_STUDIO_API_KEY"] = "f" * 40
    program("export", "--project", project, "refused", status=1)
    assert not (tmp_path / "refused").exists()
    assert httpx.get(label_studio.url + uploaded).status_code != httpx.codes.OK
