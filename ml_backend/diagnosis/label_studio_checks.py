"""Checks of Label Studio itself: where it is, which one, whether the key lets us in, what time it has."""

from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from urllib.parse import urlsplit

from common.doctor import Finding, fine, problem, warning
from ml_backend.diagnosis.state import LabelStudioState
from ml_backend.label_studio.backend_address import without_password

KNOWN_RELEASE = "1.23."

_NOT_FOUND = 404
_SKEW_S = 30
_SOON = timedelta(days=14)
_PERSONAL = "Account & Settings > Personal Access Token"
_RENEW = f"make a new personal access token ({_PERSONAL}) and set LABEL_STUDIO_API_KEY to it"
_WHY = "neither training nor predictions can reach Label Studio"
_LEGACY_IS_OFF = "legacy token authentication has been disabled"


def settings(state: LabelStudioState, _now: datetime) -> Iterator[Finding]:
    """Look whether address and key are given."""
    if state.missing:
        yield problem(
            f"{' and '.join(state.missing)} not set",
            "without them the backend can neither read annotations nor store predictions",
            "set them in the environment or in .env; the key is under Account & Settings in Label Studio",
        )


def address(state: LabelStudioState, _now: datetime) -> Iterator[Finding]:
    """Look whether Label Studio answers at its address."""
    if not state.url:
        return
    reply, shown = state.version, without_password(state.url)
    if not reply.answered:
        yield problem(
            f"nothing answers at {shown}: {reply.error}",
            _WHY,
            "start Label Studio, or set LABEL_STUDIO_URL to its address as seen from here",
        )
    elif reply.body is None or "release" not in reply.body:
        body = "a page" if reply.body is None else "something else"
        yield problem(
            f"{shown}/api/version answers {reply.status} with {body}, not with Label Studio's version",
            "every call will fail: this is a proxy, a login page, another program, or a wrong path",
            "set LABEL_STUDIO_URL to Label Studio's own address, with its path if it is served below one",
        )
    elif urlsplit(reply.url)[:2] != urlsplit(state.url)[:2]:
        yield warning(
            f"{shown} leads on to {_origin(reply.url)}",
            "each call takes two requests, and writes can be lost in a redirect",
            f"set LABEL_STUDIO_URL to {_origin(reply.url)}",
        )
    else:
        yield fine(f"Label Studio answers at {shown}")


def release(state: LabelStudioState, _now: datetime) -> Iterator[Finding]:
    """Look whether it is a release that this backend was tested with."""
    if state.version.body is None or "release" not in state.version.body:
        return
    version = str(state.version.body["release"])
    if version.startswith(KNOWN_RELEASE):
        yield fine(f"release {version}")
    else:
        yield warning(
            f"release {version}",
            f"this backend is tested with {KNOWN_RELEASE}x; other releases may behave in another way",
            "try it on a copy first",
        )


def key(state: LabelStudioState, now: datetime) -> Iterator[Finding]:
    """Look whether the key lets us in, and how long it will."""
    if not state.key.kind or state.version.body is None:
        return
    expires_at = state.key.expires_at
    if state.refused:
        yield _refused(state, now)
    elif state.key.kind == "legacy":
        yield fine("the legacy token lets us in")
    elif expires_at and expires_at - now < _SOON:
        yield warning(
            f"the personal access token expires on {_day(expires_at)}",
            "from then on nothing is trained and no prediction is stored",
            _RENEW,
        )
    else:
        yield fine("the personal access token lets us in" + (f" until {_day(expires_at)}" if expires_at else ""))


def clock(state: LabelStudioState, _now: datetime) -> Iterator[Finding]:
    """Look whether Label Studio has our time."""
    ahead = state.version.ahead_s
    if ahead is None:
        return
    if abs(ahead) < _SKEW_S:
        yield fine("its clock and ours agree")
    else:
        yield warning(
            f"its clock is {abs(ahead):.0f} s {'ahead of' if ahead > 0 else 'behind'} ours",
            "what changed lately is found by its time, and access tokens live for 300 s: both go wrong",
            "let both machines follow a time server (timedatectl set-ntp true)",
        )


CHECKS: dict[str, Callable[[LabelStudioState, datetime], Iterator[Finding]]] = {
    "settings": settings,
    "address": address,
    "release": release,
    "key": key,
    "clock": clock,
}


def _refused(state: LabelStudioState, now: datetime) -> Finding:
    if state.key.kind != "legacy":
        return _token_refused(state, now)
    if _LEGACY_IS_OFF in state.refused:
        return problem(
            "LABEL_STUDIO_API_KEY is a legacy token, and those are switched off",
            _WHY,
            f"{_RENEW}; or switch legacy tokens on: Organization > API Tokens Settings, or "
            "LABEL_STUDIO_ENABLE_LEGACY_API_TOKEN=true at Label Studio's first start",
        )
    if state.refused_with == _NOT_FOUND:
        return problem(
            f"{without_password(state.url)} has a path that is not Label Studio's",
            _WHY,
            "set LABEL_STUDIO_URL to its address without that path",
        )
    return problem(
        f"Label Studio refuses the key ({state.refused_with}: {state.refused})",
        _WHY,
        "set LABEL_STUDIO_API_KEY to the token of an account that may edit the projects (Account & Settings)",
    )


def _token_refused(state: LabelStudioState, now: datetime) -> Finding:
    expires_at = state.key.expires_at
    if state.key.kind == "access":
        return problem(
            "LABEL_STUDIO_API_KEY is an access token, which lives for 300 s",
            _WHY,
            f"give the token of {_PERSONAL}",
        )
    if expires_at and expires_at <= now:
        return problem(f"the personal access token expired on {_day(expires_at)}", _WHY, _RENEW)
    if urlsplit(state.url).path.strip("/"):
        return problem(
            f"the personal access token does not let us in ({state.refused})",
            "it is exchanged below Label Studio's host, without the path that LABEL_STUDIO_URL has",
            "use a legacy token, or serve Label Studio at the root of a host of its own",
        )
    return problem(f"the personal access token does not let us in: {state.refused}", _WHY, _RENEW)


def _origin(url: str) -> str:
    address = urlsplit(without_password(url))
    return f"{address.scheme}://{address.netloc}"


def _day(when: datetime) -> str:
    return f"{when.astimezone(UTC):%Y-%m-%d}"
