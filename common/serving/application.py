"""An application that reads strict JSON, refuses in JSON, describes itself, and says who may call."""

import time
from collections.abc import Collection, Mapping
from datetime import UTC, datetime
from typing import Any

import structlog
from flask import current_app, g, request
from flask.json.provider import DefaultJSONProvider
from flask_openapi3.models.info import Info
from flask_openapi3.openapi import OpenAPI
from werkzeug.datastructures import WWWAuthenticate
from werkzeug.exceptions import MisdirectedRequest, Unauthorized

from common.serving import refusals
from common.serving.credentials import Access, Credentials
from common.serving.hosts import Hosts
from common.serving.strict_json import MAX_VALUES, VALUES, StrictRequest

log = structlog.get_logger()
_CREDENTIALS, _BARE, _HOSTS, _OF_ROUTES = "credentials", "bare", "hosts", "credentials of routes"


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
        Routes that say a little without credentials, and under any name, as well.
    max_values : int
        The most JSON values of a body.
    hosts : Hosts, optional
        The names under which it answers; any if left out.
    of_routes : mapping of str to Credentials, optional
        Others that let into single routes as well, and nowhere else.
    """

    request_class = StrictRequest
    json_provider_class = _Json

    def __init__(
        self,
        name: str,
        title: str,
        log: str,
        max_bytes: int,
        credentials: Credentials,
        bare: Collection[str],
        *,
        max_values: int = MAX_VALUES,
        hosts: Hosts | None = None,
        of_routes: Mapping[str, Credentials] | None = None,
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
        self.config[VALUES] = max_values
        self.url_map.merge_slashes = self.url_map.strict_slashes = False  # no address is redirected
        self.extensions |= {
            _CREDENTIALS: credentials,
            _BARE: frozenset(bare),
            _HOSTS: hosts,
            _OF_ROUTES: of_routes or {},
        }
        self.before_request(_admit)
        refusals.install(self, log)


def route() -> str:
    """Return the rule that the request is answered by, as metrics name it."""
    return request.url_rule.rule if request.url_rule else "other"


def _admit() -> None:
    """Refuse who shows no credentials, or wrong ones, before anything of the request is read."""
    g.began = time.monotonic()
    extensions: dict[str, Any] = current_app.extensions
    hosts: Hosts | None = extensions[_HOSTS]
    named = request.headers.get("Host", "")
    is_strange = hosts is not None and not hosts.allow(named)
    if hosts is not None and is_strange and route() not in extensions[_BARE]:
        log.warning("host_refused", host=named, remedy=f"name it in {hosts.setting}")
        raise MisdirectedRequest(hosts.refusal(named))
    credentials: Credentials = extensions[_CREDENTIALS]
    sent = request.headers.get("Authorization")
    g.access = credentials.access(sent)
    if g.access is Access.DENIED and (others := extensions[_OF_ROUTES].get(route())):
        g.access = others.access(sent)
    if is_strange and g.access is Access.OPEN:
        g.access = Access.MISSING
    if g.access in (Access.OPEN, Access.GRANTED) or (g.access is Access.MISSING and route() in extensions[_BARE]):
        return
    ways = {"basic": "an account, as in Settings > Model of Label Studio", "bearer": "a bearer token"}
    challenges = credentials.challenges()
    raise Unauthorized(
        f"this service asks for credentials: {', or '.join(ways[scheme] for scheme in challenges)}",
        www_authenticate=[WWWAuthenticate(scheme, values) for scheme, values in challenges.items()],
    )
