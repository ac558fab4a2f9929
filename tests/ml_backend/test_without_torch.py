"""A backend in an environment without torch, from networks that were exported elsewhere."""

import io
import json
import os
import pkgutil
import re
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import TYPE_CHECKING

import httpx
import numpy as np
import pytest
from PIL import Image
from running_backend import eventually, running
from without_torch import REFUSED, without_torch

import ml_backend
from ml_backend.core.identity import Identity
from ml_backend.core.preparing import EFFICIENTNET_LITE0
from ml_backend.embedding import configured
from ml_backend.embedding.backbones import Backbones
from ml_backend.embedding.checkpoints import IMAGENET
from ml_backend.embedding.configured import configured_identity
from ml_backend.embedding.engines import description_file, engine_file
from ml_backend.errors import WeightsError
from ml_backend.settings import Settings

if TYPE_CHECKING:
    from conftest import RunningLabelStudio, Samples

ROOT = Path(__file__).resolve().parents[2]
LITE, RESNET = Identity(EFFICIENTNET_LITE0, IMAGENET), Identity("resnet18", IMAGENET)
# What computes with torch, each imported where torch is there.
WITH_TORCH = {
    "ml_backend.core.efficientnet",
    "ml_backend.core.embedder",
    "ml_backend.core.finetune.bodies",
    "ml_backend.core.finetune.finetuning",
    "ml_backend.core.finetune.loop",
    "ml_backend.core.finetune.pretraining",
    "ml_backend.core.finetune.views",
    "ml_backend.embedding.networks",
    "ml_backend.finetune.learner",
}
IMPORTING = """
import importlib, sys
for name in sys.argv[1:]:
    try:
        importlib.import_module(name)
    except ModuleNotFoundError as error:
        print(name, error.name)
"""


def run(folder: Path, *words: str, **environment: str) -> subprocess.CompletedProcess[str]:
    """Run a command of ours without torch, in a folder without anybody's settings."""
    inherited = {
        key: value for key, value in os.environ.items() if not key.startswith(("LABEL_STUDIO", "ML_BACKEND"))
    }
    return subprocess.run(
        [sys.executable, *words],
        env=inherited | environment,
        cwd=folder,
        check=False,
        capture_output=True,
        text=True,
        timeout=240,
    )


