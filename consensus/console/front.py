"""One address for both: programs reach the API, people the console."""

from collections.abc import Iterable
from typing import TYPE_CHECKING

from flask import Flask

if TYPE_CHECKING:
    from wsgiref.types import StartResponse, WSGIEnvironment

API = frozenset({"api", "health", "metrics", "openapi.json", "webhook"})
"""First words of the paths that the API answers; all others are pages."""


class Front:
    """The API and the console as one application.

    Parameters
    ----------
    prefix : str
        Path before the addresses of the pages, where a proxy puts them below one; as in "/consensus".
    https : bool
        Whether people come over TLS, which a proxy ends.
    """

    def __init__(self, api: Flask, console: Flask, prefix: str = "", *, https: bool = False) -> None:
        self._api, self._console, self._prefix, self._https = api, console, prefix, https

    def __call__(self, environ: "WSGIEnvironment", start_response: "StartResponse") -> Iterable[bytes]:
        """Answer a request, whether or not the proxy has taken the prefix off its path."""
        path = str(environ.get("PATH_INFO", ""))
        if path.lstrip("/").partition("/")[0] in API:
            return self._api(environ, start_response)
        if self._prefix:
            if path == self._prefix or path.startswith(f"{self._prefix}/"):
                path = path.removeprefix(self._prefix)
            environ = {**environ, "SCRIPT_NAME": self._prefix, "PATH_INFO": path or "/"}
        if self._https:
            environ = {**environ, "wsgi.url_scheme": "https"}
        return self._console(environ, start_response)
