"""The example of docs/plankton.md on a real Label Studio, with drawn images and a state dict of one's own."""

import io
import os
import random
import subprocess
import sys
from collections import Counter
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import httpx
import pytest
from PIL import Image, ImageDraw
from running_backend import share_engines

from common.label_studio.suggestions import as_chosen
from ml_backend.core.controls import image_controls

if TYPE_CHECKING:
    from conftest import RunningLabelStudio
    from running_backend import RunningBackend

CONFIG = (Path(__file__).resolve().parents[2] / "docs" / "plankton.xml").read_text(encoding="utf-8")
KINDS: dict[str, dict[str, tuple[str, ...]]] = {
    "colony": {
        "organism_type": ("Plankton",), "morphology": ("Mucilage", "Aerotopes"), "life_form": ("Colony",),
        "shape": ("Round",),
    },
    "filament": {
        "organism_type": ("Plankton",), "morphology": ("Akinetes", "Heterocytes"), "life_form": ("Filament",),
        "shape": ("Rod-like",),
    },
    "debris": {"organism_type": ("Debris",)},
}  # fmt: skip
EACH, ANNOTATED = 10, 7


def test_the_config_has_four_controls_that_suggestions_fill() -> None:
    """Three single choices and a multiple one on one image; the text area is left to people."""
    controls = image_controls(CONFIG)
    assert [(control.name, control.multiple, len(control.labels), control.image_key) for control in controls] == [
        ("organism_type", False, 3, "image"),
        ("morphology", True, 9, "image"),
        ("life_form", False, 3, "image"),
        ("shape", False, 3, "image"),
    ]


def drawing(kind: str, number: int) -> bytes:
    """A simulated photograph: a ball of cells, a chain of cells, or a dark scrap, each a little different."""
    rng = random.Random(f"{kind}-{number}")
    image = Image.new("RGB", (96, 96), (225, 230, 215))
    draw = ImageDraw.Draw(image)
    x, y = rng.randint(34, 62), rng.randint(34, 62)
    if kind == "colony":
        for _ in range(40):
            left, top = x + rng.gauss(0, 8), y + rng.gauss(0, 8)
            draw.ellipse((left, top, left + 6, top + 6), fill=(70, 140, 80), outline=(20, 60, 30))
    elif kind == "filament":
        for cell in range(18):
            left, top = 4 + cell * 5, y + rng.gauss(0, 1)
            draw.rectangle((left, top, left + 4, top + 6), fill=(60, 120, 160), outline=(10, 40, 70))
    else:
        corners = [(x + rng.randint(-30, 30), y + rng.randint(-30, 30)) for _ in range(6)]
        draw.polygon(corners, fill=(70, 50, 30))
    file = io.BytesIO()
    image.save(file, "JPEG", quality=90)
    return file.getvalue()


def regions(kind: str) -> list[dict[str, Any]]:
    """What an annotator submits for a kind."""
    return [
        {"id": name, "from_name": name, "to_name": "image", "type": "choices", "value": {"choices": list(chosen)}}
        for name, chosen in KINDS[kind].items()
    ]


@pytest.mark.server
def test_all_four_controls_get_suggestions(
    label_studio: "RunningLabelStudio",
    serve_backend: Callable[..., AbstractContextManager["RunningBackend"]],
    tmp_path: Path,
    own_weights: Path,
) -> None:
    """Weights of one's own, 21 annotated drawings: most choices for nine others are right, in each control some.

    What is stored in Label Studio is what the backend answers.
    """
    share_engines(tmp_path / "backend")
    admin = label_studio.administrator
    project = admin.create_project(CONFIG)
    drawings = {f"{kind}-{number}.jpg": drawing(kind, number) for number in range(EACH) for kind in KINDS}
    admin.upload(project, drawings, make_tasks=True)
    data = {task["id"]: task["data"] for task in admin.tasks(project, "id,data")}
    kind_of = {task: next(kind for kind in KINDS if f"-{kind}-" in row["image"]) for task, row in data.items()}
    annotated = [
        task
        for task in kind_of
        if sum(kind_of[other_task] == kind_of[task] for other_task in kind_of if other_task < task) < ANNOTATED
    ]
    for task in annotated:
        admin.annotate(task, *regions(kind_of[task]))
    environment = {
        "LABEL_STUDIO_URL": label_studio.url,
        "LABEL_STUDIO_API_KEY": label_studio.api_key,
        "ML_BACKEND_WEIGHTS": str(own_weights),
        "ML_BACKEND_DATA_DIR": str(tmp_path / "backend"),
    }
    subprocess.run(
        [sys.executable, "-m", "ml_backend", "train", "--force", "--project", str(project)],
        env=os.environ | environment,
        cwd=tmp_path,
        check=True,
        timeout=240,
    )
    with serve_backend(**environment) as backend:
        admin.add_connection(project, backend.url, "suggestions", None)
        others = [task for task in kind_of if task not in annotated]
        tasks = [{"id": task, "data": data[task]} for task in others]
        body = {"project": str(project), "label_config": CONFIG, "tasks": tasks, "params": {"context": None}}
        answer = httpx.post(f"{backend.url}/predict", json=body, timeout=100).json()
    assert len(others) == len(KINDS) * (EACH - ANNOTATED)
    right: Counter[str] = Counter()
    for task, entry in zip(others, answer["results"], strict=True):
        chosen = choices(entry)
        assert set(chosen) <= set(KINDS["colony"])
        right.update(name for name, labels in KINDS[kind_of[task]].items() if chosen.get(name) == set(labels))
    assert right.keys() == KINDS["colony"].keys()
    possible = sum(len(KINDS[kind_of[task]]) for task in others)
    assert right.total() / possible > 0.8
    stored = {task["id"]: task["predictions"] for task in admin.whole_tasks(project)}
    assert [choices(*stored[task]) for task in others] == [choices(entry) for entry in answer["results"]]


def choices(prediction: Mapping[str, Any] | None = None) -> dict[str, set[str]]:
    """What a prediction suggests in each control; nothing where there is none."""
    regions = as_chosen(prediction["result"]) if prediction else []
    return {region["from_name"]: set(region["value"]["choices"]) for region in regions}
