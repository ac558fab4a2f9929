"""The reverse proxy of docker compose: a real nginx with its files, before a server that says what it was sent."""

import contextlib
import getpass
import json
import os
import shutil
import socket
import ssl
import subprocess
import threading
import time
from collections.abc import Iterator
from http.client import HTTPConnection
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import httpx
import pytest

pytestmark = pytest.mark.server
CERTIFICATE = (
    "openssl req -x509 -newkey rsa:2048 -nodes -subj /CN=localhost "
    "-keyout certificates/privkey.pem -out certificates/fullchain.pem"
)
FILES = Path(__file__).parents[1] / "scripts" / "nginx"


class Upstream(BaseHTTPRequestHandler):
    """Answers with the path, the headers and the size of the body, once it has all of it."""

    def do_POST(self) -> None:
        size = len(self.rfile.read(int(self.headers.get("Content-Length", 0))))
        body = json.dumps({"path": self.path, "headers": dict(self.headers), "size": size}).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    do_GET = do_POST  # noqa: N815 - as above

    def log_message(self, *_: object) -> None:
        """Keep the output of the tests clean."""


def free_port() -> int:
    """A port that nobody has now."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return int(free.getsockname()[1])


class Nginx:
    """Both servers of the stack in one, with addresses of this machine."""

    def __init__(self, nginx: str, folder: Path, upstream: int, silent: int) -> None:
        self.http, self.https, self.health = free_port(), free_port(), free_port()
        for name in ("conf.d", "locations", "certificates", "cache"):
            (folder / name).mkdir()
        subprocess.run(
            CERTIFICATE.split(),
            cwd=folder,
            check=True,
            capture_output=True,
        )
        redirected = free_port()
        changes = {
            "/etc/nginx/mime.types": "/dev/null",
            "/etc/nginx/": f"{folder}/",
            "/var/cache/nginx/": f"{folder}/cache/",
            "/tmp/nginx.pid": f"{folder}/pid",
            "user nginx;": f"user {getpass.getuser()};\ndaemon off;",
            "127.0.0.1:8081": f"127.0.0.1:{self.health}",
            "http://label-studio:8080": f"http://127.0.0.1:{upstream}",
            "http://consensus-api:9091/;": f"http://127.0.0.1:{silent}/;",
            "http://consensus-api:9091": f"http://127.0.0.1:{upstream}",
        }
        listening = {"proxy.conf": {"listen 8080": f"listen 127.0.0.1:{self.http}"}}
        listening["proxy-tls.conf"] = {
            "listen 8080": f"listen 127.0.0.1:{redirected}",
            "listen 8443": f"listen 127.0.0.1:{self.https}",
        }
        self.redirected = redirected
        for source, target in (
            ("nginx.conf", "nginx.conf"),
            ("proxy.conf", "conf.d/proxy.conf"),
            ("proxy-tls.conf", "conf.d/proxy-tls.conf"),
            ("locations/suite.conf", "locations/suite.conf"),
        ):
            text = (FILES / source).read_text(encoding="utf-8")
            for before, after in {**changes, **listening.get(source, {})}.items():
                text = text.replace(before, after)
            (folder / target).write_text(text, encoding="utf-8")
        self.errors = folder / "errors"
        with self.errors.open("w") as log:
            self.process = subprocess.Popen(
                [nginx, "-p", str(folder), "-e", "stderr", "-c", str(folder / "nginx.conf")], stderr=log
            )

    def wait(self) -> None:
        """Until the health check of docker compose passes."""
        for _ in range(300):
            with contextlib.suppress(httpx.TransportError):
                if httpx.get(f"http://127.0.0.1:{self.health}/").status_code == 204:
                    return
            time.sleep(0.1)
        raise AssertionError(self.errors.read_text())


@pytest.fixture(scope="module")
def nginx(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Nginx]:
    """One before a server that answers and a port where nobody does."""
    program = shutil.which("nginx", path=f"{os.environ['PATH']}:/usr/sbin")
    if program is None:
        pytest.skip("no nginx on the PATH")
    server = ThreadingHTTPServer(("127.0.0.1", 0), Upstream)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    started = Nginx(program, tmp_path_factory.mktemp("nginx"), server.server_address[1], free_port())
    try:
        started.wait()
        yield started
    finally:
        started.process.terminate()
        started.process.wait(30)
        server.shutdown()
        server.server_close()


@pytest.mark.parametrize("tls", [False, True])
def test_services_learn_how_they_were_asked(nginx: Nginx, tls: bool) -> None:  # noqa: FBT001
    """Host, scheme and address are the client's own, whatever it claims; TLS alone promises to stay."""
    base = f"https://127.0.0.1:{nginx.https}" if tls else f"http://127.0.0.1:{nginx.http}"
    claims = {"Host": "labels.example.org", "X-Forwarded-For": "10.9.8.7", "X-Forwarded-Proto": "ftp"}
    answer = httpx.get(f"{base}/projects/?page=2", headers=claims, verify=not tls)
    sent = answer.json()
    headers = {name.lower(): value for name, value in sent["headers"].items()}
    assert sent["path"] == "/projects/?page=2"
    assert (headers["host"], headers["x-forwarded-for"]) == ("labels.example.org", "127.0.0.1")
    assert headers["x-forwarded-proto"] == ("https" if tls else "http")
    assert answer.headers.get("Strict-Transport-Security") == ("max-age=31536000" if tls else None)
    assert answer.headers["Server"] == "nginx"  # without its release


def test_a_file_of_250_mib_passes_and_no_endless_one(nginx: Nginx) -> None:
    """Label Studio's own limit counts, not the proxy's."""
    size, limit = 251 * 2**20, 300 * 2**20
    with contextlib.closing(HTTPConnection("127.0.0.1", nginx.http, timeout=80)) as connection:
        connection.request("POST", "/api/projects/1/import", body=bytes(size))
        assert json.loads(connection.getresponse().read())["size"] == size
    with contextlib.closing(HTTPConnection("127.0.0.1", nginx.http, timeout=80)) as connection:
        connection.request("POST", "/", headers={"Content-Length": str(limit + 1)})
        assert connection.getresponse().status == 413


def test_the_console_keeps_its_path(nginx: Nginx) -> None:
    """It knows its own prefix; without the last slash one is led there, by the address that was used."""
    base = f"http://127.0.0.1:{nginx.http}"
    assert httpx.get(f"{base}/consensus/reports?x=1").json()["path"] == "/consensus/reports?x=1"
    led = httpx.get(f"{base}/consensus")
    assert (led.status_code, led.headers["Location"]) == (301, "/consensus/")


def test_a_service_that_does_not_run_is_named(nginx: Nginx) -> None:
    """A sentence for people, and a status for programs."""
    answer = httpx.get(f"http://127.0.0.1:{nginx.http}/consensus-api/health")
    assert (answer.status_code, "docker compose ps" in answer.text) == (502, True)


def test_plain_http_of_other_machines_leads_to_tls(nginx: Nginx) -> None:
    """And TLS before 1.2 is refused."""
    led = httpx.get(f"http://127.0.0.1:{nginx.redirected}/tasks?id=1", headers={"Host": "labels.example.org"})
    assert (led.status_code, led.headers["Location"]) == (301, "https://labels.example.org/tasks?id=1")
    old = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    old.check_hostname, old.verify_mode = False, ssl.CERT_NONE
    old.maximum_version = ssl.TLSVersion.TLSv1_2
    with socket.create_connection(("127.0.0.1", nginx.https)) as raw, old.wrap_socket(raw) as connection:
        assert connection.version() == "TLSv1.2"
