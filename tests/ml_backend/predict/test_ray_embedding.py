"""Embeddings by the workers of a Ray cluster on this machine, beside those of this program."""

import threading
import warnings
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from running_backend import share_engines

from ml_backend.backend import Backend
from ml_backend.core.identity import Identity
from ml_backend.embedding.gather import ImageRef
from ml_backend.predict.bulk import embed_here
from ml_backend.predict.ray_embedding import PART, embed_on_ray
from ml_backend.settings import Settings

if TYPE_CHECKING:
    from conftest import Samples

pytestmark = [pytest.mark.server, pytest.mark.slow]
KEY = "resnet18:random-0"
COUNT = PART + 6  # two parts
ARTIFACT: Any = SimpleNamespace(identity=Identity("resnet18", "random"), embedding_key=KEY)


@pytest.fixture
def pictures(samples: "Samples") -> Iterator[str]:
    """Serves pictures of sixteen greys; yields the address of the server."""
    files = {f"/{grey}.png": samples.png(f"rgb({grey * 16},{grey * 16},{grey * 16})") for grey in range(16)}

    class Answer(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            body = files.get(self.path)
            self.send_response(404 if body is None else 200)
            self.send_header("Content-Length", str(len(body or b"")))
            self.end_headers()
            self.wfile.write(body or b"")

        def log_message(self, *_: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Answer) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()
        thread.join()


@pytest.fixture
def cluster() -> Iterator[ModuleType]:
    """Ray, which is ended after the test."""
    ray = pytest.importorskip("ray", reason="Ray is not installed")
    yield ray
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        ray.shutdown()


def backend(folder: Path) -> Backend:
    """A backend that may fetch from this machine."""
    return Backend(
        Settings.model_validate(
            {"data_dir": folder, "weights": "random", "image_hosts": "127.0.0.1", "torch_threads": 1}
        )
    )


def test_the_cluster_finds_what_this_program_finds(pictures: str, cluster: ModuleType, tmp_path: Path) -> None:
    """The same vectors to 1e-4 and the same failures, in the cache afterwards, so that nobody is asked twice."""
    refs = [ImageRef(task, "image", f"{pictures}/{task % 16}.png") for task in range(COUNT)]
    refs += [ImageRef(COUNT, "image", f"{pictures}/none.png"), ImageRef(COUNT + 1, "image", None)]
    share_engines(tmp_path / "here")
    here = backend(tmp_path / "here")
    expected = embed_here(here.gatherer, here.backbones, 120)(refs, ARTIFACT, 7, lambda _: None)
    here.close()
    for file in (tmp_path / "here").glob("embeddings.sqlite*"):  # the engine stays
        file.unlink()

    advanced: list[int] = []
    asking = backend(tmp_path / "here")
    embed = embed_on_ray(asking.settings, asking.backbones)
    gathered = embed(refs, ARTIFACT, 7, advanced.append)
    assert gathered.failures == expected.failures
    assert gathered.failures == {refs[COUNT]: "missing", refs[COUNT + 1]: "no_url"}
    assert gathered.vectors.keys() == expected.vectors.keys()
    for ref, vector in gathered.vectors.items():
        np.testing.assert_allclose(vector, expected.vectors[ref], atol=1e-4)
    assert sum(advanced) == len(refs)

    cluster.shutdown()
    again = embed(refs[:COUNT], ARTIFACT, 7, lambda _: None)
    assert again.embedded == 0
    assert len(again.vectors) == COUNT
    asking.close()
