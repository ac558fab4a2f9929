"""What a real Label Studio keeps of a suggestion, on each of the ways that one reaches it."""

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from ml_backend.core.controls import Control
from ml_backend.core.suggestions import suggestion

if TYPE_CHECKING:
    from conftest import RunningLabelStudio

pytestmark = pytest.mark.server

VERSION = "resnet18-random-20260131T120000-00aa"
CONFIG = """<View><Image name="image" value="$image"/>
<Choices name="kind" toName="image"><Choice value="cat"/><Choice value="dog"/><Choice value="owl"/></Choices>
<Choices name="traits" toName="image" choice="multiple"><Choice value="old"/><Choice value="wet"/></Choices>
</View>"""
KIND = Control("kind", "image", ("cat", "dog", "owl"), multiple=False, image_key="image")
TRAITS = Control("traits", "image", ("old", "wet"), multiple=True, image_key="image")


def suggested(task_id: int) -> dict[str, Any]:
    """A suggestion with alternatives, whose multiple choice is not in the order of the config."""
    scored = [(KIND, np.array([0.25, 0.625, 0.125])), (TRAITS, np.array([0.75, 0.875]))]
    made = suggestion(scored, task_id=task_id, model_version=VERSION)
    assert made is not None
    return made


@contextmanager
def answering() -> Iterator[str]:
    """The address of a backend that knows nothing but ``suggested``."""

    class Backend(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self._answer({"status": "UP"})

        def do_POST(self) -> None:
            body = json.loads(self.rfile.read(int(self.headers["content-length"])))
            if self.path == "/predict":
                self._answer({"results": [suggested(task["id"]) for task in body["tasks"]]})
            else:
                self._answer({"model_version": VERSION})

        def _answer(self, body: dict[str, Any]) -> None:
            packed = json.dumps(body).encode()
            self.send_response(200)
            self.send_header("content-type", "application/json")
            self.send_header("content-length", str(len(packed)))
            self.end_headers()
            self.wfile.write(packed)

        def log_message(self, *_: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Backend) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()


def test_nothing_of_a_suggestion_is_lost(label_studio: "RunningLabelStudio") -> None:
    """Imported, asked for by Label Studio, or accepted as an annotation: order, scores and alternatives stay."""
    admin = label_studio.administrator
    project = admin.create_project(CONFIG)
    admin.import_tasks(project, [{"image": "/data/a.png"}, {"image": "/data/b.png"}])
    imported, asked = admin.task_ids(project)
    assert admin.import_predictions(project, [{"task": imported, **suggested(imported)}]) == 1
    with answering() as url:
        admin.add_connection(project, url, VERSION, None)
        admin.act(project, "retrieve_tasks_predictions", [asked])
    admin.act(project, "predictions_to_annotations", [imported, asked], model_version=VERSION)
    for task_id in (imported, asked):
        task = admin.ask("GET", f"/api/tasks/{task_id}")
        [prediction], [annotation] = task["predictions"], task["annotations"]
        assert {name: prediction[name] for name in ("result", "score", "model_version")} == suggested(task_id)
        assert annotation["result"] == suggested(task_id)["result"]
