import base64
import contextlib
import gzip
import socket
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx
import pytest
from faulty_web import FAULTS, FaultyWeb, closing, faulty_web, gzipped, page, redirect
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from web_in_memory import Web

from common.errors import FetchError, LabelStudioError, SettingsError, SuiteError
from common.images.addresses import AllowedHosts
from common.images.fetch import Connect, Fetcher, absolute_url, is_upload, parsed
from common.images.local_files import LocalFiles

BASE = "http://label-studio.example"
MAX_BYTES = 100_000
PACKED = gzip.compress(b"more", mtime=0)


@pytest.fixture
def fetcher(connections: Connect) -> Fetcher:
    """A fetcher that knows Label Studio's address and key, in a network that is not real."""
    return Fetcher(
        base_url=BASE, authorization=lambda: "Token secret", max_bytes=100, timeout_s=5, connect=connections
    )


@pytest.fixture
def faulty() -> Iterator[FaultyWeb]:
    """A real server."""
    with faulty_web() as web:
        yield web


Make = Callable[..., Fetcher]


@pytest.fixture
def make() -> Iterator[Make]:
    """Makes fetchers of the real network, and closes them."""
    made: list[Fetcher] = []

    def _make(hosts: str = "", *, base_url: str = "", timeout_s: float = 5, **options: object) -> Fetcher:
        given = {"authorization": lambda: "Token secret", "max_bytes": MAX_BYTES, **options}
        allowed = AllowedHosts.parse(hosts)
        made.append(Fetcher(base_url=base_url, hosts=allowed, timeout_s=timeout_s, **given))  # type: ignore[arg-type]
        return made[-1]

    yield _make
    for fetcher in made:
        fetcher.close()


def reason(fetcher: Fetcher, url: str) -> str:
    """Why a fetch fails."""
    with pytest.raises(FetchError) as failed:
        fetcher.fetch(url, task_id=1)
    return failed.value.reason


@pytest.mark.parametrize("path", ["/data/upload/1/a.png", "/data/local-files/?d=a.png"])
def test_label_studios_files_are_fetched_with_the_key(fetcher: Fetcher, web: Web, path: str) -> None:
    """Uploaded and local files come from Label Studio, with its key."""
    web.pages[path.split("?", maxsplit=1)[0]] = b"picture"
    assert fetcher.fetch(path, task_id=1) == b"picture"
    assert web.seen[0].headers["authorization"] == "Token secret"
    assert web.seen[0].url.host == "label-studio.example"


def test_others_never_get_the_key(fetcher: Fetcher, web: Web) -> None:
    """A picture elsewhere, or on another port or scheme of the same host, is fetched without the key."""
    web.pages["/data/a.png"] = b"picture"
    for url in ("http://elsewhere.example", BASE + ":81", BASE.replace("http", "https")):
        fetcher.fetch(url + "/data/a.png", task_id=1)
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
def test_the_key_goes_only_to_what_serves_files(connections: Connect, web: Web, path: str, sent: bool) -> None:  # noqa: FBT001
    """Other services may share Label Studio's host, and its own API is not for images."""
    base = f"{BASE}/studio"
    with_path = Fetcher(
        base_url=base, authorization=lambda: "Token secret", max_bytes=100, timeout_s=5, connect=connections
    )
    assert reason(with_path, BASE + path) == "missing"
    assert ("authorization" in web.seen[0].headers) is sent


@pytest.mark.parametrize("base", [BASE, f"{BASE}/studio"])
@pytest.mark.parametrize("below", ["", "/studio", "/ai/label-studio"])
@pytest.mark.parametrize(
    "path", ["/data/upload/1/a.png", "/data/local-files/?d=a.png", "/storage-data/uploaded/?filepath=a.png"]
)
def test_files_are_found_behind_a_path_of_a_proxy(
    connections: Connect, web: Web, base: str, below: str, path: str
) -> None:
    """Label Studio writes its public path into addresses, wherever the backend reaches it."""
    where = httpx.URL(base).path.rstrip("/") + path.partition("?")[0]
    web.pages[where] = b"picture"
    fetcher = Fetcher(
        base_url=base, authorization=lambda: "Token secret", max_bytes=100, timeout_s=5, connect=connections
    )
    assert fetcher.fetch(below + path, task_id=1) == b"picture"
    assert web.seen[0].headers["authorization"] == "Token secret"
    assert is_upload(below + path) is ("/data/upload" in path)


