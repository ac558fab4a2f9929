import base64
import time
from collections.abc import Iterator
from typing import TYPE_CHECKING

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ml_backend.errors import FetchError
from ml_backend.fetch import Fetcher, absolute_url, is_upload

if TYPE_CHECKING:
    from conftest import Web

BASE = "http://label-studio.example"


@pytest.fixture
def fetcher(connections: httpx.Client) -> Fetcher:
    """A fetcher that knows Label Studio's address and key."""
    return Fetcher(
        base_url=BASE, authorization=lambda: "Token secret", max_bytes=100, timeout_s=5, client=connections
    )


def reason(fetcher: Fetcher, url: str) -> str:
    """Why a fetch fails."""
    with pytest.raises(FetchError) as failed:
        fetcher.fetch(url, task_id=1)
    return failed.value.reason


@pytest.mark.parametrize("path", ["/data/upload/1/a.png", "/data/local-files/?d=a.png"])
def test_label_studios_files_are_fetched_with_the_key(fetcher: Fetcher, web: "Web", path: str) -> None:
    """Uploaded and local files come from Label Studio, with its key."""
    web.pages[path.split("?", maxsplit=1)[0]] = b"picture"
    assert fetcher.fetch(path, task_id=1) == b"picture"
    assert web.seen[0].headers["authorization"] == "Token secret"
    assert web.seen[0].url.host == "label-studio.example"


def test_others_never_get_the_key(fetcher: Fetcher, web: "Web") -> None:
    """A picture elsewhere, or on another port or scheme of the same host, is fetched without the key."""
    web.pages["/a.png"] = b"picture"
    for url in ("http://elsewhere.example/a.png", BASE + ":81/a.png", BASE.replace("http", "https") + "/a.png"):
        fetcher.fetch(url, task_id=1)
    assert [request.headers.get("authorization") for request in web.seen] == [None] * 3


@pytest.mark.parametrize(
    ("path", "sent"),
    [
        ("/studio/data/upload/1/a.png", True),
        ("/studio/storage-data/uploaded/", True),
        ("/studio/tasks/7/resolve/", True),
        ("/studio/tasks/7/presign/", True),
        ("/data/upload/1/a.png", False),
        ("/studious/data/a.png", False),
        ("/studio/api/projects/", False),
        ("/studio/data/../api/projects/", False),
        ("/studio/data/%2e%2e/api/projects/", False),
        ("/other/a.png", False),
    ],
)
def test_the_key_goes_only_to_what_serves_files(connections: httpx.Client, path: str, sent: bool) -> None:  # noqa: FBT001
    """Other services may share Label Studio's host, and its own API is not for images."""
    fetcher = Fetcher(
        base_url=f"{BASE}/studio",
        authorization=lambda: "Token secret",
        max_bytes=100,
        timeout_s=5,
        client=connections,
    )
    assert fetcher._needs_token(BASE + path) is sent


def test_a_redirect_to_another_host_loses_the_key(fetcher: Fetcher, web: "Web") -> None:
    """A cloud file is asked of Label Studio, which points to the storage; the storage does not see the key."""
    web.pages["/tasks/7/presign/"] = "http://storage.example/a.png?signature=x"
    web.pages["/a.png"] = b"picture"
    assert fetcher.fetch("s3://bucket/a.png", task_id=7) == b"picture"
    first, second = web.seen
    assert base64.urlsafe_b64decode(first.url.params["fileuri"]) == b"s3://bucket/a.png"
    assert first.headers["authorization"] == "Token secret"
    assert "authorization" not in second.headers


@pytest.mark.parametrize(
    ("page", "why"),
    [(404, "missing"), (410, "missing"), (403, "http_403"), (500, "http_500"), (b"x" * 101, "too_many_bytes")],
)
def test_failures_have_reasons(fetcher: Fetcher, web: "Web", page: int | bytes, why: str) -> None:
    """Each fault has its own short code."""
    web.pages["/a.png"] = page
    assert reason(fetcher, "http://elsewhere.example/a.png") == why


@pytest.mark.parametrize(
    "url", ["file:///etc/passwd", "ftp://x/a.png", "a.png", "//x/a.png", "data:image/png;base64,AA", "http://["]
)
def test_other_addresses_are_refused(fetcher: Fetcher, web: "Web", url: str) -> None:
    """No file of this machine and no unknown scheme is opened, and nothing is asked."""
    assert reason(fetcher, url) in {"unsupported_url", "unreachable"}
    assert web.seen == []


def test_a_redirect_to_a_file_is_refused(fetcher: Fetcher, web: "Web") -> None:
    """A server cannot send us to a file."""
    web.pages["/a.png"] = "file:///etc/passwd"
    assert reason(fetcher, "http://elsewhere.example/a.png") == "unsupported_url"


