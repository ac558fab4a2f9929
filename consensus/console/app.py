"""The application of the console: its pages, who may see them, and how they refuse."""

import hashlib
import hmac
import secrets
from datetime import timedelta

import structlog
from flask import Flask, Response, g, render_template, request
from flask.typing import ResponseReturnValue
from flask_wtf.csrf import CSRFError, CSRFProtect
from werkzeug.exceptions import HTTPException

from common.errors import LabelStudioError, SuiteError
from common.logs import fault
from consensus.console import (
    access,
    acting,
    cost,
    exporting,
    grid,
    history,
    me,
    overview,
    pages,
    people,
    picture_pages,
    reports,
    review,
    thresholds,
)
from consensus.console.desk import EXTENSION, Console
from consensus.console.sign_in import door_pages
from consensus.errors import StoreError
from consensus.serving.service import EXTENSION as SERVICE
from consensus.transfer.datasets import LARGEST_LIST

LOG = structlog.get_logger()

LARGEST_FORM = 8 << 20
"""Bytes; 500 rows that are chosen are 20 kB."""
_POLICY = "default-src 'self'; object-src 'none'; base-uri 'none'; frame-ancestors 'none'; form-action 'self'"
_HEADERS = {
    "Content-Security-Policy": _POLICY,
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Permissions-Policy": "camera=(), geolocation=(), microphone=()",
}


def create_console(console: Console) -> Flask:
    """Make the application of a console."""
    app = Flask(__name__)
    app.config.update(
        SECRET_KEY=_key(console.secret),
        SESSION_COOKIE_NAME="consensus_session",
        SESSION_COOKIE_PATH=console.prefix or "/",  # what else is behind the proxy does not get it
        SESSION_COOKIE_HTTPONLY=True,
        SESSION_COOKIE_SAMESITE="Lax",
        SESSION_COOKIE_SECURE=console.public_url.startswith("https://"),
        PERMANENT_SESSION_LIFETIME=timedelta(seconds=access.LONGEST_S),
        MAX_CONTENT_LENGTH=LARGEST_FORM,
        MAX_FORM_MEMORY_SIZE=LARGEST_FORM,
        WTF_CSRF_TIME_LIMIT=None,  # it ends with the session
        WTF_CSRF_SSL_STRICT=False,  # behind a proxy the name that is asked for is not the page's
    )
    app.jinja_options = {"trim_blocks": True, "lstrip_blocks": True}
    app.extensions |= {SERVICE: console.service, EXTENSION: console}
    app.before_request(lambda: _make_room(console))
    CSRFProtect(app)
    app.before_request(lambda: access.admit(console.roles, console.sessions))
    app.after_request(_secure)
    for part in (
        door_pages,
        overview.overview_pages,
        reports.report_pages,
        grid.grid_pages,
        review.review_pages,
        thresholds.assist_pages,
        people.people_pages,
        cost.pay_pages,
        history.history_pages,
        exporting.setup_pages,
        me.own_pages,
        acting.acting_pages,
        picture_pages.picture_pages,
    ):
        app.register_blueprint(part)
    pages.install(app)
    app.register_error_handler(HTTPException, _refused)
    app.register_error_handler(SuiteError, _unable)
    app.register_error_handler(Exception, _failed)
    return app


def _make_room(console: Console) -> None:
    """Take a larger form where an admin sends a list of images, before anybody reads it."""
    if request.endpoint == "setup.send_list":
        member = access.member(console.roles, console.sessions)
        if member and member.role is access.Role.ADMIN:
            request.max_content_length = LARGEST_LIST + LARGEST_FORM


def _key(secret: str) -> bytes:
    """Derive the key of the sessions: whoever sees a cookie learns nothing of the service's token."""
    return hmac.new((secret or secrets.token_hex()).encode(), b"sessions of the console", hashlib.sha256).digest()


def _secure(response: Response) -> Response:
    for name, value in _HEADERS.items():
        response.headers.setdefault(name, value)
    if request.endpoint != "static":
        response.headers.setdefault("Cache-Control", "private, no-store")
    return response


def _refused(error: HTTPException) -> ResponseReturnValue:
    """Show what werkzeug would say, in a page that leads on."""
    why = str(error.description or "")
    if isinstance(error, CSRFError):
        why = "This form is of an earlier session: go back, reload it, and send it again."
    if isinstance(error.response, Response):
        return error.response
    headers = [(name, value) for name, value in error.get_headers() if name.lower() != "content-type"]
    return *_page(error.name, why, error.code or 500), headers


def _unable(error: SuiteError) -> ResponseReturnValue:
    """Show why the store or Label Studio could not do what was asked."""
    if isinstance(error, StoreError):
        return _page("The store cannot be read now", str(error), 503)
    if isinstance(error, LabelStudioError):
        return _page("Label Studio did not do it", str(error), 502)
    return _page("That cannot be done", str(error), 400)


def _failed(error: Exception) -> ResponseReturnValue:
    """Show nothing of a fault of ours, and log its kind and place."""
    LOG.error("request_failed", route=request.url_rule.rule if request.url_rule else "other", **fault(error))
    return _page("Something went wrong here", "The log of consensus serve says more.", 500)


def _page(title: str, why: str, status: int) -> tuple[str, int]:
    g.setdefault("member", None)
    return render_template("problem.html", title=title, why=why, status=status), status
