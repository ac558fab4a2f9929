"""The address in a task becomes the bytes of an image, or a short reason why not."""

import base64
import re
import time
from collections.abc import Callable
from contextlib import ExitStack, closing
from datetime import UTC, datetime
from urllib.parse import parse_qs, urlsplit

import httpx

from common.errors import FetchError, SettingsError, SuiteError
from common.images.addresses import AllowedHosts, ip_literal
from common.images.bodies import read_body
from common.images.checked_transport import CheckedTransport, host_and_port
from common.images.local_files import LocalFiles
from common.images.resolver import Resolver
from common.images.signatures import has_expired

Connect = Callable[[AllowedHosts], httpx.BaseTransport]

_NOBODY = AllowedHosts()
_CLOUD = ("s3", "gs", "azure-blob")
_REDIRECTS = 5
_REFUSALS = (400, 401, 403)
_LONGEST_URL = 16_384
_HEADS_BYTES = 1_000_000  # that an answer may have besides a body and what chunks add to it
_LAST_PORT = 65535
_HOST = re.compile(r"(?=.{1,253}$)[a-z0-9_-]{1,63}(\.[a-z0-9_-]{1,63})*\.?")
_LABEL_STUDIOS_FILES = re.compile(r"/(data|storage-data)/.+|/tasks/\d+/(presign|resolve)/?")
# Label Studio behind a path of a proxy writes it into the addresses of its files, and does not know it itself.
_BELOW_A_PATH = re.compile(
    r"\A(?!/(data|storage-data|tasks)/)(/[\w.~-]+)+?"
    r"(?=/(data/(upload|local-files)|storage-data|tasks/\d+/(presign|resolve))/)"
)
_LOCAL_FILES = "/data/local-files/"
_HEADERS = {"Accept": "*/*", "Accept-Encoding": "identity"}


def absolute_url(url: str, *, base_url: str, task_id: int) -> str:
    """Turn a task's address into one that can be asked.

    Parameters
    ----------
    url : str
        A path of Label Studio's (uploaded or local file), a cloud storage URI, or http(s).
    base_url : str
        Label Studio's, without a slash at its end; may have a path.
    task_id : int
        Label Studio resolves a cloud URI for the task that holds it.

    Raises
    ------
    FetchError
        With reason ``unsupported_url``, ``data_url`` (the image itself in place of an address), or
        ``not_configured`` if ``base_url`` is needed and empty.

    Examples
    --------
    >>> absolute_url("/data/upload/1/a.png", base_url="http://ls/sub", task_id=3)
    'http://ls/sub/data/upload/1/a.png'
    >>> absolute_url("/sub/data/upload/1/a.png", base_url="http://internal:8080", task_id=3)
    'http://internal:8080/data/upload/1/a.png'
    >>> absolute_url("s3://b/a.png", base_url="http://ls", task_id=3)
    'http://ls/tasks/3/presign/?fileuri=czM6Ly9iL2EucG5n'
    """
    try:
        scheme = urlsplit(url).scheme.lower()
    except ValueError:
        raise FetchError("unsupported_url") from None
    if scheme == "data":
        raise FetchError("data_url")
    if scheme in ("http", "https"):
        return url
    if scheme in _CLOUD:
        encoded = base64.urlsafe_b64encode(url.encode()).decode()
        path = f"/tasks/{task_id}/presign/?fileuri={encoded}"
    elif not scheme and url.startswith("/") and not url.startswith("//"):
        path = url
    else:
        raise FetchError("unsupported_url")
    if not base_url:
        raise FetchError("not_configured")
    prefix = urlsplit(base_url).path
    if prefix and path.startswith(prefix + "/"):
        path = path.removeprefix(prefix)
    return base_url + _BELOW_A_PATH.sub("", path)


def is_upload(url: str) -> bool:
    """Return whether an address is a file uploaded to Label Studio, whose content never changes."""
    return url.startswith("/") and "?" not in url and _BELOW_A_PATH.sub("", url).startswith("/data/upload/")


