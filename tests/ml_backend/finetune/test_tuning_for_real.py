"""Fine-tuning on a real Label Studio, by the command line, and what is served afterwards."""

import os
import re
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import httpx
import pytest
from administrator import file_name
from in_memory_label_studio import region
from running_backend import eventually, running, share_engines

from ml_backend.embedding.checkpoints import content_id
from ml_backend.embedding.tuned import TunedWeights

if TYPE_CHECKING:
    from conftest import RunningLabelStudio, TinyProject

pytestmark = [pytest.mark.server, pytest.mark.slow]

CONFIG = """<View><Image name="image" value="$image"/>
<Choices name="kind" toName="image"><Choice value="dark"/><Choice value="light"/></Choices></View>"""
LIMIT_S = 400
PICTURES, ANNOTATED = 36, 32


def command(folder: Path, environment: dict[str, str], *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run ``ml-backend`` to its end."""
    return subprocess.run(
        [sys.executable, "-m", "ml_backend", *arguments],
        env={key: value for key, value in os.environ.items() if not key.startswith("ML_BACKEND")} | environment,
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=LIMIT_S,
        check=False,
    )


@pytest.fixture
def uploaded(label_studio: "RunningLabelStudio", project: "TinyProject") -> tuple[int, dict[int, str]]:
    """A project of dark and light pictures, most of them annotated; the kinds by task."""
    admin = label_studio.administrator
    made = admin.create_project(CONFIG)
    pictures = {f"{number}.png": project.picture(number) for number in range(1, PICTURES + 1)}
    admin.upload(made, pictures, make_tasks=True)
    kinds = {
        task["id"]: project.kind_of(int(file_name(task["data"]["image"]).removesuffix(".png")))
        for task in admin.tasks(made, "id,data")
    }
    for task in sorted(kinds)[:ANNOTATED]:
        admin.annotate(task, region("kind", kinds[task]))
    return made, kinds


def test_finetuned_weights_make_a_version_that_is_served(
    label_studio: "RunningLabelStudio", uploaded: tuple[int, dict[int, str]], tmp_path: Path, own_weights: Path
) -> None:
    """Fine-tuned, used, trained: Label Studio shows the version, and serving computes it without torch."""
    number, kinds = uploaded
    environment = {
        "LABEL_STUDIO_URL": label_studio.url,
        "LABEL_STUDIO_API_KEY": label_studio.api_key,
        "ML_BACKEND_WEIGHTS": str(own_weights),
        "ML_BACKEND_DATA_DIR": str(tmp_path / "backend"),
    }
    share_engines(tmp_path / "backend")
    project = f"--project={number}"
    tuned = command(tmp_path, environment, "finetune", project, "--epochs=2", "--batch-size=8", "--image-size=32")
    assert tuned.returncode == 0, tuned.stderr
    [weights_id] = re.findall(
        rf"weights ([0-9a-f]{{8}}) of resnet18, from resnet18:{content_id(own_weights)}", tuned.stdout
    )
    assert re.search(r"epoch 2 \(\d+ of \d+ steps\): loss \d\.\d+", tuned.stderr)
    made = TunedWeights(tmp_path / "backend").read(weights_id)
    assert set(made.tuned_on[str(number)]) < set(kinds)

    used = command(tmp_path, environment, "finetune", project, f"--use={weights_id}")
    assert used.returncode == 0, used.stderr
    trained = command(tmp_path, environment, "train", project, "--force")
    assert trained.returncode == 0, trained.stderr
    admin = label_studio.administrator
    version = admin.project(number).model_version or ""
    assert version.startswith(f"resnet18-{weights_id}-")
    data = {}
    for task in admin.whole_tasks(number):
        data[task["id"]] = task["data"]
        [prediction] = task["predictions"]
        assert prediction["model_version"] == version

    unseen = sorted(kinds)[ANNOTATED:]
    asked = [{"id": task, "data": data[task]} for task in unseen]
    with running(tmp_path, **environment) as backend:
        assert eventually(lambda: httpx.get(backend.url + "/health").json()["status"] == "UP", 60)
        body = {"tasks": asked, "project": str(number), "label_config": CONFIG}
        entries = httpx.post(backend.url + "/predict", json=body, timeout=100).json()["results"]
        assert httpx.get(backend.url + "/health").json()["engine"] == "onnxruntime-cpu"
    assert all(entries), backend.log
    assert [entry["model_version"] for entry in entries] == [version] * len(unseen)
    assert label_studio.api_key not in tuned.stdout + tuned.stderr + trained.stdout + trained.stderr

    undone = command(tmp_path, environment, "finetune", project, "--undo")
    assert "uses the configured weights again" in undone.stderr
    assert TunedWeights(tmp_path / "backend").of_project(number) is None