def test_redirects_end(fetcher: Fetcher, web: "Web") -> None:
    """A page that points to itself is given up."""
    web.pages["/a.png"] = "/a.png"
    assert reason(fetcher, "http://elsewhere.example/a.png") == "too_many_redirects"


def test_an_endless_body_is_cut_by_size() -> None:
    """A body without end is left when it is too large, not when it ends."""

    def endless() -> Iterator[bytes]:
        while True:
            yield b"x" * 10

    transport = httpx.MockTransport(lambda _: httpx.Response(200, content=endless()))
    with httpx.Client(transport=transport) as client:
        fetcher = Fetcher(base_url="", authorization=str, max_bytes=100, timeout_s=60, client=client)
        assert reason(fetcher, "http://elsewhere.example/a.png") == "too_many_bytes"


def test_a_slow_body_is_cut_by_time() -> None:
    """A body that trickles is left after the timeout of the whole download."""

    def slow() -> Iterator[bytes]:
        for _ in range(100):
            time.sleep(0.05)
            yield b"x"

    transport = httpx.MockTransport(lambda _: httpx.Response(200, content=slow()))
    with httpx.Client(transport=transport) as client:
        fetcher = Fetcher(base_url="", authorization=str, max_bytes=1000, timeout_s=0.2, client=client)
        assert reason(fetcher, "http://elsewhere.example/a.png") == "timeout"


def test_slow_redirects_are_cut_by_time() -> None:
    """Redirects that each take a while end with the timeout of the whole download."""

    def answer(_: httpx.Request) -> httpx.Response:
        time.sleep(0.15)
        return httpx.Response(302, headers={"location": "/a.png"})

    with httpx.Client(transport=httpx.MockTransport(answer)) as client:
        fetcher = Fetcher(base_url="", authorization=str, max_bytes=100, timeout_s=0.2, client=client)
        assert reason(fetcher, "http://elsewhere.example/a.png") == "timeout"


@pytest.mark.parametrize(
    ("status", "headers", "why"),
    [(304, {}, "http_304"), (302, {}, "http_302"), (200, {"content-length": "many"}, None)],
)
def test_headers_that_make_no_sense_are_harmless(status: int, headers: dict[str, str], why: str | None) -> None:
    """A redirect to nowhere has a code, and a length that is no number is not believed."""
    transport = httpx.MockTransport(lambda _: httpx.Response(status, headers=headers, content=iter([b"picture"])))
    with httpx.Client(transport=transport) as client:
        fetcher = Fetcher(base_url="", authorization=str, max_bytes=100, timeout_s=5, client=client)
        if why:
            assert reason(fetcher, "http://elsewhere.example/a.png") == why
        else:
            assert fetcher.fetch("http://elsewhere.example/a.png", task_id=1) == b"picture"


def test_without_label_studio_its_files_are_not_configured(connections: httpx.Client) -> None:
    """A relative address cannot be resolved without LABEL_STUDIO_URL."""
    fetcher = Fetcher(base_url="", authorization=str, max_bytes=100, timeout_s=5, client=connections)
    assert reason(fetcher, "/data/upload/1/a.png") == "not_configured"


def test_a_server_that_is_not_there_is_unreachable() -> None:
    """A refused connection has a code of its own."""
    with httpx.Client() as client:
        fetcher = Fetcher(base_url="", authorization=str, max_bytes=100, timeout_s=5, client=client)
        assert reason(fetcher, "http://127.0.0.1:9/a.png") == "unreachable"


def test_a_sub_path_is_not_doubled() -> None:
    """Label Studio below a path writes that path into its addresses, or does not."""
    wanted = "http://host/studio/data/upload/1/a.png"
    for url in ("/data/upload/1/a.png", "/studio/data/upload/1/a.png"):
        assert absolute_url(url, base_url="http://host/studio", task_id=1) == wanted


def test_only_uploads_keep_their_content() -> None:
    """The content behind an upload's address never changes; behind any other it may."""
    assert is_upload("/data/upload/1/0a1b2c3d-a.png")
    assert not any(
        is_upload(url) for url in ("/data/local-files/?d=a.png", "http://x/data/upload/1/a.png", "s3://a")
    )


@given(st.text(max_size=40))
def test_any_text_is_an_address_or_a_reason(url: str) -> None:
    """No text makes anything but an http address or a FetchError."""
    try:
        found = absolute_url(url, base_url=BASE, task_id=1)
    except FetchError:
        return
    assert found.lower().startswith(("http://", "https://", "http:", "https:"))