@pytest.fixture(scope="session")
def exported(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What ``ml-backend export`` has written of EfficientNet-Lite0, with torch."""
    folder = tmp_path_factory.mktemp("exported")
    words = ["-m", "ml_backend", "export", "--backbone", EFFICIENTNET_LITE0, "--out", str(folder / "engines")]
    done = run(folder, *words)
    assert done.returncode == 0, done.stderr
    return folder / "engines"


@pytest.fixture
def serving(settings: Settings, monkeypatch: pytest.MonkeyPatch, exported: Path, tmp_path: Path) -> Settings:
    """A backend without torch that may take what was exported."""
    for module in (configured, sys.modules[Backbones.__module__]):
        monkeypatch.setattr(module, "has_torch", lambda: False)
    engines = shutil.copytree(exported, tmp_path / "engines")
    return settings.model_copy(update={"weights": IMAGENET, "engine": "onnx", "engines_dir": engines})


def test_only_what_computes_with_torch_imports_it(tmp_path: Path) -> None:
    """Every other module can be imported where neither torch nor what exports is installed."""
    names = [
        module.name
        for module in pkgutil.walk_packages(ml_backend.__path__, "ml_backend.")
        if module.name not in ("ml_backend.__main__", "ml_backend.label_studio_ml")
    ]
    done = run(tmp_path, "-c", IMPORTING, *names, **without_torch(tmp_path / "site"))
    assert done.returncode == 0, done.stderr
    failed = dict(line.split() for line in done.stdout.splitlines())
    assert (set(failed), set(failed.values()) <= set(REFUSED)) == (WITH_TORCH, True)


def test_the_extra_with_torch_holds_the_other() -> None:
    """Who installs ``.[ml]`` can serve, and ``.[serve]`` brings nothing that computes with torch or exports."""
    extras = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"][
        "optional-dependencies"
    ]
    assert set(extras["serve"]) < set(extras["ml"])
    names = {re.split("[>=<]", requirement)[0].replace("-", "_") for requirement in extras["serve"]}
    assert names.isdisjoint(REFUSED)


def test_the_description_says_what_the_file_is(exported: Path) -> None:
    """Backbone, weights, preparation and the key, which is the one that torch's embeddings have."""
    [file] = exported.glob("*.onnx")
    description = json.loads(description_file(file).read_text())
    assert file.name == engine_file(Path(), LITE.key).name
    assert (description["embedding_key"], description["backbone"]) == (LITE.key, EFFICIENTNET_LITE0)
    assert (description["weights_id"], description["dimension"]) == (IMAGENET, 1280)
    assert description["preparation"]["std"] == [pytest.approx(128 / 255)] * 3


def test_auto_takes_what_was_exported(serving: Settings) -> None:
    """EfficientNet-Lite0 where there is nothing else; a ResNet-18 where it is; and the data folder keeps it."""
    embedder = Backbones(serving.model_copy(update={"backbone": "auto"})).preferred()
    assert (embedder.key, embedder.engine, embedder.dimension) == (LITE.key, "onnxruntime-cpu", 1280)
    assert engine_file(serving.data_dir, LITE.key).is_file()
    assert configured_identity(serving, lambda _: False) == LITE  # the choice holds
    (serving.data_dir / "weights" / "auto").unlink()
    assert configured_identity(serving, lambda identity: identity == RESNET) == RESNET


@pytest.mark.parametrize("backbone", ["auto", "resnet50", "timm:vit_small_patch14_dinov2.lvd142m"])
def test_what_was_not_exported_is_named(serving: Settings, backbone: str) -> None:
    """The error, and /health, say which network is missing and what makes it; random weights never stand in."""
    changed = serving.model_copy(update={"backbone": backbone, "engines_dir": None})
    made = Backbones(changed)
    with pytest.raises(Exception, match=r"no ONNX file of .* torch.* is not installed: .*`ml-backend export`"):
        made.preferred()
    assert "no ONNX file of" in (made.error or "")
    assert not (serving.data_dir / "weights" / "auto").exists()


def test_a_version_of_another_network_is_named(serving: Settings) -> None:
    """A project whose version needs what was not exported gets a sentence, and the others their suggestions."""
    made = Backbones(serving.model_copy(update={"backbone": EFFICIENTNET_LITE0}))
    with pytest.raises(WeightsError, match="no ONNX file of resnet18:imagenet"):
        made.matching(RESNET, RESNET.key, timeout_s=60)
    assert "resnet18:imagenet" in (made.error or "")
    assert made.matching(LITE, LITE.key, timeout_s=60).dimension == 1280


@pytest.mark.parametrize("place", ["exported", "copied"])
def test_a_damaged_file_never_answers(serving: Settings, place: str) -> None:
    """One changed byte in what was exported is refused with a sentence; a damaged copy is copied anew."""
    made = Backbones(serving.model_copy(update={"backbone": EFFICIENTNET_LITE0}))
    if place == "copied":
        made.preferred()
    folder = serving.engines_dir if place == "exported" else serving.data_dir / "engines"
    assert folder is not None
    [path] = folder.glob("*.onnx")
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)
    again = Backbones(serving.model_copy(update={"backbone": EFFICIENTNET_LITE0}))
    if place == "copied":
        assert again.preferred().key == LITE.key
        return
    with pytest.raises(Exception, match=r"is damaged: its checksum is not that of .*\.onnx\.json"):
        again.preferred()