@pytest.mark.parametrize(
    ("query", "expired"),
    [
        ("X-Amz-Date=20200101T000000Z&X-Amz-Expires=3600&X-Amz-Signature=a", True),
        ("X-Amz-Date=29990101T000000Z&X-Amz-Expires=3600&X-Amz-Signature=a", False),
        ("X-Goog-Date=20200101T000000Z&X-Goog-Expires=3600", True),
        ("AWSAccessKeyId=a&Signature=b&Expires=1577836800", True),
        ("Expires=32503680000&Signature=b", False),
        ("sv=2020&se=2020-01-01T00%3A00%3A00Z&sig=a", True),
        ("se=2020-01-01&sig=a", True),
        ("se=2999-01-01T00:00:00Z&sig=a", False),
        ("Expires=soon&X-Amz-Date=yesterday&X-Amz-Expires=1", False),
        ("Expires=" + "9" * 30, False),
        ("se=1", False),
    ],
)
def test_an_expired_signature_is_named(fetcher: Fetcher, web: Web, query: str, expired: bool) -> None:  # noqa: FBT001
    """The address shows that its time is over; one that is refused for another reason is another fault."""
    web.pages["/a.png"] = 403
    assert reason(fetcher, f"{BASE}/a.png?{query}") == ("signature_expired" if expired else "http_403")


def test_a_redirect_to_another_host_loses_the_key(fetcher: Fetcher, web: Web) -> None:
    """A cloud file is asked of Label Studio, which points to the storage; the storage does not see the key."""
    web.pages["/tasks/7/presign/"] = "http://storage.example/a.png?signature=x"
    web.pages["/a.png"] = b"picture"
    assert fetcher.fetch("s3://bucket/a.png", task_id=7) == b"picture"
    first, second = web.seen
    assert base64.urlsafe_b64decode(first.url.params["fileuri"]) == b"s3://bucket/a.png"
    assert first.headers["authorization"] == "Token secret"
    assert "authorization" not in second.headers


def test_nobody_else_can_lead_the_key_to_a_file(fetcher: Fetcher, web: Web) -> None:
    """A redirect of another host to a file of Label Studio's is followed without the key."""
    web.pages["/a.png"] = BASE + "/data/upload/1/other.png"
    assert reason(fetcher, "http://elsewhere.example/a.png") == "missing"
    assert [request.headers.get("authorization") for request in web.seen] == [None, None]


@pytest.mark.parametrize(
    ("error", "why"),
    [(SettingsError("no key"), "not_configured"), (LabelStudioError("is down"), "label_studio_error")],
)
def test_a_key_that_cannot_be_had_is_a_reason(connections: Connect, error: SuiteError, why: str) -> None:
    """Without a key, or if Label Studio does not renew it, its files are left out."""

    def fail() -> str:
        raise error

    fetcher = Fetcher(base_url=BASE, authorization=fail, max_bytes=100, timeout_s=5, connect=connections)
    assert reason(fetcher, "/data/upload/1/a.png") == why


@pytest.mark.parametrize(
    ("url", "why"),
    [
        ("file:///etc/passwd", "unsupported_url"),
        ("ftp://x/a.png", "unsupported_url"),
        ("a.png", "unsupported_url"),
        ("//x/a.png", "unsupported_url"),
        ("data:image/png;base64,AA", "data_url"),
        ("http://[", "unsupported_url"),
        ("http://", "unsupported_url"),
        ("http:/x/a.png", "unsupported_url"),
        ("http://x:0/a.png", "unsupported_url"),
        ("http://x:70000/a.png", "unsupported_url"),
        ("http://a b/a.png", "unsupported_url"),
        ("http://0177.0.0.1/a.png", "unsupported_url"),
        ("http://%31%32%37.0.0.1/a.png", "unsupported_url"),
        ("http://１２７.0.0.1/a.png", "unsupported_url"),  # noqa: RUF001 - digits that only look like 127
        ("http://[fe80::1%25eth0]/a.png", "unsupported_url"),
        ("http://x/a\nHost: y", "unsupported_url"),
        ("http://user:password@x/a.png", "password_in_url"),
        ("http://x\\@y/a.png", "password_in_url"),
        ("http://x/" + "a" * 20_000, "url_too_long"),
    ],
)
def test_other_addresses_are_refused(fetcher: Fetcher, web: Web, url: str, why: str) -> None:
    """No file of this machine, no unknown scheme and nothing ambiguous is opened, and nothing is asked."""
    assert reason(fetcher, url) == why
    assert web.seen == []


