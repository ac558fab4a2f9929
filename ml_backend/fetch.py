"""The address in a task becomes the bytes of an image, or a short reason why not."""

import base64
import re
import time
from collections.abc import Callable
from urllib.parse import urljoin, urlsplit

import httpx

from ml_backend.errors import FetchError, MLBackendError

_CLOUD = ("s3", "gs", "azure-blob")
_REDIRECTS = 5
_STEP_S = 10.0  # no single step of a fetch may take longer
_LABEL_STUDIOS_FILES = re.compile(r"/(data|storage-data)/.+|/tasks/\d+/(presign|resolve)/?")


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
        With reason ``unsupported_url``, or ``not_configured`` if ``base_url`` is needed and empty.

    Examples
    --------
    >>> absolute_url("/data/upload/1/a.png", base_url="http://ls/sub", task_id=3)
    'http://ls/sub/data/upload/1/a.png'
    >>> absolute_url("s3://b/a.png", base_url="http://ls", task_id=3)
    'http://ls/tasks/3/presign/?fileuri=czM6Ly9iL2EucG5n'
    """
    try:
        scheme = urlsplit(url).scheme.lower()
    except ValueError:
        raise FetchError("unsupported_url") from None
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
    return base_url + path


def is_upload(url: str) -> bool:
    """Tell whether an address is a file uploaded to Label Studio, which never changes: its name is made unique."""
    return url.startswith("/data/upload/") and "?" not in url


class Fetcher:
    """Downloads images; the token goes to Label Studio, there only to what serves files, and to nobody else.

    Parameters
    ----------
    base_url : str
        Label Studio's; may be empty.
    authorization : callable
        Gives the header value that Label Studio wants.
    max_bytes : int
    timeout_s : float
        For the whole of a download.
    client : httpx.Client, optional
        Another transport, for tests.
    """

    def __init__(
        self,
        *,
        base_url: str,
        authorization: Callable[[], str],
        max_bytes: int,
        timeout_s: float,
        client: httpx.Client | None = None,
    ) -> None:
        self._base_url = base_url
        self._authorization = authorization
        self._max_bytes = max_bytes
        self._timeout_s = timeout_s
        self._client = client or httpx.Client(timeout=min(timeout_s, _STEP_S))

    def fetch(self, url: str, task_id: int) -> bytes:
        """Download an image.

        Raises
        ------
        FetchError
            With reason ``unsupported_url``, ``not_configured``, ``missing`` (404, 410), ``http_<status>``,
            ``too_many_bytes``, ``too_many_redirects``, ``timeout`` or ``unreachable``.
        """
        ends_at = time.monotonic() + self._timeout_s
        target = absolute_url(url, base_url=self._base_url, task_id=task_id)
        try:
            for _ in range(_REDIRECTS + 1):
                answer = self._get(target, ends_at)
                if isinstance(answer, bytes):
                    return answer
                target = answer
        except httpx.TimeoutException:
            raise FetchError("timeout") from None
        except (httpx.HTTPError, httpx.InvalidURL):
            raise FetchError("unreachable") from None
        except MLBackendError as error:
            raise error if isinstance(error, FetchError) else FetchError("not_configured") from None
        raise FetchError("too_many_redirects")

    def close(self) -> None:
        """Close the connections."""
        self._client.close()

    def _get(self, url: str, ends_at: float) -> bytes | str:
        """Give the body, or where it is to be found instead."""
        headers = {"Authorization": self._authorization()} if self._needs_token(url) else {}
        left = ends_at - time.monotonic()
        if left <= 0:
            raise FetchError("timeout")
        with self._client.stream("GET", url, headers=headers, timeout=min(left, _STEP_S)) as response:
            if response.has_redirect_location:
                return absolute_url(urljoin(url, response.headers["location"]), base_url="", task_id=0)
            if response.status_code in (404, 410):
                raise FetchError("missing")
            if response.status_code != httpx.codes.OK:
                raise FetchError(f"http_{response.status_code}")
            announced = response.headers.get("content-length", "")
            if announced.isdecimal() and int(announced) > self._max_bytes:
                raise FetchError("too_many_bytes")
            body = bytearray()
            for chunk in response.iter_bytes():
                body += chunk
                if len(body) > self._max_bytes:
                    raise FetchError("too_many_bytes")
                if time.monotonic() > ends_at:
                    raise FetchError("timeout")
            return bytes(body)

    def _needs_token(self, url: str) -> bool:
        """Tell whether an address is a file of Label Studio's, and not its API or a neighbour on the same host."""
        if not self._base_url or not httpx.URL(url).host or _origin(url) != _origin(self._base_url):
            return False
        path, prefix = httpx.URL(url).path, httpx.URL(self._base_url).path.rstrip("/")
        if ".." in path.split("/") or not path.startswith(prefix + "/"):
            return False
        return _LABEL_STUDIOS_FILES.fullmatch(path.removeprefix(prefix)) is not None


def _origin(url: str) -> tuple[str, str, int | None]:
    parsed = httpx.URL(url)
    default = {"http": 80, "https": 443}.get(parsed.scheme)
    return parsed.scheme, parsed.host, parsed.port or default
