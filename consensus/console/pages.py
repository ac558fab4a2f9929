"""What all pages are made with: where they lead, pages of long lists, and how values are written."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from math import nan
from typing import Any

from flask import Flask, g, request, url_for
from werkzeug.exceptions import BadRequest

from consensus.console import charts
from consensus.console.access import Role
from consensus.serving.reading import question
from consensus.serving.service import service
from consensus.store.columns import Row

Behind = Callable[[Row | None, int], list[Row]]

NAVIGATION: list[tuple[str, str, Role]] = [
    ("overview.project", "Overview", Role.ADMIN),
    ("reports.report", "Reports", Role.ADMIN),
    ("grid.grid", "Grid", Role.ADMIN),
    ("review.queues", "Review", Role.REVIEWER),
    ("assist.suggestions", "AI-assist", Role.ADMIN),
    ("people.people", "People", Role.ADMIN),
    ("pay.pay", "Pay", Role.ADMIN),
    ("history.runs", "History", Role.ADMIN),
    ("setup.setup", "Set-up", Role.ADMIN),
    ("me.me", "My work", Role.ANNOTATOR),
]
"""Pages of a project: endpoint, name, and who sees them; each room of pages adds its own."""
_DAY_S, _HOUR_S, _MINUTE_S = 86_400, 3_600, 60


@dataclass(frozen=True)
class Page:
    """A page of a long list.

    Parameters
    ----------
    following : str or None
        Address of the next one; None where this is the last.
    first : str or None
        Address of the first one; None where this is it.
    previous : str or None
        Address of the one before; None where this is the first one, or the list is read forwards alone.
    """

    rows: list[Row]
    following: str | None
    first: str | None
    previous: str | None = None


def page(place: Sequence[str], behind: Behind, limit: int, ahead: Behind | None = None) -> Page:
    """Read the page that the address asks for.

    Parameters
    ----------
    place : sequence of str
        The columns that order the rows and name one.
    behind : callable
        Reads so many rows behind a row; None: from the beginning.
    ahead : callable, optional
        Reads so many rows before a row, the nearest first.
    """
    after, before, cursors = request.args.get("after"), request.args.get("before"), service().cursors
    asked = question(by_form=True)

    def cursor(row: Row) -> str:
        return cursors.make(asked, {name: row[name] for name in place})

    if ahead and before:
        rows = ahead(cursors.read(asked, before), limit + 1)
        if len(rows) > limit:
            rows = rows[:limit][::-1]
            previous, following = with_filters(before=cursor(rows[0])), with_filters(after=cursor(rows[-1]))
            return Page(rows, following, with_filters(), previous)
        after = None  # it is the first page
    rows = behind(cursors.read(asked, after), limit + 1)
    return Page(
        rows[:limit],
        with_filters(after=cursor(rows[limit - 1])) if len(rows) > limit else None,
        with_filters() if after else None,
        with_filters(before=cursor(rows[0])) if ahead and after and rows else None,
    )


def with_filters(**changed: object) -> str:
    """Return the address of this page with some of its filters changed; None takes one off."""
    filters = {name: values for name, values in request.args.lists() if name not in ("after", "before")}
    filters |= {name: [str(value)] for name, value in changed.items() if value is not None}
    chosen = {
        name: [value for value in values if value]
        for name, values in filters.items()
        if changed.get(name, "") is not None
    }
    return url_for(str(request.endpoint), **(request.view_args or {}), **chosen)  # type: ignore[arg-type]


def share_in(text: str | None, name: str, example: float = 0.95) -> float | None:
    """Read a share that somebody has typed; None where nothing was.

    Parameters
    ----------
    name : str
        What the refusal calls it.

    Raises
    ------
    BadRequest
        Where it is no number from 0 to 1.
    """
    if not text:
        return None
    try:
        share = float(text)
    except ValueError:
        share = nan
    if not 0 <= share <= 1:
        raise BadRequest(f"{name} is {text!r}; use a number from 0 to 1, as in {example:g}")
    return share


def text_in(fields: Mapping[str, str], name: str) -> str | None:
    """Read a text that somebody has typed; None where nothing was.

    Raises
    ------
    BadRequest
        Where no database keeps it.
    """
    text = fields.get(name) or None
    if text and "\0" in text:
        raise BadRequest(f"{name} has a character that stands for nothing")
    return text


def install(app: Flask) -> None:
    """Give the templates what they write values with."""
    app.jinja_env.filters |= {
        "percent": percent, "moment": moment, "ago": ago, "counted": counted, "duration": duration,
    }  # fmt: skip
    app.jinja_env.globals |= {"charts": charts, "with_filters": with_filters, "Role": Role}
    app.context_processor(_around)


def _around() -> dict[str, Any]:
    """Say where the page is: whose it is, and where one may go from here."""
    member, project = g.get("member"), (request.view_args or {}).get("project")
    role = member.role if member else Role.NOBODY
    links = [
        (
            url_for(endpoint, project=project),
            name,
            (request.endpoint or "").split(".")[0] == endpoint.split(".")[0],
        )
        for endpoint, name, needed in NAVIGATION
        if project is not None and role >= needed
    ]
    return {"member": member, "project": project, "links": links}


def percent(share: float | None, digits: int = 0) -> str:
    """Write a share.

    Examples
    --------
    >>> percent(0.256), percent(0.9996), percent(None)
    ('26 %', '> 99 %', '-')
    """
    if share is None:
        return "-"
    if not digits and 0.995 <= share < 1:  # noqa: PLR2004 - what would be rounded to a certainty
        return "> 99 %"
    if not digits and 0 < share < 0.005:  # noqa: PLR2004 - the same
        return "< 1 %"
    return f"{100 * share:.{digits}f} %"


def counted(number: int, unit: str, units: str = "") -> str:
    """Write a number with what is counted.

    Examples
    --------
    >>> counted(1, "task"), counted(12345, "task"), counted(2, "query", "queries")
    ('1 task', '12,345 tasks', '2 queries')
    """
    return f"{number:,} {unit if number == 1 else units or unit + 's'}"


def utc(value: datetime) -> datetime:
    """Return a moment of the store with its zone, which SQLite forgets."""
    return value.replace(tzinfo=value.tzinfo or UTC)


def moment(value: datetime | str | None) -> str:
    """Write a moment of UTC to the minute."""
    if value is None:
        return "-"
    at = datetime.fromisoformat(value) if isinstance(value, str) else value
    return utc(at).astimezone(UTC).strftime("%Y-%m-%d %H:%M UTC")


def ago(value: datetime | str | None, now: datetime | None = None) -> str:
    """Write how long ago a moment was.

    Examples
    --------
    >>> ago("2026-01-01T00:00:00+00:00", datetime(2026, 1, 1, 5, tzinfo=UTC))
    '5 hours ago'
    """
    if value is None:
        return "never"
    at = datetime.fromisoformat(value) if isinstance(value, str) else value
    seconds = ((now or datetime.now(UTC)) - utc(at)).total_seconds()
    return "just now" if seconds < _MINUTE_S else f"{duration(seconds)} ago"


def duration(seconds: float | None) -> str:
    """Write a length of time in its largest unit.

    Examples
    --------
    >>> duration(7), duration(3700), duration(200_000)
    ('7 seconds', '1 hour', '2 days')
    """
    if seconds is None:
        return "-"
    for length, name in ((_DAY_S, "day"), (_HOUR_S, "hour"), (_MINUTE_S, "minute")):
        if seconds >= length:
            return counted(int(seconds // length), name)
    return counted(int(seconds), "second")