def test_a_server_sees_what_it_needs(make: Make, faulty: FaultyWeb) -> None:
    """A request names its host and says who asks; the address of the task is passed on percent-encoded."""
    faulty.pages["/gr%C3%BCn%20a.png?x=%2F"] = page(b"picture")
    assert make("127.0.0.1").fetch(f"{faulty.url}/grün a.png?x=%2F#part", task_id=1) == b"picture"
    [request, *headers] = faulty.seen[0].decode().splitlines()
    assert request == "GET /gr%C3%BCn%20a.png?x=%2F HTTP/1.1"
    assert f"Host: 127.0.0.1:{faulty.port}" in headers
    assert "Accept-Encoding: identity" in headers
    assert not any(header.startswith("Authorization") for header in headers)


@pytest.mark.parametrize("path", [path for path, (_, why) in FAULTS.items() if why != "timeout"])
def test_every_fault_ends_with_its_reason(make: Make, faulty: FaultyWeb, path: str) -> None:
    """A server's fault has a short code; what is no picture is found by who decodes it."""
    why = FAULTS[path][1]
    if why in ("empty", "damaged", "html_page", "svg"):
        assert isinstance(make("127.0.0.1").fetch(faulty.url + path, task_id=1), bytes)
    else:
        assert reason(make("127.0.0.1", timeout_s=30), faulty.url + path) == why


@pytest.mark.parametrize("path", [path for path, (_, why) in FAULTS.items() if why == "timeout"])
def test_what_takes_too_long_is_left(make: Make, faulty: FaultyWeb, path: str) -> None:
    """A server that says nothing, or little by little, is left when the time for the whole is over."""
    assert reason(make("127.0.0.1", timeout_s=0.3), faulty.url + path) == "timeout"


def test_slow_redirects_are_cut_by_time(make: Make, faulty: FaultyWeb) -> None:
    """Redirects that each take a while end with the timeout of the whole download."""

    def slowly(connection: socket.socket) -> None:
        time.sleep(0.15)
        connection.sendall(redirect("/slowly"))

    faulty.pages["/slowly"] = slowly
    assert reason(make("127.0.0.1", timeout_s=0.2), faulty.url + "/slowly") == "timeout"


def test_what_is_packed_unasked_is_unpacked(make: Make, faulty: FaultyWeb) -> None:
    """Some storages answer with gzip whatever is asked for."""
    faulty.pages |= {
        "/a.png.gz": gzipped(b"picture"),
        "/b": page(PACKED + b"rest", "Content-Encoding: x-gzip"),
    }
    assert make("127.0.0.1").fetch(faulty.url + "/a.png.gz", task_id=1) == b"picture"
    assert make("127.0.0.1").fetch(faulty.url + "/b", task_id=1) == b"more"


def test_one_connection_serves_many(make: Make, faulty: FaultyWeb) -> None:
    """Pictures, missing pages and redirects of one host are asked over one connection."""
    faulty.pages |= {"/a.png": page(b"picture"), "/to-a": redirect("/a.png")}
    fetcher, before = make("127.0.0.1"), faulty.connections
    for _ in range(3):
        fetcher.fetch(faulty.url + "/a.png", task_id=1)
        fetcher.fetch(faulty.url + "/to-a", task_id=1)
        assert reason(fetcher, faulty.url + "/gone") == "missing"
    assert faulty.connections == before + 1


def test_a_false_length_costs_no_other_picture(make: Make, faulty: FaultyWeb) -> None:
    """What a server sends behind the length that it announced is not read as the next answer."""
    faulty.pages |= {"/longer": page(b"x" * 500, length=10), "/a.png": page(b"picture")}
    fetcher = make("127.0.0.1")
    for _ in range(3):
        assert fetcher.fetch(faulty.url + "/longer", task_id=1) == b"x" * 10
        assert fetcher.fetch(faulty.url + "/a.png", task_id=1) == b"picture"


def test_a_kept_connection_that_was_closed_costs_no_picture(make: Make, faulty: FaultyWeb) -> None:
    """A server may close a connection after each answer without saying so."""
    faulty.pages["/a.png"] = closing(page(b"picture"))
    fetcher = make("127.0.0.1")
    assert [fetcher.fetch(faulty.url + "/a.png", task_id=1) for _ in range(20)] == [b"picture"] * 20


def test_only_listed_hosts_are_asked(make: Make, faulty: FaultyWeb) -> None:
    """Without its name in the list nothing is asked, not even by another name or at another port."""
    for hosts in ("", "images.example", "*", "10.0.0.0/8", f"127.0.0.1:{faulty.port + 1}"):
        assert reason(make(hosts), faulty.url + "/a.png") == "private_address"
    assert reason(make("images.example"), faulty.url.replace("127.0.0.1", "localhost")) == "host_not_allowed"
    assert faulty.seen == []


