"""The served backend under strain: slow networks and clients, broken HTTP, killed workers, a sudden stop."""

import concurrent.futures
import contextlib
import getpass
import json
import os
import re
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import httpx
import pytest
from running_backend import RunningBackend, eventually, running

from common.label_studio.suggestions import as_chosen
from ml_backend.model_registry import ModelRegistry

if TYPE_CHECKING:
    from conftest import Samples

pytestmark = [pytest.mark.server, pytest.mark.slow]

HEALTH_S = 1.0  # for which Label Studio waits
SLOW = (str(Path(__file__).with_name("slow_backend.py")), "serve")
SECRET = "s3cr3t"
PROXY = Path(__file__).parents[2] / "scripts" / "ml-backend-proxy.conf"


@contextmanager
def slow_backend(folder: Path, samples: "Samples", **environment: str) -> Iterator[RunningBackend]:
    """One worker with a trained project, images on disk and a slow network."""
    registry = ModelRegistry(folder / "backend")
    registry.save(7, samples.trained())
    registry.switch(7, samples.version)
    (folder / "images").mkdir()
    for number in range(40):
        (folder / "images" / f"{number}.png").write_bytes(samples.png(size=(8, number + 1)))
    given = {"LABEL_STUDIO_URL": "http://127.0.0.1:9", "ML_BACKEND_LOCAL_FILES_DIR": str(folder / "images")}
    with running(folder, workers=1, command=SLOW, **given, **environment) as backend:
        yield backend


@pytest.fixture(scope="module")
def slow(tmp_path_factory: pytest.TempPathFactory, samples: "Samples") -> Iterator[RunningBackend]:
    """Such a backend for all tests that leave it as it was."""
    with slow_backend(tmp_path_factory.mktemp("slow"), samples, ML_BACKEND_MAX_REQUEST_BYTES="100000") as backend:
        yield backend


def ask(url: str, config: str, numbers: list[int]) -> list[Any]:
    """The predictions for images on disk."""
    tasks = [{"id": number + 1, "data": {"image": f"/data/local-files/?d={number}.png"}} for number in numbers]
    body = {"project": "7.1", "tasks": tasks, "label_config": config}
    answer = httpx.post(url + "/predict", json=body, timeout=60)
    assert answer.status_code == 200
    results: list[Any] = answer.json()["results"]
    return results


def test_health_answers_while_eight_requests_are_embedding(slow: RunningBackend, samples: "Samples") -> None:
    """With eight slow predictions in the only worker, what Label Studio asks first is answered in its second."""
    with concurrent.futures.ThreadPoolExecutor(8) as pool:
        asked = [pool.submit(ask, slow.url, samples.config, [number]) for number in range(8)]
        answered = 0
        while not all(answer.done() for answer in asked):
            assert httpx.get(slow.url + "/health", timeout=HEALTH_S).json()["status"] == "UP"
            setup = httpx.post(slow.url + "/setup", json={"project": "7.1"}, timeout=3)
            assert setup.json() == {"model_version": samples.version}
            event = {"action": "PROJECT_CREATED", "project": {"id": 7}}
            assert httpx.post(slow.url + "/webhook", json=event, timeout=HEALTH_S).status_code == 200
            answered += 1
        assert answered >= 3
        assert [
            as_chosen(entry["result"])[0]["value"]["choices"] for answer in asked for entry in answer.result()
        ] == [["dark"]] * 8


def connect(url: str) -> socket.socket:
    """A connection without a library between us and the bytes."""
    address = httpx.URL(url)
    return socket.create_connection((address.host, address.port or 80), timeout=20)


def received(connection: socket.socket) -> bytes:
    """All that comes until the other side closes."""
    body = b""
    with connection:
        try:
            while part := connection.recv(65536):
                body += part
        except ConnectionResetError:
            pass
    return body


