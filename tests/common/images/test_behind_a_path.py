"""The images of a Label Studio that people reach below a path of a proxy, and programs at its own address."""

from pathlib import Path

import label_studio_server
import pytest
from administrator import Administrator

from common.images.fetch import Fetcher

CONFIG = """<View><Image name="image" value="$image"/>
<Choices name="kind" toName="image"><Choice value="a"/><Choice value="b"/></Choices></View>"""


@pytest.mark.server
def test_uploads_are_found_at_the_internal_address(tmp_path: Path) -> None:
    """Their addresses begin with the public path, which Label Studio itself does not answer to."""
    extra = {"LABEL_STUDIO_HOST": "http://localhost/label-studio"}
    running = label_studio_server.start(tmp_path / "label-studio", extra=extra)
    try:
        with Administrator(running.url, running.account.token) as admin:
            project = admin.create_project(CONFIG, "Behind a path")
            admin.upload(project, {"a.png": b"picture"}, make_tasks=True)
            [task] = admin.tasks(project, "id,data")
        address = task["data"]["image"]
        assert address.startswith("/label-studio/data/upload/")
        fetcher = Fetcher(
            base_url=running.url,
            authorization=lambda: f"Token {running.account.token}",
            max_bytes=100,
            timeout_s=30,
        )
        try:
            assert fetcher.fetch(address, task["id"]) == b"picture"
        finally:
            fetcher.close()
    finally:
        running.stop()
