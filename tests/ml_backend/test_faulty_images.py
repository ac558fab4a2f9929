"""Faulty images cost no other task its suggestion: with ``ml-backend serve`` alone, and in a real Label Studio."""

import dataclasses
import io
import os
import re
import subprocess
import sys
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from pathlib import Path
from typing import TYPE_CHECKING

import httpx
import numpy as np
import pytest
from faulty_web import FAULTS, FaultyWeb, faulty_web, gzipped, page
from in_memory_label_studio import region
from PIL import Image
from running_backend import RunningBackend, share_engines

from common.label_studio.suggestions import as_chosen
from ml_backend.core.model import Evidence, fit_model
from ml_backend.embedding.backbones import Backbones
from ml_backend.images.decoding import decode
from ml_backend.model_registry import ModelRegistry
from ml_backend.settings import Settings

if TYPE_CHECKING:
    from conftest import RunningLabelStudio, Samples

Serve = Callable[..., AbstractContextManager[RunningBackend]]

pytestmark = pytest.mark.server

GROWTH_MB = 20  # that two more rounds of the same faults may add to the worker; 5 were seen
GROWTH_THREADS = 2


def file(image: Image.Image, kind: str, **options: object) -> bytes:
    """The file of a picture."""
    made = io.BytesIO()
    image.save(made, kind, **options)
    return made.getvalue()


def picture(number: int) -> Image.Image:
    """Dark if the number is even, else light; no two are alike."""
    noise = np.random.default_rng(number).integers(0, 40, (32, 32, 3), dtype=np.uint8)
    return Image.fromarray(noise if number % 2 == 0 else 255 - noise)


def unusual() -> dict[str, bytes]:
    """Files that are rare, and pictures all the same; all are light."""
    light, grey = picture(1), np.full((32, 32), 60_000, dtype=np.uint16)
    frames = {"save_all": True, "append_images": [picture(3), picture(5)]}
    return {
        "/animated.gif": file(light, "GIF", **frames),
        "/animated.webp": file(light, "WEBP", **frames),
        "/animated.png": file(light, "PNG", **frames),
        "/cmyk.jpg": file(light.convert("CMYK"), "JPEG"),
        "/16-bits.png": file(Image.fromarray(grey), "PNG"),
        "/16-bits.tif": file(Image.fromarray(grey), "TIFF"),
    }


