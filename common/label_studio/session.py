"""Talking to one Label Studio: one policy for errors, repetitions, timeouts and sizes."""

import json
import ssl
import time
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import httpx
from label_studio_sdk.base_client import LabelStudioBase
from label_studio_sdk.core.api_error import ApiError

from common.errors import LabelStudioError, LostAnswerError, RefusedError, SettingsError

TIMEOUT_S = 60.0
RETRIES = 2
"""Of the SDK, for requests that may be done twice; a POST is sent once."""
LARGEST_ANSWER = 256 * 2**20
"""Bytes; 100,000 predictions are 60 MB."""
UNREADABLE = (ValueError, RecursionError)
"""Of JSON that is cut off, is no text, or is nested without end."""

_PATIENCE = 5  # timeouts until an answer that keeps coming has to be complete
_PROBE_S = 10.0
_LOST = frozenset({408, 502, 503, 504})  # what a proxy answers while Label Studio perhaps goes on
_NEVER_SENT = (httpx.ConnectError, httpx.ConnectTimeout, httpx.PoolTimeout, httpx.UnsupportedProtocol)
_LONGEST_REASON = 300


class Session:
    """Requests to one Label Studio.

    The SDK renews access tokens and repeats reads, changes to a given value and deletions. A POST is never
    repeated: where its answer is lost, `LostAnswerError` says so, and the caller looks before it writes again.

    Parameters
    ----------
    url : str
        Address, with http:// or https://, and its path if it is served below one.
    api_key : str
        A legacy token or a personal access token.
    timeout_s : float
        Longest silence of Label Studio.
    transport : httpx.BaseTransport, optional
        In place of the network.
    clock : callable
        Seconds.

    Raises
    ------
    SettingsError
        Where address or key are missing or cannot be used.
    LabelStudioError
        From every method, where Label Studio cannot be reached, refuses or fails.
    """

    def __init__(
        self,
        url: str,
        api_key: str,
        *,
        timeout_s: float = TIMEOUT_S,
        transport: httpx.BaseTransport | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.url, self._timeout_s, self._clock = _checked(url, api_key), timeout_s, clock
        self._transport = transport
        self._bounds = bounds(timeout_s, clock)
        self._connections = httpx.Client(
            timeout=timeout_s, follow_redirects=True, transport=transport, event_hooks=self._bounds
        )
        try:
            # The SDK's larger client imports pandas: 70 MB in each process.
            sdk = LabelStudioBase(
                base_url=self.url, api_key=api_key.strip(), timeout=timeout_s, httpx_client=self._connections
            )
        except ApiError as error:
            self._connections.close()
            raise self._refusal(error.status_code or 0, error.body, "the key") from None
        except (ValueError, OverflowError, OSError, TypeError):  # a claim that is no time
            self._connections.close()
            raise SettingsError("LABEL_STUDIO_API_KEY is no token of Label Studio") from None
        self._wrapper = sdk._client_wrapper  # noqa: SLF001 - the SDK has no other way to its requests

    def close(self) -> None:
        """Close the connections."""
        self._connections.close()

    def visitor(self) -> httpx.Client:
        """Return a client for Label Studio's pages that shows no key and keeps cookies, as a browser does."""
        return httpx.Client(
            base_url=self.url,
            timeout=self._timeout_s,
            follow_redirects=True,
            transport=self._transport,
            event_hooks=self._bounds,
        )

    def authorization(self) -> str:
        """Return the header value for Label Studio's own files; an access token is renewed when it expired."""
        return str(self._guarded("POST", "the key", self._wrapper.get_headers)["Authorization"])

    def request(
        self,
        method: str,
        path: str,
        subject: str,
        *,
        params: Mapping[str, Any] | None = None,
        body: Any = None,  # noqa: ANN401 - any JSON
        files: Mapping[str, tuple[str, bytes]] | None = None,
        timeout_s: float | None = None,
    ) -> httpx.Response:
        """Send a request.

        Parameters
        ----------
        subject : str
            What it is about, for messages.
        files : mapping, optional
            Name and content by form field.
        timeout_s : float, optional
            In place of the usual one.

        Raises
        ------
        LostAnswerError
            If Label Studio may have done it, or may do it still.
        RefusedError
            If it answered with another error status.
        LabelStudioError
            If it was not reached, or something else answers at its address.
        """
        options: Any = {
            "timeout_in_seconds": timeout_s or self._timeout_s,
            "max_retries": 0 if method == "POST" else RETRIES,
            "additional_query_parameters": dict(params or {}),
        }
        answer: httpx.Response = self._guarded(
            method,
            subject,
            lambda: self._wrapper.httpx_client.request(
                path, method=method, json=body, files=files, request_options=options
            ),
        )
        if answer.is_error:
            raise self._refusal(answer.status_code, _json_of(answer, answer.text), subject) from None
        return answer

    def json(self, method: str, path: str, subject: str, **more: Any) -> Any:  # noqa: ANN401 - whatever is answered
        """Send a request, and read the JSON that is answered; what is none is not shown, as it may hold tasks."""
        return self.json_and_headers(method, path, subject, **more)[0]

    def json_and_headers(
        self,
        method: str,
        path: str,
        subject: str,
        **more: Any,  # noqa: ANN401 - as request
    ) -> tuple[Any, httpx.Headers]:
        """Send a request, and read the JSON that is answered."""
        answer = self.request(method, path, subject, **more)
        try:
            return answer.json(), answer.headers
        except UNREADABLE:
            self._refuse_strangers()
            raise self._unreadable(method, subject) from None

    def _guarded(self, method: str, subject: str, send: Callable[[], Any]) -> Any:  # noqa: ANN401 - what it gives
        try:
            return send()
        except ApiError as error:
            raise self._refusal(error.status_code or 0, error.body, subject) from None
        except httpx.HTTPError as error:
            lost = method != "GET" and not isinstance(error, _NEVER_SENT)
            raise (LostAnswerError if lost else LabelStudioError)(
                f"Label Studio at {self.url} cannot be reached for {subject} ({_cause(error)}); is it running, "
                "and is LABEL_STUDIO_URL right as seen from here?"
            ) from None
        except (*UNREADABLE, TypeError, KeyError, AttributeError):  # the SDK reads what it gets for a token
            raise self._unreadable(method, subject) from None

    def _unreadable(self, method: str, subject: str) -> LabelStudioError:
        return (LabelStudioError if method == "GET" else LostAnswerError)(
            f"what Label Studio at {self.url} answered about {subject} cannot be read: it is no JSON, or is "
            "cut off"
        )

    def other_form(self) -> LabelStudioError:
        """Return the error for an answer that is JSON of another form than Label Studio's."""
        try:
            self._refuse_strangers()
        except LabelStudioError as error:
            return error
        return LabelStudioError(
            f"what Label Studio at {self.url} answered has another form than that of the versions that are known "
            "here; is there a proxy that answers in its place?"
        )

    def _refusal(self, status: int, body: Any, subject: str) -> LabelStudioError:  # noqa: ANN401 - any answer
        reason = _reason(body)
        if status in _LOST:
            return LostAnswerError(f"Label Studio at {self.url} answered {status} about {subject}: {reason}")
        if status in (httpx.codes.NOT_FOUND, httpx.codes.METHOD_NOT_ALLOWED) or not isinstance(body, dict | list):
            try:
                self._refuse_strangers()
            except LabelStudioError as error:
                return error
        if status in (httpx.codes.UNAUTHORIZED, httpx.codes.FORBIDDEN):
            sentence = (
                f"refused the token for {subject} ({status}); check "
                "LABEL_STUDIO_API_KEY, and that legacy tokens are on if it is one" + (reason and f" ({reason})")
            )
        elif status == httpx.codes.NOT_FOUND:
            sentence = f"has no {subject}, or the account may not see it (404)"
        else:
            sentence = f"answered {status} about {subject}: {reason}"
        return RefusedError(f"Label Studio at {self.url} {sentence}", status, reason)

    def _refuse_strangers(self) -> None:
        """Raise where another program answers at the address."""
        try:
            answer = self._connections.get(f"{self.url}/api/version", timeout=_PROBE_S)
        except httpx.HTTPError:
            return
        version = _json_of(answer, None)
        if answer.is_server_error or (isinstance(version, dict) and "release" in version):
            return
        body = "a page" if version is None else "something else"
        raise LabelStudioError(
            f"{self.url}/api/version answers {answer.status_code} with {body}, not with Label Studio's version: "
            "this is a proxy, a login page, another program or a wrong path; set LABEL_STUDIO_URL to Label "
            "Studio's own address, with its path if it is served below one"
        )


def bounds(
    timeout_s: float, clock: Callable[[], float] = time.monotonic, *, largest: int | None = None
) -> dict[str, list[Callable[[httpx.Response], None]]]:
    """Return the hooks of a client that let an answer be read only up to a size and a time.

    Silence has a timeout, a trickle would have none: it ends after so many timeouts of the request.

    Parameters
    ----------
    timeout_s : float
        Of the client.
    largest : int, optional
        Bytes, in place of `LARGEST_ANSWER`.
    """

    def bound(response: httpx.Response) -> None:
        seconds = (response.request.extensions.get("timeout") or {}).get("read") or timeout_s
        stream, address = response.stream, response.request.url
        if isinstance(stream, httpx.SyncByteStream):
            place, ends_at = f"{address.scheme}://{address.netloc.decode()}", clock() + _PATIENCE * seconds
            response.stream = _Bounded(stream, clock, ends_at, largest or LARGEST_ANSWER, place)

    return {"response": [bound]}


class _Bounded(httpx.SyncByteStream):
    def __init__(
        self,
        stream: httpx.SyncByteStream,
        clock: Callable[[], float],
        ends_at: float,
        largest: int,
        place: str,
    ) -> None:
        self._stream, self._clock, self._ends_at = stream, clock, ends_at
        self._largest, self._place = largest, place

    def __iter__(self) -> Iterator[bytes]:
        size = 0
        for chunk in self._stream:
            size += len(chunk)
            if size > self._largest or self._clock() > self._ends_at:
                raise LostAnswerError(
                    f"what answers at {self._place} does not come to an end ({size / 2**20:.0f} MiB so far); is "
                    "this the right address?"
                )
            yield chunk

    def close(self) -> None:
        self._stream.close()


def _checked(url: str, api_key: str) -> str:
    """Return the address, where it and the key can be ones."""
    url = url.strip().rstrip("/")
    for name, value in (("LABEL_STUDIO_URL", url), ("LABEL_STUDIO_API_KEY", api_key.strip())):
        if not value:
            raise SettingsError(
                f"{name} is not set; set it in the environment or in .env "
                "(the token is in Label Studio under Account & Settings)"
            )
    if "@" in url:
        raise SettingsError("LABEL_STUDIO_URL holds a password; the token in LABEL_STUDIO_API_KEY is enough")
    if not api_key.isascii():
        raise SettingsError("LABEL_STUDIO_API_KEY is no token: it holds letters that no token has")
    try:
        address = httpx.URL(url)
    except httpx.InvalidURL as error:
        raise SettingsError(f"LABEL_STUDIO_URL is {url!r}, which is no address: {error}") from None
    if address.scheme not in ("http", "https") or not address.host:
        raise SettingsError(
            f"LABEL_STUDIO_URL is {url!r}, which does not begin with http:// or https:// and a host; "
            "use an address such as http://localhost:8080"
        )
    return url


def _cause(error: httpx.HTTPError) -> str:
    """Name what went wrong in words; what httpx says may be empty."""
    words = str(error)
    if isinstance(error, httpx.TimeoutException):
        return f"no answer in time, {type(error).__name__}"
    if "WRONG_VERSION_NUMBER" in words:
        return "it does not speak TLS: the address begins with http://, not https://"
    if "CERTIFICATE_VERIFY_FAILED" in words or isinstance(error.__cause__, ssl.SSLCertVerificationError):
        return f"its certificate is not trusted, name the one to trust in SSL_CERT_FILE: {words}"
    return f"{type(error).__name__}: {words}" if words else type(error).__name__


def _json_of(answer: httpx.Response, otherwise: Any) -> Any:  # noqa: ANN401 - whatever was answered
    try:
        return answer.json()
    except UNREADABLE:
        return otherwise


def _reason(body: Any) -> str:  # noqa: ANN401 - whatever was answered
    """Return the sentences of a refusal in one line: those about single fields as well."""
    detail = body
    if isinstance(body, dict):
        fields = body.get("validation_errors")
        detail = body.get("detail") or (body if fields is None else "")
        if isinstance(fields, dict):
            detail = [
                sentence for many in fields.values() for sentence in (many if isinstance(many, list) else [many])
            ]
    if isinstance(detail, list):
        detail = " ".join(sentence if isinstance(sentence, str) else json.dumps(sentence) for sentence in detail)
    shown = "".join(letter if letter.isprintable() else " " for letter in str(detail))
    return " ".join(shown.split())[:_LONGEST_REASON]