def test_commands_that_need_torch_say_so(tmp_path: Path) -> None:
    """One line with the remedy, and no traceback."""
    environment = without_torch(tmp_path / "site") | {"ML_BACKEND_DATA_DIR": str(tmp_path / "data")}
    for words in (["export", "--backbone", "resnet18"], ["export"]):
        done = run(tmp_path, "-m", "ml_backend", *words, **environment)
        assert (done.returncode, "Traceback" in done.stderr) == (1, False)
        assert "no ONNX file of" in done.stderr
    done = run(tmp_path, "-m", "ml_backend", "pretrain", "--project", "1", **environment)
    assert (done.returncode, "Traceback" in done.stderr) == (1, False)
    assert "torch is not installed" in done.stderr
    assert "pip install '.[ml]'" in done.stderr
    done = run(
        tmp_path, "-m", "ml_backend", "versions", "--project", "1", ML_BACKEND_ENGINE="torch", **environment
    )
    assert done.returncode != 0
    assert "ML_BACKEND_ENGINE" in done.stderr
    assert "pip install '.[ml]'" in done.stderr


def shade(light: int, number: int) -> bytes:
    """A noisy picture, dark or light."""
    noise = np.random.default_rng(number).integers(0, 100, (96, 96, 3), dtype=np.uint8)
    file = io.BytesIO()
    Image.fromarray(noise + np.uint8(155 * light)).save(file, "JPEG")
    return file.getvalue()


@pytest.mark.server
def test_everything_works_without_torch(
    label_studio: "RunningLabelStudio", samples: "Samples", exported: Path, tmp_path: Path
) -> None:
    """It connects, trains, serves, predicts in bulk, lists versions and is examined, by ONNX Runtime alone."""
    admin = label_studio.administrator
    project = admin.create_project(samples.config)
    pictures = {
        f"{'dark' if number < 12 else 'light'}-{number}.jpg": shade(number // 12, number) for number in range(24)
    }
    admin.upload(project, pictures, make_tasks=True)
    rows = {task["id"]: task["data"] for task in admin.tasks(project, "id,data")}
    kinds = {task: "light" if "-light-" in row["image"] else "dark" for task, row in rows.items()}
    for task in [task for number, task in enumerate(kinds) if number % 2]:
        region = {"id": "a", "from_name": "kind", "to_name": "image", "type": "choices"}
        admin.annotate(task, region | {"value": {"choices": [kinds[task]]}})
    environment = without_torch(tmp_path / "site") | {
        "LABEL_STUDIO_URL": label_studio.url,
        "LABEL_STUDIO_API_KEY": label_studio.api_key,
        "ML_BACKEND_WEIGHTS": IMAGENET,
        "ML_BACKEND_DATA_DIR": str(tmp_path / "backend"),
        "ML_BACKEND_ENGINES_DIR": str(exported),
    }

    def command(*words: str) -> str:
        done = run(tmp_path, "-m", "ml_backend", *words, **environment)
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout + done.stderr

    with running(tmp_path, shared=False, **environment) as backend:
        health = f"{backend.url}/health"
        assert eventually(lambda: httpx.get(health, timeout=5).json()["model_loaded"], 60), backend.log
        command("connect", "--project", str(project), "--url", backend.url)
        assert "efficientnet-lite0-imagenet-" in command("train", "--project", str(project))
        command("predict", "--project", str(project))
        assert "efficientnet-lite0-imagenet-" in command("versions", "--project", str(project))
        command("doctor", "--project", str(project), "--url", backend.url)
        tasks = [{"id": task, "data": row} for task, row in rows.items()]
        body = {"project": str(project), "label_config": samples.config, "tasks": tasks}
        answer = httpx.post(f"{backend.url}/predict", json=body, timeout=100).json()["results"]
        assert [entry["result"][0]["value"]["choices"] for entry in answer] == [[kind] for kind in kinds.values()]
        assert httpx.get(health, timeout=5).json()["error"] is None
        assert "Traceback" not in backend.log
    stored = [task["predictions"][0]["result"][0]["value"]["choices"] for task in admin.whole_tasks(project)]
    assert stored == [[kind] for kind in kinds.values()]
