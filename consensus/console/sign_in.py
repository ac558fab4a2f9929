"""Signing in with the account of Label Studio, and out."""

from contextlib import closing
from hashlib import sha256
from urllib.parse import urlsplit

from flask import Blueprint, flash, g, redirect, render_template, request, session, url_for
from flask.typing import ResponseReturnValue

from common.errors import SettingsError, SuiteError
from common.label_studio.client import LabelStudioClient
from common.label_studio.session import Session
from consensus.console.access import Role, needs, sign_in
from consensus.console.desk import console
from consensus.label_studio import Studio
from consensus.serving.service import service

LONGEST = 1_000
PATIENCE_S = 20.0

door_pages = Blueprint("sign_in", __name__)


@door_pages.get("/sign-in")
@needs(Role.NOBODY)
def ask() -> ResponseReturnValue:
    """Ask who it is."""
    if g.member:
        return redirect(_back(request.args.get("next")), 303)
    return render_template("sign_in.html", next=request.args.get("next", ""))


@door_pages.post("/sign-in")
@needs(Role.NOBODY)
def knock() -> ResponseReturnValue:
    """Send what was typed to Label Studio, once, and let in whom it knows."""
    email, password = (request.form.get(name, "")[:LONGEST].strip() for name in ("email", "password"))
    token = request.form.get("token", "")[:LONGEST].strip()
    came_from = request.form.get("next", "")
    if not token and not (email and password):
        return _refused("Type the e-mail address and the password of your account in Label Studio.", came_from)
    door, place = console().door, request.remote_addr or ""
    # Whoever has a token must neither clear the attempts at a password nor use up those of other tokens.
    name = sha256(token.encode()).hexdigest() if token else email.lower()
    door.check(name, place)
    try:
        with service().studio() as studio:
            owner, _ = studio.client.own_account()
            account = _by_token(studio, token) if token else _by_password(studio, email, password)
    except SuiteError as error:
        return _refused(f"Label Studio cannot be asked: {error}", came_from, 502)
    if account is None:
        return _refused("Label Studio knows no such account, or the password or token is wrong.", came_from)
    number, address = account
    door.admit(name, place)
    sign_in(address, owner=number == owner)
    return redirect(_back(came_from), 303)


@door_pages.post("/sign-out")
@needs(Role.ANNOTATOR)
def leave() -> ResponseReturnValue:
    """End the sessions of the account, also those in other browsers."""
    console().sessions.end(str(g.member.email))
    session.clear()
    flash("You have signed out, in other browsers too.")
    return redirect(url_for("sign_in.ask"), 303)


def _by_password(studio: Studio, email: str, password: str) -> tuple[int, str] | None:
    visitor = studio.client.signed_in(email, password)
    if visitor is None:
        return None
    with closing(visitor):
        row = visitor.get("api/current-user/whoami").json()
    return int(row["id"]), str(row["email"])


def _by_token(studio: Studio, token: str) -> tuple[int, str] | None:
    try:
        with LabelStudioClient(Session(studio.client.url, token, timeout_s=PATIENCE_S)) as client:
            return client.own_account()
    except (SettingsError, SuiteError):
        return None


def _refused(why: str, came_from: str, status: int = 401) -> ResponseReturnValue:
    return render_template("sign_in.html", why=why, next=came_from), status


def _back(address: str | None) -> str:
    """Return where somebody wanted to go, if that is a page of ours: never another site."""
    split = urlsplit(address or "")
    own = not split.scheme and not split.netloc and split.path.startswith("/")
    # A browser takes two slashes or more, of either kind, for the beginning of another site's name.
    leads_away = (address or "")[1:2] == "/" or "\\" in (address or "")
    return str(address) if own and not leads_away else url_for("overview.projects")
