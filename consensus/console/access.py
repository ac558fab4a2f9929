"""Who may see and do what: accounts of Label Studio with the roles that the settings give them."""

import time
from collections.abc import Callable
from dataclasses import dataclass
from enum import IntEnum
from typing import ParamSpec, TypeVar

from flask import current_app, g, redirect, request, session, url_for
from flask.typing import ResponseReturnValue
from werkzeug.exceptions import Forbidden

from consensus.console.sessions import Sessions

Parameters = ParamSpec("Parameters")
Answer = TypeVar("Answer")

LONGEST_S = 12 * 3600.0
"""After so long one signs in again, whatever one does meanwhile."""
_NEEDS = "console_needs"


class Role(IntEnum):
    """What an account may do; each may do what those below it may."""

    NOBODY = 0
    ANNOTATOR = 1
    REVIEWER = 2
    ADMIN = 3


@dataclass(frozen=True)
class Member:
    """Who has signed in.

    Parameters
    ----------
    email : str
        Of the account in Label Studio.
    """

    email: str
    role: Role


@dataclass(frozen=True)
class Roles:
    """Who is what; everybody else with an account in Label Studio is an annotator.

    Parameters
    ----------
    admins, reviewers : frozenset of str
        E-mail addresses, in lower case.
    """

    admins: frozenset[str] = frozenset()
    reviewers: frozenset[str] = frozenset()

    def of(self, email: str, *, owner: bool) -> Role:
        """Return the role of an account; the one that consensus itself works with is an admin.

        Examples
        --------
        >>> roles = Roles(admins=frozenset({"ann@example.com"}))
        >>> roles.of("Ann@example.com", owner=False).name, roles.of("bob@example.com", owner=False).name
        ('ADMIN', 'ANNOTATOR')
        """
        if owner or email.lower() in self.admins:
            return Role.ADMIN
        return Role.REVIEWER if email.lower() in self.reviewers else Role.ANNOTATOR


def addresses_in(text: str) -> frozenset[str]:
    """Return the e-mail addresses of a setting, which commas separate."""
    return frozenset(part.strip().lower() for part in text.split(",") if part.strip())


def needs(role: Role) -> Callable[[Callable[Parameters, Answer]], Callable[Parameters, Answer]]:
    """Say which role a page asks for; a page that says nothing is shown to nobody."""

    def mark(view: Callable[Parameters, Answer]) -> Callable[Parameters, Answer]:
        setattr(view, _NEEDS, role)
        return view

    return mark


def sign_in(email: str, *, owner: bool) -> None:
    """Begin a session, with nothing of the one before in it."""
    session.clear()
    session.permanent = True
    session.update(email=email, owner=owner, since=time.time())


def member(roles: Roles, sessions: Sessions) -> Member | None:
    """Return who has signed in; None where nobody has, it was too long ago, or the session holds no longer."""
    since = session.get("since")
    if not isinstance(since, float) or not 0 <= time.time() - since < LONGEST_S:
        return None
    email = str(session["email"])
    if not sessions.holds(email, since):
        return None
    return Member(email, roles.of(email, owner=session["owner"] is True and sessions.is_owner(email)))


def admit(roles: Roles, sessions: Sessions) -> ResponseReturnValue | None:
    """Let in who may see what is asked for; who has not signed in is led there, and comes back afterwards."""
    g.member = None
    if request.endpoint == "static":  # how pages look is no secret
        return None
    g.member = member(roles, sessions)
    view = current_app.view_functions.get(request.endpoint or "")
    if view is None:
        # An address that is not there is told to members alone.
        return None if g.member else _to_the_door()
    needed: Role | None = getattr(view, _NEEDS, None)
    if needed is Role.NOBODY:
        return None
    if g.member is None:
        return _to_the_door()
    if needed is None or g.member.role < needed:
        raise Forbidden(
            f"{g.member.email} may not see this page: it is for "
            f"{'admins' if needed is None or needed is Role.ADMIN else 'reviewers and admins'}. "
            "An admin names them in CONSENSUS_ADMINS or CONSENSUS_REVIEWERS."
        )
    return None


def _to_the_door() -> ResponseReturnValue:
    asked = request.script_root + request.full_path.rstrip("?") if request.method == "GET" else None
    return redirect(url_for("sign_in.ask", next=asked), 303)