def broken() -> dict[str, tuple[bytes, str]]:
    """Files that are no pictures, or too much of one, and the reasons."""
    jpeg = file(picture(1).resize((320, 320)), "JPEG")
    return {
        "/half.png": (file(picture(1), "PNG")[:1000], "truncated"),
        "/half.jpg": (jpeg[: len(jpeg) // 2], "truncated"),
        "/100-megapixels.png": (file(Image.new("1", (10_000, 10_000)), "PNG"), "too_many_pixels"),
    }


def faults(web: FaultyWeb) -> list[tuple[object, str]]:
    """What tasks may hold in place of an address of a picture, and the reasons."""
    return [
        *((web.url + path, why) for path, (_, why) in FAULTS.items()),
        *((web.url + path, why) for path, (_, why) in broken().items()),
        (web.url + "/not-there.png", "missing"),
        ("http://127.0.0.1:9/a.png", "unreachable"),
        ("http://10.0.0.1/a.png", "private_address"),
        ("http://169.254.169.254/latest/meta-data/", "private_address"),
        ("http://[::ffff:127.0.0.2]/a.png", "private_address"),
        ("http://[::1]/a.png", "private_address"),
        ("https://images.example/a.png", "unknown_host"),
        ("http://bücher.invalid/a.png", "unknown_host"),
        ("file:///etc/passwd", "unsupported_url"),
        ("ftp://127.0.0.1/a.png", "unsupported_url"),
        ("data:image/png;base64,iVBORw0KGgo=", "data_url"),
        ("http://１２７.0.0.1/a.png", "unsupported_url"),  # noqa: RUF001 - digits that only look like 127
        ("http://user:password@127.0.0.1/a.png", "password_in_url"),
        ("http://127.0.0.1/" + "a" * 20_000, "url_too_long"),
        ("/data/upload/1/a.png", "not_configured"),
        ("s3://bucket/a.png", "not_configured"),
        ("", "no_url"),
        (None, "no_url"),
        (["http://127.0.0.1/a.png"], "no_url"),
    ]


@pytest.fixture
def web() -> Iterator[FaultyWeb]:
    """A server of faults and of pictures."""
    with faulty_web() as made:
        made.pages |= {f"/{number}.png": page(file(picture(number), "PNG")) for number in range(60)}
        made.pages |= {path: page(body) for path, body in unusual().items()}
        made.pages |= {path: page(body) for path, (body, _) in broken().items()}
        made.pages["/packed.png"] = gzipped(file(picture(1), "PNG"))
        yield made


def train(data_dir: Path, samples: "Samples", project_id: int) -> str:
    """Make the model of a project that has learnt dark and light, of rare files as well; give its version."""
    base = Backbones(Settings.model_validate({"data_dir": data_dir, "weights": "random"})).preferred()
    files = [*(file(picture(number), "PNG") for number in range(16)), *unusual().values()]
    prepared = [base.prepare(decode(body)) for body in files]
    embedder = base.calibrate(prepared)
    is_light = [number % 2 == 1 or number >= 16 for number in range(len(files))]  # the rare ones are
    shares = np.array([[not light, light] for light in is_light], dtype=np.float32)
    made = dataclasses.replace(
        samples.trained(),
        embedding_key=embedder.key,
        calibration=embedder.calibration,
        model=fit_model(embedder.embed(prepared), [Evidence(samples.kind, np.arange(len(files)), shares)]),
    )
    ModelRegistry(data_dir).save(project_id, made)
    ModelRegistry(data_dir).switch(project_id, made.model_version)
    return made.model_version


def test_each_task_gets_what_it_deserves(
    web: FaultyWeb, samples: "Samples", tmp_path: Path, serve_backend: Serve
) -> None:
    """Between all faults at once every picture is answered, and more rounds leave nothing behind in the worker."""
    share_engines(tmp_path / "backend")
    version = train(tmp_path / "backend", samples, 7)
    wrong = faults(web)
    right = [(f"{web.url}/{number}.png", "light" if number % 2 else "dark") for number in range(60)]
    right += [(web.url + path, "light") for path in (*unusual(), "/packed.png")]
    expected: list[tuple[object, str | None]] = []
    for position in range(max(len(wrong), len(right))):  # mixed, so that each picture has faults on both sides
        expected += [(url, None) for url, _ in wrong[position : position + 1]]
        expected += right[position : position + 1]
    tasks = [{"id": number, "data": {"image": url}} for number, (url, _) in enumerate(expected)]
    body = {"tasks": tasks, "project": "7.1", "label_config": samples.config}
    environment = {
        "ML_BACKEND_IMAGE_HOSTS": f"127.0.0.1:{web.port},127.0.0.1:9,*",
        "ML_BACKEND_FETCH_TIMEOUT_S": "2",
        "ML_BACKEND_MAX_IMAGE_BYTES": "1000000",
    }
    with serve_backend(workers=1, **environment) as backend:
        memory, threads = [], []
        for _ in range(3):
            answer = httpx.post(backend.url + "/predict", json=body, timeout=50)
            assert answer.status_code == httpx.codes.OK, backend.log
            results = answer.json()["results"]
            suggested = [
                as_chosen(entry["result"])[0]["value"]["choices"][0] if entry else None for entry in results
            ]
            assert suggested == [kind for _, kind in expected]
            assert {entry["model_version"] for entry in results if entry} == {version}
            memory.append(worker(backend, "VmRSS"))
            threads.append(worker(backend, "Threads"))
        assert counted(httpx.get(backend.url + "/metrics", timeout=30).text) == {
            re.sub(r"http_(\d)\d\d", r"http_\1xx", reason): 3 * count
            for reason, count in Counter(reason for _, reason in wrong).items()
        }
        assert memory[-1] - memory[0] < GROWTH_MB * 1024, memory
        assert threads[-1] - threads[0] <= GROWTH_THREADS, threads
    assert "Traceback" not in backend.log


def test_label_studio_stores_all_that_can_be_suggested(
    label_studio: "RunningLabelStudio", samples: "Samples", tmp_path: Path, serve_backend: Serve, own_weights: Path
) -> None:
    """Broken images and private addresses in a project cost "Retrieve predictions" no other prediction."""
    admin = label_studio.administrator
    project = admin.create_project(samples.config)
    uploads = {f"{number}.png": file(picture(number), "PNG") for number in range(12)}
    wrong = {path[1:]: body for path, (body, _) in broken().items()}
    wrong |= {"login.png": b"<!DOCTYPE html><title>Log in</title>", "drawing.svg": b"<svg xmlns='http://x'/>"}
    outside = ["http://127.0.0.1:9/a.png", "http://169.254.169.254/latest/meta-data/", "/data/upload/1/gone.png"]
    admin.upload(project, uploads | wrong, make_tasks=True)
    admin.import_tasks(project, [{"image": url} for url in outside])
    addresses = {task["id"]: task["data"]["image"] for task in admin.tasks(project, "id,data")}
    named = {task: url if url in outside else url.split("-", 1)[1] for task, url in addresses.items()}
    assert Counter(named.values()) == Counter([*uploads, *wrong, *outside])
    for task, name in named.items():
        if name in {f"{number}.png" for number in range(8)}:
            admin.annotate(task, region("kind", "light" if int(name[0]) % 2 else "dark"))
    environment = {
        "LABEL_STUDIO_URL": label_studio.url,
        "LABEL_STUDIO_API_KEY": label_studio.api_key,
        "ML_BACKEND_PUBLISH_PREDICTIONS": "false",
        "ML_BACKEND_WEIGHTS": str(own_weights),
        "ML_BACKEND_DATA_DIR": str(tmp_path / "backend"),
    }
    with serve_backend(workers=1, **environment) as backend:
        trained = subprocess.run(
            [sys.executable, "-m", "ml_backend", "train", "--project", str(project)],
            env=os.environ | environment,
            capture_output=True,
            text=True,
            timeout=300,
            check=False,
        )
        assert trained.returncode == 0, trained.stderr
        admin.add_connection(project, backend.url, "suggestions", None)
        admin.act(project, "retrieve_tasks_predictions")
        failed = counted(httpx.get(backend.url + "/metrics", timeout=30).text)
    stored = {
        named[task["id"]]: [as_chosen(row["result"])[0]["value"]["choices"][0] for row in task["predictions"]]
        for task in admin.whole_tasks(project)
    }
    numbered = {f"{number}.png": ["light" if number % 2 else "dark"] for number in range(12)}
    assert stored == numbered | {name: [] for name in (*wrong, *outside)}
    assert failed == {
        "truncated": 2,
        "too_many_pixels": 1,
        "html_page": 1,
        "svg": 1,
        "private_address": 2,
        "http_5xx": 1,
    }


def worker(backend: RunningBackend, field: str) -> int:
    """A number of the only worker's status: kilobytes or threads."""
    [pid] = Path(f"/proc/{backend.pid}/task/{backend.pid}/children").read_text(encoding="utf-8").split()
    status = Path(f"/proc/{pid}/status").read_text(encoding="utf-8")
    return int(re.findall(rf"^{field}:\s+(\d+)", status, re.MULTILINE)[0])


def counted(metrics: str) -> dict[str, float]:
    """The failures of tasks by reason."""
    counts = re.findall(r'^ml_backend_task_failures_total\{reason="(\w+)"\} (\S+)$', metrics, re.MULTILINE)
    return {reason: float(count) for reason, count in counts}
