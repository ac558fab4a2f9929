"""A real Label Studio with forty images, some of whose labels are wrong, people who voted, and a console."""

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import label_studio_server
import numpy as np
from administrator import Administrator
from PIL import Image, ImageDraw
from servers import Server, free_port

sys.path.insert(0, str(Path(__file__).parents[1] / "serving"))
from running_service import running

KINDS = ("circle", "ring", "square", "triangle")
EACH, WRONG, UNVOTED = 10, 6, 2
"""Images of each kind; so many of them lie in the folder of the next one; on so many nobody votes."""
MODEL = "shapes-m1"
EMAILS = tuple(f"annotator{number}@example.com" for number in (1, 2, 3))
REVIEWER = "reviewer@example.com"
LIMIT_S = 120
LOGIN = {"ML_BACKEND_BASIC_USER": "label-studio", "ML_BACKEND_BASIC_PASSWORD": "a-password-of-these-tests"}
"""What the ML backend asks for."""


@dataclass
class Place:
    """A Label Studio, the project in it, and the console.

    Parameters
    ----------
    url : str
        Of the console.
    tokens : dict of str to str
        Each account's own, by e-mail address.
    backend_port : int
        Where the console looks for the ML backend.
    datasets : Path
        The folder that the console imports from.
    """

    url: str
    administrator: Administrator
    account: label_studio_server.Account
    project: int
    tokens: dict[str, str]
    backend_port: int
    datasets: Path

    def address(self, path: str = "") -> str:
        """Return the address of a page of the project."""
        return f"{self.url}/projects/{self.project}/{path}"

    def n_annotations(self) -> int:
        """Count the annotations that are there now."""
        return sum(len(task["annotations"]) for task in self.administrator.whole_tasks(self.project))


@contextmanager
def running_console(folder: Path) -> Iterator[Place]:
    """Start both, import, vote, and run."""
    with ExitStack() as ending:
        studio = label_studio_server.start(folder / "base")
        ending.callback(studio.stop)
        administrator = ending.enter_context(Administrator(studio.url, studio.account.token))
        variables = {
            "CONSENSUS_DATABASE_URL": f"sqlite:///{folder}/consensus.db",
            "CONSENSUS_CACHE_DIR": str(folder / "cache"),
            "CONSENSUS_REVIEWERS": REVIEWER,
            "LABEL_STUDIO_URL": studio.url,
            "LABEL_STUDIO_API_KEY": studio.account.token,
            "XDG_DATA_HOME": str(folder / "home"),
            "CONSENSUS_ML_BACKEND_URL": f"http://127.0.0.1:{(backend_port := free_port())}",
            **LOGIN,
            "CONSENSUS_IMPORT_DIR": str(folder / "datasets"),
        }
        draw_shapes(folder / "datasets" / "shapes")
        _consensus(variables, "import", str(folder / "datasets" / "shapes"), "--project", "Shapes")
        project = next(number for number, title in administrator.project_titles().items() if title == "Shapes")
        tokens = administrator.sign_up([*EMAILS, REVIEWER])
        _vote(administrator, project, [tokens[email] for email in EMAILS])
        _consensus(variables, "run", "--project", str(project))
        url, _ = ending.enter_context(running(folder, **variables))
        yield Place(url, administrator, studio.account, project, tokens, backend_port, folder / "datasets")


@contextmanager
def trained_backend(place: Place, folder: Path) -> Iterator[Server]:
    """Start the ML backend, connect it, and let it learn."""
    folder.mkdir()
    variables = {
        "HOME": str(folder),
        "PATH": os.environ["PATH"],
        "LABEL_STUDIO_URL": place.administrator.url,
        "LABEL_STUDIO_API_KEY": place.account.token,
        "ML_BACKEND_BACKBONE": "efficientnet-lite0",
        "ML_BACKEND_DATA_DIR": str(folder / "backend"),
        "ML_BACKEND_PUBLIC_URL": f"http://127.0.0.1:{place.backend_port}",
        **LOGIN,
    }
    serve = [sys.executable, "-m", "ml_backend", "serve", "--port", str(place.backend_port), "--workers", "1"]
    server = Server("ml-backend serve", serve, variables, folder / "serve.log")
    try:
        server.wait_for_answer(f"{variables['ML_BACKEND_PUBLIC_URL']}/health", LIMIT_S)
        for command in ("connect", "train"):
            subprocess.run(
                [sys.executable, "-m", "ml_backend", command, "--project", str(place.project)],
                env=variables,
                cwd=folder,
                timeout=LIMIT_S,
                check=True,
            )
        yield server
    finally:
        server.stop()


def _consensus(variables: dict[str, str], *words: str) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "consensus.cli", *words],
        env=os.environ | variables,
        cwd=Path(variables["XDG_DATA_HOME"]).parent,
        capture_output=True,
        text=True,
        timeout=LIMIT_S,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr


def draw_shapes(folder: Path) -> None:
    """Draw the images; the name of each begins with what it shows, its folder is what it is given as."""
    random = np.random.default_rng(0)
    for number, kind in enumerate(KINDS):
        for place in range(EACH):
            given = KINDS[(number + (place < WRONG)) % len(KINDS)]
            image = Image.new("RGB", (200, 160), tuple(random.integers(205, 235, 3).tolist()))
            _draw(ImageDraw.Draw(image), kind, random)
            (folder / given).mkdir(parents=True, exist_ok=True)
            image.save(folder / given / f"{kind}-{place}.png")


def _draw(pen: ImageDraw.ImageDraw, kind: str, random: np.random.Generator) -> None:
    x, y, radius = random.integers((60, 60, 25), (140, 100, 50)).tolist()
    color = tuple(random.integers(20, 160, 3).tolist())
    box = (x - radius, y - radius, x + radius, y + radius)
    match kind:
        case "circle":
            pen.ellipse(box, fill=color)
        case "ring":
            pen.ellipse(box, outline=color, width=9)
        case "square":
            pen.rectangle(box, fill=color)
        case _:
            pen.regular_polygon((x, y, radius), 3, fill=color)


def _vote(administrator: Administrator, project: int, tokens: list[str]) -> None:
    """Let each person say what is shown; let a model suggest it for all images, surer of some than of others."""
    tasks = {row["id"]: Path(row["data"]["source"]) for row in administrator.whole_tasks(project)}
    shown = {task: path.name.split("-")[0] for task, path in tasks.items()}
    unvoted = {task for task, path in tasks.items() if int(path.stem.split("-")[1]) >= EACH - UNVOTED}
    for token in tokens:
        with Administrator(administrator.url, token) as annotator:
            for task in sorted(tasks.keys() - unvoted):
                annotator.annotate(task, region(shown[task]))
    suggestions = [
        {"task": task, "model_version": MODEL, "score": 0.99 - 0.01 * place, "result": [region(shown[task])]}
        for place, task in enumerate(sorted(tasks))
    ]
    assert administrator.import_predictions(project, suggestions) == len(tasks)
    administrator.ask("PATCH", f"/api/projects/{project}/", json={"model_version": MODEL})


def region(label: str) -> dict[str, Any]:
    """Return a region that chooses a label."""
    return {"from_name": "label", "to_name": "image", "type": "choices", "value": {"choices": [label]}}
