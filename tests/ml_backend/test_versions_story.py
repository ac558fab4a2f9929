"""Versions on a real Label Studio: what is learned, what is held back, and what a person brings back."""

import io
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import httpx
import pytest
from administrator import Administrator, file_name
from PIL import Image, ImageDraw
from running_backend import running

from common.contract import signed_meta
from common.label_studio.suggestions import as_chosen
from ml_backend.model_registry import ModelRegistry

if TYPE_CHECKING:
    from conftest import RunningLabelStudio

pytestmark = pytest.mark.server

CONFIG = """<View><Image name="image" value="$image"/>
<Choices name="kind" toName="image"><Choice value="dark"/><Choice value="light"/></Choices></View>"""
NEVER = "3600"
LIMIT_S = 300


def picture(number: int) -> bytes:
    """Every even one is dark."""
    ground, line = ("white", "black") if number % 2 else ("black", "white")
    image = Image.new("RGB", (48, 48), ground)
    ImageDraw.Draw(image).line((number * 2, 0, 40 - number * 2, 47), fill=line, width=1 + number // 8)
    file = io.BytesIO()
    image.save(file, "PNG")
    return file.getvalue()


def region(kind: str) -> dict[str, Any]:
    """What says that a picture is of a kind."""
    return {"id": "a", "from_name": "kind", "to_name": "image", "type": "choices", "value": {"choices": [kind]}}


def save_blind_weights(path: Path) -> None:
    """Write a network that gives every image the same embedding."""
    import torch  # noqa: PLC0415 - takes seconds
    from torchvision.models import resnet18  # noqa: PLC0415

    torch.manual_seed(0)
    state = resnet18(weights=None).state_dict()
    state["conv1.weight"].zero_()
    state["bn1.bias"].uniform_(0.1, 1)
    torch.save(state, path)


@dataclass(frozen=True)
class Story:
    """A project of sixteen pictures, connected to a backend that trains only when it is told to."""

    admin: Administrator
    project: int
    environment: dict[str, str]
    folder: Path
    connection: int

    def ask(self, method: str, path: str, **how: Any) -> Any:  # noqa: ANN401 - any JSON
        """Ask Label Studio."""
        return self.admin.ask(method, path, **how)

    def tasks(self) -> list[dict[str, Any]]:
        """All tasks in the order of their pictures, with predictions."""
        listed = self.admin.whole_tasks(self.project)
        return sorted(listed, key=lambda task: int(file_name(task["data"]["image"]).removesuffix(".png")))

    def run(self, *arguments: str, **environment: str) -> str:
        """What a command of the backend prints about the project."""
        ended = subprocess.run(
            [sys.executable, "-m", "ml_backend", *arguments, "--project", str(self.project)],
            env=self.environment | environment,
            cwd=self.folder,
            text=True,
            capture_output=True,
            timeout=LIMIT_S,
            check=False,
        )
        assert ended.returncode == 0, ended.stderr
        return ended.stdout

    def train(self, **environment: str) -> dict[str, Any]:
        """Train, and give what is known of the newest version."""
        self.run("train", **environment)
        return dict(self.registry.records(self.project)[0].described)

    @property
    def registry(self) -> ModelRegistry:
        """The versions on disk."""
        return ModelRegistry(self.folder / "backend")

    def stored(self, version: str) -> dict[int, str]:
        """What a version suggests in Label Studio, by picture."""
        return {
            number: as_chosen(prediction["result"])[0]["value"]["choices"][0]
            for number, task in enumerate(self.tasks())
            for prediction in task["predictions"]
            if prediction["model_version"] == version
        }

    def shows(self, backend: str, version: str) -> bool:
        """Whether the version answers, and everything in Label Studio follows it."""
        setup = {"project": f"{self.project}.{self.stamp}", "schema": CONFIG}
        named = httpx.post(f"{backend}/setup", json=setup, timeout=30).json()["model_version"]
        project = self.ask("GET", f"/api/projects/{self.project}/")["model_version"]
        connection = self.ask("GET", f"/api/ml/{self.connection}")
        following = self.ask("GET", f"/api/projects/{self.project}/next")
        scores = [
            (
                task["predictions_score"],
                [
                    prediction["score"]
                    for prediction in task["predictions"]
                    if prediction["model_version"] == version
                ],
            )
            for task in self.tasks()
        ]
        assert [score for score, _ in scores] == [pytest.approx(values[0]) for _, values in scores]
        assert {prediction["model_version"] for prediction in following["predictions"]} == {version}
        return {named, project, connection["title"], connection["model_version"]} == {version}

    @property
    def stamp(self) -> str:
        """The project's creation as Label Studio names it to backends."""
        made = self.ask("GET", f"/api/projects/{self.project}/")["created_at"]
        return str(int(datetime.fromisoformat(made).timestamp()))


@contextmanager
def begun(label_studio: "RunningLabelStudio", folder: Path, weights: Path) -> Iterator[Callable[[str], Story]]:
    """A project with pictures; connected once the backend's address is known."""
    admin = label_studio.administrator
    project = admin.create_project(CONFIG)
    admin.upload(project, {f"{number}.png": picture(number) for number in range(16)}, make_tasks=True)
    environment = {key: value for key, value in os.environ.items() if not key.startswith("ML_BACKEND")} | {
        "LABEL_STUDIO_URL": label_studio.url,
        "LABEL_STUDIO_API_KEY": label_studio.api_key,
        "ML_BACKEND_DATA_DIR": str(folder / "backend"),
        "ML_BACKEND_WEIGHTS": str(weights),
    }

    def connect(url: str) -> Story:
        admin.add_connection(project, url, "suggestions", None)
        [connection] = admin.connections(project)
        return Story(admin, project, environment, folder, connection.id)

    yield connect


def test_the_versions_of_a_project(label_studio: "RunningLabelStudio", tmp_path: Path, own_weights: Path) -> None:
    """Votes are learned, then what consensus says; a worse version does not answer until a person lets it."""
    settings = {
        "LABEL_STUDIO_URL": label_studio.url,
        "LABEL_STUDIO_API_KEY": label_studio.api_key,
        "ML_BACKEND_QUIET_S": NEVER,
        "ML_BACKEND_MAX_WAIT_S": NEVER,
        "ML_BACKEND_RECONCILE_S": "0",
        "ML_BACKEND_WEIGHTS": str(own_weights),
    }
    with (
        begun(label_studio, tmp_path, own_weights) as connect,
        running(tmp_path, workers=1, **settings) as backend,
    ):
        story = connect(backend.url)
        kinds = {number: "light" if number % 2 else "dark" for number in range(16)}
        ids = [task["id"] for task in story.tasks()]

        # An annotator who says light to everything.
        for task in ids[:12]:
            story.ask("POST", f"/api/tasks/{task}/annotations/", json={"result": [region("light")]})
        misled = story.train()
        assert (misled["held_back"], misled["n_annotated"], misled["n_settled"]) == ("", 12, 0)
        assert set(story.stored(misled["model_version"]).values()) == {"light"}
        assert story.shows(backend.url, misled["model_version"])

        # What consensus would write had it heard others.
        verdicts = [
            {
                "task": task,
                "model_version": "consensus/Discovered",
                "score": 0.9,
                "result": [
                    {
                        **region(kinds[number]),
                        "meta": signed_meta(
                            label_studio.api_key,
                            task,
                            "consensus/Discovered",
                            0.9,
                            region(kinds[number]),
                            "choices",
                        ),
                    }
                ],
            }
            for number, task in enumerate(ids[:12])
        ]
        story.ask("POST", f"/api/projects/{story.project}/import/predictions", json=verdicts)
        good = story.train()
        assert (good["held_back"], good["n_annotated"], good["n_settled"]) == ("", 12, 12)
        assert story.stored(good["model_version"]) == kinds
        assert story.shows(backend.url, good["model_version"])

        save_blind_weights(tmp_path / "blind.pt")
        worse = story.train(ML_BACKEND_WEIGHTS=str(tmp_path / "blind.pt"))
        assert "worse" in worse["held_back"]
        assert story.stored(worse["model_version"]) == {}
        assert story.shows(backend.url, good["model_version"])
        assert "was held back. Its" in story.run("versions")

        story.run("promote", worse["model_version"])
        assert story.shows(backend.url, worse["model_version"])
        story.run("promote", good["model_version"])
        assert story.shows(backend.url, good["model_version"])
        assert story.registry.chosen_version(story.project) == good["model_version"]

        before = story.registry.versions(story.project)
        story.train()
        assert story.registry.versions(story.project) == before  # nothing is new, and no version is made again
        story.ask("POST", f"/api/tasks/{ids[12]}/annotations/", json={"result": [region(kinds[12])]})
        again = story.train()
        assert "not better than the version that a person chose" in again["held_back"]
        assert story.shows(backend.url, good["model_version"])
    assert "Traceback" not in backend.log
    assert label_studio.api_key not in backend.log