@pytest.fixture(scope="module")
def proxied(slow: RunningBackend, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address of the same backend behind nginx with the file of docker-compose.yml."""
    nginx = shutil.which("nginx", path=f"{os.environ['PATH']}:/usr/sbin")
    if nginx is None:
        pytest.skip("no nginx on the PATH")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        address = f"127.0.0.1:{free.getsockname()[1]}"
    folder = tmp_path_factory.mktemp("nginx")
    text = PROXY.read_text(encoding="utf-8")
    assert text.count("listen 9090;") == text.count("http://ml-backend:9090;") == 1
    ours = text.replace("listen 9090;", f"listen {address};").replace("http://ml-backend:9090;", f"{slow.url};")
    (folder / "proxy.conf").write_text(ours, encoding="utf-8")
    kept = "".join(
        f"{name}_temp_path {folder}/{name};\n" for name in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
    )
    (folder / "nginx.conf").write_text(
        f"user {getpass.getuser()};\ndaemon off;\npid {folder}/pid;\nevents {{}}\n"
        f"http {{\n{kept}include {folder}/proxy.conf;\n}}\n",
        encoding="utf-8",
    )
    with (folder / "log").open("w") as log:
        proxy = subprocess.Popen(
            [nginx, "-p", str(folder), "-e", str(folder / "errors"), "-c", str(folder / "nginx.conf")],
            stdout=log,
            stderr=log,
        )
        try:
            assert eventually(lambda: answers_in_time(f"http://{address}"), 30), (folder / "log").read_text()
            yield f"http://{address}"
        finally:
            proxy.terminate()
            proxy.wait(30)


SLOW_HEAD = b"POST /setup HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: 100\r\n"


def test_slow_clients_block_nobody_behind_the_proxy(proxied: str) -> None:
    """Connections, more than there are threads, that send nothing or a byte now and then hold up nobody."""
    idle, slow_heads, slow_bodies = ([connect(proxied) for _ in range(40)] for _ in range(3))
    for client in slow_heads:
        client.sendall(SLOW_HEAD)
    for client in slow_bodies:
        client.sendall(SLOW_HEAD + b"\r\n")
    for _ in range(30):
        for client in slow_heads + slow_bodies:
            with contextlib.suppress(OSError):  # the proxy has ended it
                client.sendall(b" ")
        assert answers_in_time(proxied)
        time.sleep(0.25)
    for client in idle + slow_heads + slow_bodies:
        client.close()


def test_clients_that_take_no_answer_block_nobody_behind_the_proxy(proxied: str) -> None:
    """More clients than threads ask again and again without reading: the others are answered all the same."""
    deaf = [connect(proxied) for _ in range(40)]
    for client in deaf:
        client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        client.sendall(b"GET /openapi.json HTTP/1.1\r\nHost: x\r\n\r\n" * 1000)
    assert eventually(lambda: answers_in_time(proxied), 20)
    assert all(answers_in_time(proxied) for _ in range(10))
    for client in deaf:
        client.close()


def test_the_proxy_leaves_requests_and_answers_as_they_are(proxied: str, samples: "Samples") -> None:
    """A prediction comes through, and a refusal keeps its status and its JSON."""
    [entry] = ask(proxied, samples.config, [0])
    assert as_chosen(entry["result"])[0]["value"]["choices"] == ["dark"]
    for body, status in ((b"{", 400), (b" " * 150_000, 413)):
        answer = httpx.post(proxied + "/setup", content=body, headers={"Content-Type": "application/json"})
        assert (answer.status_code, set(answer.json())) == (status, {"error"})


def test_without_a_proxy_idle_connections_hold_up_others_for_seconds_only(slow: RunningBackend) -> None:
    """Of connections that send nothing, gunicorn takes its threads back."""
    idle = [connect(slow.url) for _ in range(40)]
    assert eventually(lambda: answers_in_time(slow.url), 20)
    for client in idle:
        client.close()


def answers_in_time(url: str) -> bool:
    """Whether the health page answers while Label Studio would wait."""
    try:
        return httpx.get(url + "/health", timeout=HEALTH_S).status_code == 200
    except httpx.TimeoutException:
        return False


def chunked(*chunks: bytes) -> bytes:
    """A request to /setup whose body comes in chunks, as they are given."""
    head = (
        b"POST /setup HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n"
    )
    return head + b"".join(chunks)


ODD = {
    "no HTTP": b"s3cr3t\r\n\r\n",
    "a strange method": b"s3cr3t!@ / HTTP/1.1\r\n\r\n",
    "a strange version": b"GET /s3cr3t HTTP/9.9\r\nHost: x\r\n\r\n",
    "a long line": b"GET /" + b"s3cr3t" * 2000 + b" HTTP/1.1\r\nHost: x\r\n\r\n",
    "a long header": b"GET / HTTP/1.1\r\nX-Token: " + b"s3cr3t" * 20_000 + b"\r\n\r\n",
    "many headers": b"GET / HTTP/1.1\r\n" + b"X: s3cr3t\r\n" * 200 + b"\r\n",
    "a header without a name": b"GET / HTTP/1.1\r\n: s3cr3t\r\n\r\n",
    "a header without a colon": b"GET / HTTP/1.1\r\ns3cr3t\r\n\r\n",
    "an odd header name": b"GET / HTTP/1.1\r\nX s3cr3t: 1\r\n\r\n",
    "a NUL": b"GET / HTTP/1.1\r\nX: s3cr3t\x00\r\n\r\n",
    "a length below zero": b"POST /setup HTTP/1.1\r\nHost: x\r\nContent-Length: -1\r\n\r\n",
    "a length of words": b"POST /setup HTTP/1.1\r\nHost: x\r\nContent-Length: s3cr3t\r\n\r\n",
    "two lengths": b"POST /setup HTTP/1.1\r\nContent-Length: 2\r\nContent-Length: 3\r\n\r\n{}",
    "a length and chunks": b"POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\nContent-Length: 2\r\n\r\n0\r\n\r\n",
    "an unknown coding": b"POST /setup HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: s3cr3t\r\n\r\n",
    "a wish": b"POST /setup HTTP/1.1\r\nHost: x\r\nExpect: s3cr3t\r\nContent-Length: 2\r\n\r\n{}",
    "a chunk of no size": chunked(b"s3cr3t\r\n{}\r\n0\r\n\r\n"),
    "a chunk without an end": chunked(b"2\r\n{}s3cr3t"),
    "too much in chunks": chunked(*[b"ffff\r\n" + b" " * 0xFFFF + b"\r\n"] * 3, b"0\r\n\r\n"),
    "too much at once": b"POST /setup HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"
    b"Content-Length: 150000\r\n\r\n" + b" " * 150_000,
}


@pytest.mark.parametrize("name", ODD)
def test_broken_http_is_refused(slow: RunningBackend, name: str) -> None:
    """What is no HTTP gets gunicorn's page, what is no request of ours JSON, and neither a traceback."""
    connection = connect(slow.url)
    connection.sendall(ODD[name])
    answer = received(connection)
    head, _, body = answer.partition(b"\r\n\r\n")
    assert head.startswith((b"HTTP/1.1 4", b"HTTP/1.1 501")), answer
    if name.startswith("too much"):
        assert head.startswith(b"HTTP/1.1 413"), answer
    if b"Content-Type: application/json" in head:
        assert set(json.loads(body)) == {"error"}
        assert b"s3cr3t" not in answer
    assert b"Traceback" not in answer


def test_the_log_of_all_that_is_json_without_secrets(slow: RunningBackend) -> None:
    """After everything above, the log is JSON line by line and holds no part of a request."""
    log = slow.log
    assert SECRET not in log
    assert "Traceback" not in log
    events = [json.loads(line) for line in log.splitlines()]
    assert {"request_refused"} <= {event["event"] for event in events}
    assert "uncaught_error" not in log


def workers_of(backend: RunningBackend) -> list[int]:
    """The processes that answer."""
    children = Path(f"/proc/{backend.pid}/task/{backend.pid}/children").read_text(encoding="ascii")
    return [int(pid) for pid in children.split()]


def test_killed_workers_are_replaced_and_no_request_is_forgotten(tmp_path: Path) -> None:
    """Both workers are killed right after an event was accepted: new ones answer, and the training begins."""
    with running(tmp_path, ML_BACKEND_QUIET_S="3", ML_BACKEND_RECONCILE_S="0") as backend:
        event = {"action": "ANNOTATION_CREATED", "project": {"id": 7}}
        assert httpx.post(backend.url + "/webhook", json=event).json() == {"status": "training requested"}
        killed = workers_of(backend)
        assert len(killed) == 2
        for pid in killed:
            os.kill(pid, signal.SIGKILL)
        assert eventually(lambda: len(set(workers_of(backend)) - set(killed)) == 2, 30), backend.log
        assert eventually(lambda: httpx.get(backend.url + "/health", timeout=10).status_code == 200, 30)
        assert eventually(lambda: '"training_ended"' in backend.log, 60), backend.log
    assert "Traceback" not in backend.log
    assert all(line.startswith("{") for line in backend.log.splitlines()), backend.log


def test_a_stop_waits_for_answers_and_makes_them_complete(tmp_path: Path, samples: "Samples") -> None:
    """Told to end, the backend gives who waits an entry a task: suggestions as far as they are made by then."""
    with slow_backend(tmp_path, samples, ML_BACKEND_BATCH_SIZE="1") as backend:
        with concurrent.futures.ThreadPoolExecutor(1) as pool:
            asked = pool.submit(ask, backend.url, samples.config, list(range(40)))
            begun = re.compile(r"^ml_backend_batch_images_count [1-9]", re.MULTILINE)
            assert eventually(lambda: begun.search(httpx.get(backend.url + "/metrics", timeout=10).text), 20)
            os.kill(backend.pid, signal.SIGTERM)
            results = asked.result(timeout=14)
        assert len(results) == 40
        assert 1 <= sum(bool(entry) for entry in results) < 40
    assert "Traceback" not in backend.log
