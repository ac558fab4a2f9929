"""Imports into a real Label Studio, by the command itself."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Any

import httpx
import pytest

from consensus.errors import StoreError
from consensus.transfer.journal import entries_in

sys.path.insert(0, str(Path(__file__).parent))
from made_images import make_folders, make_image

if TYPE_CHECKING:
    from collections.abc import Callable

    from conftest import RunningLabelStudio

pytestmark = pytest.mark.server

ROOT = Path(__file__).resolve().parents[3]


@pytest.fixture
def start(label_studio: RunningLabelStudio, tmp_path: Path) -> Callable[..., subprocess.Popen[str]]:
    """Starts `consensus` in a process of its own."""
    environment = os.environ | {
        "LABEL_STUDIO_URL": label_studio.url,
        "LABEL_STUDIO_API_KEY": label_studio.api_key,
        "XDG_DATA_HOME": str(tmp_path / "home"),
        "PYTHONPATH": str(ROOT),
    }

    def _start(*words: object) -> subprocess.Popen[str]:
        command = [sys.executable, "-m", "consensus.cli", *map(str, words)]
        return subprocess.Popen(command, env=environment, cwd=tmp_path, stdout=subprocess.PIPE, text=True)

    return _start


@pytest.fixture
def call(start: Callable[..., subprocess.Popen[str]]) -> Callable[..., Any]:
    """Runs `consensus` to its end, and reads the JSON that it prints."""

    def _call(*words: object) -> Any:  # noqa: ANN401 - any JSON
        with start(*words, "--json") as process:
            printed = process.communicate(timeout=180)[0]
        return json.loads(printed)

    return _call


def test_a_folder_becomes_a_project(
    label_studio: RunningLabelStudio, call: Callable[..., Any], tmp_path: Path
) -> None:
    """Tasks have the labels of their folders and show the images; the same again sends nothing; then one more."""
    photos = make_folders(tmp_path / "photos", 40)
    first = call("import", photos, "--project", "Real photos", "--batch", 16)
    assert (first["sent"], first["left_out"]) == (40, [])
    admin, project = label_studio.administrator, first["project"]
    tasks = admin.whole_tasks(project)
    assert {task["data"]["source"]: task["data"]["given"] for task in tasks} == {
        path.relative_to(photos).as_posix(): path.parent.name for path in photos.rglob("*.png")
    }
    assert {task["overlap"] for task in tasks} == {3}
    headers = {"Authorization": admin.authorization()}
    for task in tasks[::7]:
        shown = httpx.get(f"{label_studio.url}{task['data']['image']}", headers=headers)
        assert shown.content == (photos / task["data"]["source"]).read_bytes()
    again = call("import", photos, "--project", project)
    assert (again["sent"], again["earlier"]) == (0, 40)
    assert (len(admin.uploads(project)), admin.task_number(project)) == (40, 40)
    make_image(photos / "bird" / "1.png")
    assert call("import", photos, "--project", project)["left_out"][0]["kind"] == "label"
    assert call("import", photos, "--project", project, "--add-labels")["sent"] == 1
    (status,) = call("import-status", "--project", project)
    assert (status["state"], status["total"], status["sent"], status["earlier"]) == ("ended", 41, 1, 40)


def n_noted(folder: Path) -> int:
    """How many images an import has noted in its journal."""
    try:
        return sum(len(entries_in(path)) for path in folder.glob("project-*.db"))
    except StoreError:  # it is being made
        return 0


@pytest.mark.parametrize("n_images", [1, 250, 520])
def test_a_killed_import_goes_on(
    label_studio: RunningLabelStudio,
    start: Callable[..., subprocess.Popen[str]],
    call: Callable[..., Any],
    tmp_path: Path,
    n_images: int,
) -> None:
    """Wherever SIGKILL ends it, in the first group or the second: each image has one task in the end."""
    photos = make_folders(tmp_path / "photos", 600)
    title = f"Killed after {n_images}"
    with start("import", photos, "--project", title, "--batch", 8) as process:
        while n_noted(tmp_path / "home" / "consensus" / "imports") < n_images and process.poll() is None:
            time.sleep(0.01)
        process.send_signal(signal.SIGKILL)
        process.communicate()
    outcome = call("import", photos, "--project", title)
    tasks = list(label_studio.administrator.tasks(outcome["project"], "id,data", fields="task_only"))
    assert Counter(task["data"]["checksum"] for task in tasks).most_common(1)[0][1] == 1
    assert len(tasks) == 600
    assert outcome["sent"] + outcome["earlier"] == 600
    assert 600 <= len(label_studio.administrator.uploads(outcome["project"])) <= 632  # some were on their way


def test_a_verification_asks_about_the_given_label(
    label_studio: RunningLabelStudio, call: Callable[..., Any], tmp_path: Path
) -> None:
    """Label Studio takes the label config, and `consensus run` finds the given label."""
    photos = make_folders(tmp_path / "photos", 4)
    outcome = call("import", photos, "--project", "Verified photos", "--verify", "--overlap", 2)
    run = call("run", "--project", outcome["project"])
    assert run["controls"] == ["check: yes / no on the given label of 3 labels, given label in 'given'"]
    assert label_studio.administrator.project_settings(outcome["project"]).overlap == 2