@pytest.mark.parametrize("host", ["localhost", "2130706433", "0x7f.1", "127.1"])
def test_the_address_counts_not_the_name(make: Make, faulty: FaultyWeb, host: str) -> None:
    """Names and numbers that lead to this machine are private where every public host is allowed."""
    assert reason(make("*"), f"http://{host}:{faulty.port}/a.png") == "private_address"


def test_a_host_may_be_named_by_its_address(make: Make, faulty: FaultyWeb) -> None:
    """A name that leads to a listed address is asked there."""
    faulty.pages["/a.png"] = page(b"picture")
    url = f"http://localhost:{faulty.port}/a.png"
    assert make(f"127.0.0.1:{faulty.port}").fetch(url, task_id=1) == b"picture"
    assert make("127.0.0.0/8").fetch(url, task_id=1) == b"picture"
    assert make(f"localhost:{faulty.port}").fetch(url, task_id=1) == b"picture"


def test_label_studio_is_asked_wherever_it_is(make: Make, faulty: FaultyWeb) -> None:
    """Label Studio's own address may be private; another port of its host is another host."""
    faulty.pages["/data/upload/1/a.png"] = page(b"picture")
    fetcher = make(base_url=faulty.url)
    assert fetcher.fetch("/data/upload/1/a.png", task_id=1) == b"picture"
    assert fetcher.fetch(faulty.url + "/data/upload/1/a.png", task_id=1) == b"picture"
    assert reason(fetcher, f"http://127.0.0.1:{faulty.port + 1}/a.png") == "private_address"


def test_a_storage_may_be_public_or_listed(make: Make, faulty: FaultyWeb) -> None:
    """Where Label Studio resolves a cloud file to is asked if it is public; a private one only if it is listed."""
    with faulty_web() as storage:
        storage.pages["/a.png"] = page(b"picture")
        faulty.pages["/tasks/1/presign/?fileuri=czM6Ly9iL2EucG5n"] = redirect(storage.url + "/a.png")
        assert reason(make(base_url=faulty.url), "s3://b/a.png") == "private_address"
        assert reason(make("*", base_url=faulty.url), "s3://b/a.png") == "private_address"
        listed = make(f"127.0.0.1:{storage.port}", base_url=faulty.url)
        assert listed.fetch("s3://b/a.png", task_id=1) == b"picture"
        assert not any(b"Authorization" in head for head in storage.seen)


def test_a_picture_of_label_studio_leads_to_no_other_host(make: Make, faulty: FaultyWeb) -> None:
    """Only what serves files is trusted to name a storage; any other page of Label Studio's is not."""
    faulty.pages["/user/out"] = redirect("http://elsewhere.example/a.png")
    assert reason(make(base_url=faulty.url), "/user/out") == "host_not_allowed"


