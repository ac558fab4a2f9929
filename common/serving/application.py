"""An application that reads strict JSON, refuses in JSON, describes itself, and says who may call."""

import time
from collections.abc import Collection
from datetime import UTC, datetime
from typing import Any

from flask import current_app, g, request
from flask.json.provider import DefaultJSONProvider
from flask_openapi3.models.info import Info
from flask_openapi3.openapi import OpenAPI
from werkzeug.datastructures import WWWAuthenticate
from werkzeug.exceptions import Unauthorized

from common.serving import refusals
from common.serving.credentials import Access, Credentials
from common.serving.strict_json import StrictRequest

_CREDENTIALS, _BARE = "credentials", "bare"


class _Json(DefaultJSONProvider):
    sort_keys = False

    @staticmethod
    def default(value: object) -> object:
        """Write a moment as the rest of the world does; a database that knows no time zone keeps UTC."""
        if isinstance(value, datetime):
            moment = value if value.tzinfo else value.replace(tzinfo=UTC)
            return moment.astimezone(UTC).isoformat().replace("+00:00", "Z")
        return DefaultJSONProvider.default(value)


class Application(OpenAPI):
    """One whose requests and answers are JSON; its document is made of its routes, and no page is around it.

    Parameters
    ----------
    name : str
        Of the module that makes it.
    title : str
        Of its document.
    log : str
        Whose log says more of a fault, as in "the backend's log".
    max_bytes : int
        The largest body.
    credentials : Credentials
        What each call has to show.
    bare : collection of str
        Routes that say a little without credentials as well.
    """

    request_class = StrictRequest
    json_provider_class = _Json

    def __init__(
        self, name: str, title: str, log: str, max_bytes: int, credentials: Credentials, bare: Collection[str]
    ) -> None:
        super().__init__(
            name,
            info=Info(title=title, version="1.0.0"),
            doc_ui=False,
            static_folder=None,
            validation_error_status=400,
            validation_error_model=refusals.Problem,
            validation_error_callback=refusals.invalid,
        )
        self.config["MAX_CONTENT_LENGTH"] = max_bytes
        self.url_map.merge_slashes = self.url_map.strict_slashes = False  # no address is redirected
        self.extensions |= {_CREDENTIALS: credentials, _BARE: frozenset(bare)}
        self.before_request(_admit)
        refusals.install(self, log)


def route() -> str:
    """Return the rule that the request is answered by, as metrics name it."""
    return request.url_rule.rule if request.url_rule else "other"


def _admit() -> None:
    """Refuse who shows no credentials, or wrong ones, before anything of the request is read."""
    g.began = time.monotonic()
    extensions: dict[str, Any] = current_app.extensions
    credentials: Credentials = extensions[_CREDENTIALS]
    g.access = credentials.access(request.headers.get("Authorization"))
    if g.access in (Access.OPEN, Access.GRANTED) or (g.access is Access.MISSING and route() in extensions[_BARE]):
        return
    ways = {"basic": "an account, as in Settings > Model of Label Studio", "bearer": "a bearer token"}
    challenges = credentials.challenges()
    raise Unauthorized(
        f"this service asks for credentials: {', or '.join(ways[scheme] for scheme in challenges)}",
        www_authenticate=[WWWAuthenticate(scheme, values) for scheme, values in challenges.items()],
    )
