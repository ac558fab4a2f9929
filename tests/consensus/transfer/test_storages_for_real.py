"""Images that a real Label Studio serves from a folder, and a storage of a bucket."""

from __future__ import annotations

import sys
import threading
from contextlib import ExitStack
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import TYPE_CHECKING

import httpx
import label_studio_server
import pytest
from administrator import Administrator

from consensus.errors import ConfigError
from consensus.transfer.failures import FailureLog
from consensus.transfer.import_options import ImportOptions
from consensus.transfer.importing import run_import
from consensus.transfer.sources.layouts import read_source
from consensus.transfer.sources.records import Reading, Record
from consensus.transfer.storages import LocalFiles, cloud_storage

sys.path.insert(0, str(Path(__file__).parent))
from made_images import make_folders

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = pytest.mark.server

LISTED = b"""<ListBucketResult xmlns="http://s3.amazonaws.com/doc/2006-03-01/"><Name>photos</Name>
<KeyCount>1</KeyCount><Contents><Key>q4/1.png</Key></Contents></ListBucketResult>"""


class Bucket(BaseHTTPRequestHandler):
    """Answers as S3 does where a bucket `photos` is there, and counts what is asked."""

    def do_HEAD(self) -> None:
        """Say that it is there."""
        self.send_response(200 if self.path.startswith("/photos") else 404)
        self.end_headers()

    def do_GET(self) -> None:
        """List one object."""
        self.send_response(200 if self.path.startswith("/photos") else 404)
        self.end_headers()
        self.wfile.write(LISTED)

    def log_message(self, *_: object) -> None:
        """Say nothing."""


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder that Label Studio serves."""
    return tmp_path_factory.mktemp("served")


@pytest.fixture(scope="module")
def studio(tmp_path_factory: pytest.TempPathFactory, root: Path) -> Iterator[Administrator]:
    """A Label Studio that serves local files."""
    served = {
        "LABEL_STUDIO_LOCAL_FILES_SERVING_ENABLED": "true",
        "LABEL_STUDIO_LOCAL_FILES_DOCUMENT_ROOT": str(root),
    }
    with ExitStack() as ending:
        running = label_studio_server.start(tmp_path_factory.mktemp("studio") / "base", extra=served)
        ending.callback(running.stop)
        yield ending.enter_context(Administrator(running.url, running.account.token))


def test_files_are_served_from_where_they_are(studio: Administrator, root: Path, tmp_path: Path) -> None:
    """Each task shows the bytes of its file; nothing is uploaded, nothing synced, and nothing made twice."""
    photos = make_folders(root / "my photos", 6)
    options = ImportOptions("Served photos", local_files=LocalFiles.of(str(root)))
    for sent in (6, 0):
        outcome = run_import(
            studio, read_source(photos, None), "photos", options, tmp_path / "imports", FailureLog(None)
        )
        assert (outcome.sent, outcome.left_out) == (sent, [])
    project = outcome.target.project_id or 0
    assert [storage.bucket for storage in studio.storages(project, ["localfiles"])] == [str(photos)]
    assert studio.uploads(project) == {}
    headers = {"Authorization": studio.authorization()}
    tasks = studio.whole_tasks(project)
    assert len(tasks) == 6
    for task in tasks:
        shown = httpx.get(f"{studio.url}{task['data']['image']}", headers=headers)
        assert shown.content == (photos / task["data"]["source"]).read_bytes()


def test_a_folder_that_is_not_served_is_refused(studio: Administrator, tmp_path: Path) -> None:
    """With Label Studio's words; no task is made."""
    photos = make_folders(tmp_path / "elsewhere" / "photos", 2)
    options = ImportOptions("Elsewhere", local_files=LocalFiles.of(str(tmp_path / "elsewhere")))
    with pytest.raises(
        ConfigError, match=r"Label Studio refuses the storage .*photos: .*LOCAL_FILES_DOCUMENT_ROOT"
    ):
        run_import(studio, read_source(photos, None), "photos", options, tmp_path / "i", FailureLog(None))


def test_a_storage_of_a_bucket(studio: Administrator, tmp_path: Path) -> None:
    """Label Studio tries it, keeps it, and answers with a signed address for an image of it."""
    with ThreadingHTTPServer(("127.0.0.1", 0), Bucket) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        keys = {
            "AWS_ACCESS_KEY_ID": "id",
            "AWS_SECRET_ACCESS_KEY": "secret",
            "AWS_REGION": "us-east-1",
            "AWS_ENDPOINT_URL": f"http://127.0.0.1:{server.server_port}",
        }
        reading = Reading([Record("1", ("cat",), address="s3://photos/q4/1.png")])
        folder, log = tmp_path / "imports", FailureLog(None)
        try:
            for _ in range(2):
                options = ImportOptions("A bucket", storages=(cloud_storage("s3://photos/q4", keys),))
                outcome = run_import(studio, reading, "photos", options, folder, log)
            options = ImportOptions("A bucket", storages=(cloud_storage("s3://nothing", keys),))
            with pytest.raises(ConfigError, match="refuses the storage s3://nothing"):
                run_import(studio, reading, "photos", options, folder, log)
        finally:
            server.shutdown()
            thread.join()
    project = outcome.target.project_id or 0
    (storage,) = studio.storages(project, ["s3"])
    assert (storage.bucket, storage.prefix, outcome.hidden) == ("photos", "q4", [])
    (task,) = studio.whole_tasks(project)
    answer = httpx.get(
        f"{studio.url}/tasks/{task['id']}/presign/",
        params={"fileuri": "czM6Ly9waG90b3MvcTQvMS5wbmc="},
        headers={"Authorization": studio.authorization()},
    )
    assert (answer.status_code, "/photos/q4/1.png" in answer.headers["location"]) == (303, True)