def test_proxies_of_the_environment_are_not_used(
    make: Make, faulty: FaultyWeb, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A proxy would connect for us to whatever it likes."""
    faulty.pages["/a.png"] = page(b"picture")
    for name in ("http_proxy", "HTTP_PROXY", "ALL_PROXY"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    assert make("127.0.0.1").fetch(faulty.url + "/a.png", task_id=1) == b"picture"


def test_local_files_are_read_from_the_folder(make: Make, faulty: FaultyWeb, tmp_path: Path) -> None:
    """With the folder at hand, Label Studio is not asked for its local files, in whatever form they are named."""
    (tmp_path / "sub").mkdir()
    (tmp_path / "sub" / "grün a.png").write_bytes(b"picture")
    fetcher = make(base_url=faulty.url, local_files=LocalFiles(tmp_path, MAX_BYTES))
    for url in ("?d=sub/grün a.png", "?d=sub%2Fgr%C3%BCn%20a.png", "?d=sub/gr%C3%BCn+a.png"):
        assert fetcher.fetch("/data/local-files/" + url, task_id=1) == b"picture"
        assert fetcher.fetch(f"{faulty.url}/data/local-files/{url}", task_id=1) == b"picture"
    for url in ("?d=../secret.png", "?d=%2e%2e/secret.png", "?d=/etc/passwd", "?d=sub", "?d=a%00b", "?d=", ""):
        assert reason(fetcher, "/data/local-files/" + url) == "path_not_allowed"
    assert faulty.seen == []
    assert reason(fetcher, "/data/upload/1/a.png") == "missing"
    assert len(faulty.seen) == 1


def test_nobody_else_can_lead_to_a_local_file(make: Make, faulty: FaultyWeb, tmp_path: Path) -> None:
    """A redirect of another host to a local file is left to Label Studio, which asks for the key."""
    (tmp_path / "a.png").write_bytes(b"picture")
    with faulty_web() as elsewhere:
        elsewhere.pages["/a.png"] = redirect(faulty.url + "/data/local-files/?d=a.png")
        fetcher = make(
            f"127.0.0.1:{elsewhere.port}", base_url=faulty.url, local_files=LocalFiles(tmp_path, MAX_BYTES)
        )
        assert reason(fetcher, elsewhere.url + "/a.png") == "missing"


@given(
    st.lists(
        st.sampled_from(
            [
                b"HTTP/1.1 200 OK\r\n",
                b"HTTP/1.1 302 Found\r\n",
                b"HTTP/1.1 100 Continue\r\n\r\n",
                b"Location: ",
                b"http://\xff",
                b"/a.png\r\n",
                b"Content-Length: 5\r\n",
                b"Transfer-Encoding: chunked\r\n",
                b"Content-Encoding: gzip\r\n",
                b"\r\n",
                b"5\r\nhello\r\n",
                b"0\r\n\r\n",
                PACKED,
            ]
        )
        | st.binary(max_size=8),
        max_size=8,
    )
)
@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_whatever_a_server_sends_is_a_body_or_a_reason(make: Make, faulty: FaultyWeb, parts: list[bytes]) -> None:
    """No answer, however wrong, raises anything but a FetchError."""
    faulty.pages["/a.png"] = closing(b"".join(parts))
    with contextlib.suppress(FetchError):
        assert len(make("127.0.0.1").fetch(faulty.url + "/a.png", task_id=1)) < MAX_BYTES


def test_many_threads_share_a_fetcher(make: Make, faulty: FaultyWeb) -> None:
    """Eight threads get each its own picture, and no more connections than threads stay open."""
    faulty.pages |= {f"/{number}.png": page(b"%d" % number) for number in range(40)}
    fetcher, before = make("127.0.0.1"), faulty.connections
    with ThreadPoolExecutor(8) as pool:
        bodies = list(pool.map(lambda number: fetcher.fetch(f"{faulty.url}/{number}.png", number), range(40)))
    assert bodies == [b"%d" % number for number in range(40)]
    assert faulty.connections - before <= 8


def test_faults_leave_nothing_behind(make: Make, faulty: FaultyWeb) -> None:
    """Five rounds of faults start no thread that stays, and leave no connection open but kept ones."""
    fetcher = make("127.0.0.1", timeout_s=0.2)
    before = threading.active_count()
    for _ in range(5):
        for path in ("/silent", "/endless-body", "/too-short", "/loop", "/bomb"):
            reason(fetcher, faulty.url + path)
    ends_at = time.monotonic() + 10
    while threading.active_count() > before + 2:  # the server's own end a bit later
        assert time.monotonic() < ends_at
        time.sleep(0.05)
    assert len(fetcher._listed._pool.connections) <= 1  # type: ignore[attr-defined]


def test_without_label_studio_its_files_are_not_configured(connections: Connect) -> None:
    """A relative address cannot be resolved without LABEL_STUDIO_URL."""
    fetcher = Fetcher(base_url="", authorization=str, max_bytes=100, timeout_s=5, connect=connections)
    assert reason(fetcher, "/data/upload/1/a.png") == "not_configured"


def test_a_server_that_is_not_there_is_unreachable(make: Make) -> None:
    """A refused connection has a code of its own."""
    assert reason(make("127.0.0.1"), "http://127.0.0.1:9/a.png") == "unreachable"


def test_a_sub_path_is_not_doubled() -> None:
    """Label Studio below a path writes that path into its addresses, or does not."""
    expected = "http://host/studio/data/upload/1/a.png"
    for url in ("/data/upload/1/a.png", "/studio/data/upload/1/a.png"):
        assert absolute_url(url, base_url="http://host/studio", task_id=1) == expected


def test_only_uploads_keep_their_content() -> None:
    """The content behind an upload's address never changes; behind any other it may."""
    assert is_upload("/data/upload/1/0a1b2c3d-a.png")
    assert not any(
        is_upload(url) for url in ("/data/local-files/?d=a.png", "http://x/data/upload/1/a.png", "s3://a")
    )


@given(st.text(max_size=40) | st.text(max_size=40).map("http://{}".format))
def test_any_text_is_an_address_or_a_reason(url: str) -> None:
    """No text makes anything but an http address with a host, or a FetchError."""
    try:
        address = parsed(absolute_url(url, base_url=BASE, task_id=1))
    except FetchError:
        return
    assert address.scheme in ("http", "https")
    assert httpx.URL(str(address)).raw_host == address.raw_host != b""