class Fetcher:
    """Downloads images from where they may come from, and from nowhere else.

    Label Studio may always be asked. It gets the key, for what serves files alone, and nobody else gets it. Where
    it redirects to, a storage that someone has connected to it, may be asked as long as its address is public. All
    other hosts, and those with private addresses, must be in ``hosts``. Each redirect is checked again.

    Parameters
    ----------
    base_url : str
        Label Studio's; may be empty.
    authorization : callable
        Gives the header value that Label Studio wants.
    timeout_s : float
        For the whole of a download.
    hosts : AllowedHosts
        Besides Label Studio and its storages.
    local_files : LocalFiles, optional
        Reads Label Studio's local files instead of asking for them.
    program : str
        Who asks, for the servers' logs.
    connect : callable, optional
        Makes a transport that reaches the hosts of a list; another network, for tests.
    """

    def __init__(
        self,
        *,
        base_url: str,
        authorization: Callable[[], str],
        max_bytes: int,
        timeout_s: float,
        hosts: AllowedHosts = _NOBODY,
        local_files: LocalFiles | None = None,
        program: str = "label-studio-consensus",
        connect: Connect | None = None,
    ) -> None:
        self._base_url = base_url
        self._base = httpx.URL(base_url)
        self._prefix = self._base.path.rstrip("/")
        self._authorization = authorization
        self._max_bytes = max_bytes
        self._timeout_s = timeout_s
        self._local_files = local_files
        self._headers = {**_HEADERS, "User-Agent": f"{program} (images of Label Studio's tasks)"}
        connect = connect or checked_network(2 * max_bytes + _HEADS_BYTES)
        self._listed, self._storages = connect(hosts), connect(hosts.with_any_public())
        self._own = connect(AllowedHosts.exactly(*host_and_port(self._base)) if base_url else _NOBODY)

    def fetch(self, url: str, task_id: int) -> bytes:
        """Download an image.

        Raises
        ------
        FetchError
            With reason ``unsupported_url``, ``url_too_long``, ``password_in_url``, ``not_configured``,
            ``label_studio_error``, ``missing`` (404, 410), ``signature_expired``, ``http_<status>``,
            ``too_many_redirects``, or one of those of ``CheckedTransport``, ``read_body`` and ``LocalFiles.read``.
        """
        ends_at = time.monotonic() + self._timeout_s
        target = parsed(absolute_url(url, base_url=self._base_url, task_id=task_id))
        led_by_others = led_by_storage = False
        for _ in range(_REDIRECTS + 1):
            own = _origin(target) == _origin(self._base)
            files = own and not led_by_others and self._serves_files(target)
            if files and self._local_files is not None and (path := self._local_path(target)) is not None:
                return self._local_files.read(path)
            transport = self._own if own else self._storages if led_by_storage else self._listed
            answer = self._get(transport, target, ends_at, with_key=files)
            if isinstance(answer, bytes):
                return answer
            led_by_storage = led_by_storage or files
            led_by_others = led_by_others or not own
            target = answer
        raise FetchError("too_many_redirects")

    def close(self) -> None:
        """Close the connections."""
        with ExitStack() as stack:
            for transport in (self._own, self._storages, self._listed):
                stack.callback(transport.close)

    def _get(
        self, transport: httpx.BaseTransport, url: httpx.URL, ends_at: float, *, with_key: bool
    ) -> bytes | httpx.URL:
        """Return the body, or where it is to be found instead.

        The transport is asked directly: a client would keep cookies and log addresses.
        """
        headers = self._headers | ({"Authorization": self._key()} if with_key else {})
        request = httpx.Request("GET", url, headers=headers, extensions={"ends_at": ends_at})
        with closing(transport.handle_request(request)) as response:
            if response.status_code == httpx.codes.OK:
                return read_body(response, self._max_bytes)
            if response.has_redirect_location:
                return _redirected(url, response.headers["Location"])
            if response.status_code in _REFUSALS and has_expired(url, datetime.now(UTC)):
                raise FetchError("signature_expired")
            missing = response.status_code in (httpx.codes.NOT_FOUND, httpx.codes.GONE)
            raise FetchError("missing" if missing else f"http_{response.status_code}")

    def _key(self) -> str:
        try:
            return self._authorization()
        except SettingsError:
            raise FetchError("not_configured") from None
        except SuiteError:
            raise FetchError("label_studio_error") from None

    def _serves_files(self, url: httpx.URL) -> bool:
        """Return whether an address of Label Studio's origin is a file, not its API or a neighbour on its host."""
        path = url.path
        if ".." in path.split("/") or not path.startswith(self._prefix + "/"):
            return False
        return _LABEL_STUDIOS_FILES.fullmatch(path.removeprefix(self._prefix)) is not None

    def _local_path(self, url: httpx.URL) -> str | None:
        if url.path.removeprefix(self._prefix) != _LOCAL_FILES:
            return None
        return parse_qs(url.query.decode(), keep_blank_values=True).get("d", [""])[-1]


def checked_network(max_bytes: int) -> Connect:
    """Return a maker of transports to the real network.

    Each has a resolver of its own: names whose servers are silent must not keep Label Studio's from being found.
    """
    return lambda hosts: CheckedTransport(hosts, Resolver(), max_bytes)


def parsed(url: str | httpx.URL) -> httpx.URL:
    """Take an http address apart, once: what is checked is what is connected to.

    Raises
    ------
    FetchError
        With reason ``unsupported_url``, ``url_too_long`` or ``password_in_url``.
    """
    if isinstance(url, str) and len(url) > _LONGEST_URL:
        raise FetchError("url_too_long")
    try:
        address = httpx.URL(url)
        host = address.raw_host.decode("ascii")
    except (httpx.InvalidURL, UnicodeError):
        raise FetchError("unsupported_url") from None
    if address.userinfo:
        raise FetchError("password_in_url")
    host_ok = _HOST.fullmatch(host) or ("%" not in host and ip_literal(host))
    port_ok = address.port is None or 1 <= address.port <= _LAST_PORT
    if address.scheme not in ("http", "https") or not host_ok or not port_ok:
        raise FetchError("unsupported_url")
    return address


def _redirected(url: httpx.URL, location: str) -> httpx.URL:
    if len(location) > _LONGEST_URL:
        raise FetchError("url_too_long")
    try:
        return parsed(url.join(location))
    except (httpx.InvalidURL, UnicodeError):
        raise FetchError("unsupported_url") from None


def _origin(url: httpx.URL) -> tuple[str, bytes, int | None]:
    return url.scheme, url.raw_host, url.port
