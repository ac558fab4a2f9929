"""Actions of consensus in the Data Manager of Label Studio Community: a file of its folder `data_manager/actions`.

It runs inside Label Studio, with nothing but the standard library and Label Studio itself. It is thin: which tasks
are meant, who asks, and one call of `consensus serve`, which does the work. Label Studio's environment says where
that is: CONSENSUS_URL and CONSENSUS_API_TOKEN. On a version of Label Studio that it was not tested with, its
actions say so and do nothing.
"""

import http.client
import json
import logging
import os
import re
import urllib.error
import urllib.parse
import urllib.request
import uuid
from collections.abc import Callable, Mapping, Sequence
from importlib.metadata import PackageNotFoundError, version
from typing import Any

Theirs = Any
"""An object of Label Studio's: a request, a project, a query, a user."""
Members = dict[str, Any]

TESTED = ("1.23.2",)
MOST_TASKS = 10_000
WAIT_S, LOOK_S = 30.0, 10.0
"""For an action, and for what a dialog shows before it."""
LARGEST_ANSWER = 1 << 20
COUNTED = "Nothing went wrong and nothing was written. "
"""Label Studio shows what an action answers only as an error."""

_LOG = logging.getLogger(__name__)


class Refused(Exception):  # noqa: N818 - what it says is shown, and it need not be an error
    """Something that the person is to be told instead."""

    def __init__(self, detail: str, status: int = 409) -> None:
        super().__init__(detail)
        self.status = status


def label_studio_version() -> str:
    """Return the version of the Label Studio around this file."""
    try:
        return version("label-studio")
    except PackageNotFoundError:
        return "unknown"


def why_off(environment: Mapping[str, str], installed: str) -> str:
    """Return why the actions can do nothing here; empty where they can.

    Examples
    --------
    >>> url, token = "http://127.0.0.1:9091", "a token of 32 characters or more"
    >>> why_off({"CONSENSUS_URL": url, "CONSENSUS_API_TOKEN": token}, "1.23.2")
    ''
    >>> why_off({"CONSENSUS_URL": url}, "1.23.2")
    "CONSENSUS_API_TOKEN is not set in Label Studio's environment"
    """
    if installed not in TESTED:
        return (
            f"consensus was tested with Label Studio {', '.join(TESTED)} and not with {installed}: it does nothing"
        )
    missing = [name for name in ("CONSENSUS_URL", "CONSENSUS_API_TOKEN") if not environment.get(name, "").strip()]
    if missing:
        return (
            f"{' and '.join(missing)} {'is' if len(missing) == 1 else 'are'} not set in Label Studio's environment"
        )
    if not re.match(r"https?://[^/]", environment["CONSENSUS_URL"].strip()):
        return "CONSENSUS_URL must begin with http:// or https:// and name a host"
    return ""


OFF = why_off(os.environ, label_studio_version())
if OFF:
    _LOG.warning("Actions of consensus are off: %s", OFF)


def consensus_accept_suggestions(project: Theirs, queryset: Theirs, **kwargs: Theirs) -> Members:
    """Accept the model's suggestions above a score."""
    return _act(kwargs["request"], project, queryset, "accept", _above)


def consensus_accept_proposals(project: Theirs, queryset: Theirs, **kwargs: Theirs) -> Members:
    """Accept the labels that consensus proposes instead of wrong ones."""
    return _act(kwargs["request"], project, queryset, "accept", lambda _: {"source": "proposals"})


def consensus_ask_for_votes(project: Theirs, queryset: Theirs, **kwargs: Theirs) -> Members:
    """Let one more annotator be asked."""
    return _act(kwargs["request"], project, queryset, "ask")


def consensus_send_to_review(project: Theirs, queryset: Theirs, **kwargs: Theirs) -> Members:
    """Put tasks into the queue of review."""
    return _act(kwargs["request"], project, queryset, "review")


def consensus_update_reports(project: Theirs, queryset: Theirs, **kwargs: Theirs) -> Members:
    """Compute the reports of the project anew, whatever is selected."""
    del queryset
    request = kwargs["request"]
    return _answered(
        lambda: _call(f"/api/projects/{project.id}/runs", {"made_by": request.user.email}, request_key(), WAIT_S)
    )


def _above(data: Theirs) -> Members:
    try:
        above = float(data.get("above"))
    except (TypeError, ValueError):
        above = -1.0
    if not 0 <= above <= 1:
        raise Refused(
            f"the score above which suggestions are accepted is {data.get('above')!r}: name one from 0 to 1"
        )
    return {"source": "suggestions", "above": above}


def _act(
    request: Theirs,
    project: Theirs,
    queryset: Theirs,
    step: str,
    body: Callable[[Theirs], Members] = lambda _: {},
) -> Members:
    """Do something with the selected tasks, or count on how many it would be done."""

    def ask() -> Members:
        counting = request.data.get("consensus_count") not in (None, False)  # in doubt nothing is written
        asked = {
            **body(request.data),
            "tasks": selected_tasks(request, queryset),
            "made_by": request.user.email,
            "dry_run": counting,
        }
        answer = _call(f"/api/projects/{project.id}/{step}", asked, request_key(), WAIT_S)
        if counting or answer.get("count") == 0:
            raise Refused(COUNTED + str(answer.get("detail", "")))
        return answer

    return _answered(ask)


def _answered(ask: Callable[[], Members]) -> Members:
    """Answer as Label Studio shows it: work that goes on as such, and a refusal with its sentence."""
    try:
        _check_on()
        answer = ask()
    except Refused as refusal:
        return {"response_code": refusal.status, "detail": str(refusal)}
    return {"response_code": 202, "async": True, **answer}


def _check_on() -> None:
    if OFF:
        raise Refused(OFF)


def request_key() -> str:
    """Return a key of its own for each action: a batch is asked for once, however often the network repeats it."""
    return uuid.uuid4().hex


def selected_tasks(request: Theirs, queryset: Theirs) -> list[int]:
    """Return the ids of the tasks that a person selected, in order.

    Label Studio itself takes an empty selection for all tasks that the filter leaves; here it is none.
    """
    if "query" in request.GET or "view" in request.GET or "view" in request.data:
        raise Refused("name the tasks in the body of the request, as selectedItems")
    selected = request.data.get("selectedItems")
    if isinstance(selected, str):
        try:
            selected = json.loads(selected)
        except ValueError:
            selected = None
    is_all = selected.get("all", False) if isinstance(selected, dict) else None
    if not isinstance(is_all, bool) or not (is_all or selected.get("included")):  # Label Studio takes 1 for true
        raise Refused("no task is selected")
    tasks = sorted(queryset.order_by().values_list("id", flat=True)[: MOST_TASKS + 1])
    if not tasks:
        raise Refused("no task is selected")
    if len(tasks) > MOST_TASKS:
        raise Refused(
            f"more than {MOST_TASKS:,} tasks are selected: select fewer, or use the command line of consensus"
        )
    return tasks


class _NoRedirects(urllib.request.HTTPRedirectHandler):
    """The token goes to the service alone."""

    def redirect_request(self, *_args: object, **_more: object) -> None:
        """Follow none."""


def _call(path: str, body: Members, key: str, seconds: float) -> Members:
    """Post to the service, and return its answer; refuse with a sentence where there is none."""
    url = os.environ["CONSENSUS_URL"].strip().rstrip("/")
    host = urllib.parse.urlsplit(url).netloc.rpartition("@")[2]
    request = urllib.request.Request(  # noqa: S310 - see why_off
        url + path,
        data=json.dumps(body).encode(),
        headers={
            "Authorization": f"Bearer {os.environ['CONSENSUS_API_TOKEN'].strip()}",
            "Content-Type": "application/json",
            "Idempotency-Key": key,
        },
    )
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}), _NoRedirects)
    try:
        with opener.open(request, timeout=seconds) as answer:
            return _members(answer)
    except urllib.error.HTTPError as error:
        with error:
            if error.code == http.client.UNAUTHORIZED:
                raise Refused(
                    f"the consensus service at {host} refuses CONSENSUS_API_TOKEN: both need the same one",
                    424,
                ) from None
            reason = _members(error).get("error")
        raise Refused(str(reason or f"the consensus service at {host} answers {error.code}"), 409) from None
    except ValueError:  # it quotes what it cannot send, which may be the token
        raise Refused("CONSENSUS_URL or CONSENSUS_API_TOKEN holds characters that cannot be sent", 424) from None
    except (OSError, http.client.HTTPException):
        raise Refused(
            f"the consensus service at {host} does not answer: is `consensus serve` running there?",
            424,
        ) from None


def _members(answer: Theirs) -> Members:
    try:
        members = json.loads(answer.read(LARGEST_ANSWER))
    except (ValueError, OSError, http.client.HTTPException):
        members = None
    return members if isinstance(members, dict) else {}


def _form(step: str, body: Members, first: Sequence[Members] = ()) -> Callable[[Theirs, Theirs], list[Members]]:
    """Make a dialog's form: whether to do it or only to count, and what it would be in this tab."""

    def form(user: Theirs, project: Theirs) -> list[Members]:
        only_count = {
            "type": "toggle",  # the one kind of field that has room for more than a line
            "name": "consensus_count",
            "label": "Only count on the selected tasks, and write nothing",
            "description": _outlook(user, project, step, body),
            "value": False,
        }
        return [{"columnCount": 1, "fields": [*first, only_count]}]

    return form


def _outlook(user: Theirs, project: Theirs, step: str, body: Members) -> str:
    """Say what an action would do with all tasks of the tab: a dialog does not know which ones are selected."""
    try:
        _check_on()
        tasks = tab_tasks(project)
        asked = {**body, "tasks": tasks, "made_by": user.email, "dry_run": True}
        return "In this tab: " + str(
            _call(f"/api/projects/{project.id}/{step}", asked, request_key(), LOOK_S).get("detail", "")
        )
    except Refused as refusal:
        return str(refusal)


def tab_tasks(project: Theirs) -> list[int]:
    """Return the ids of the tasks in the tab that a person looks at, as the address of their page names it."""
    from core.current_request import CurrentContext  # noqa: PLC0415 - Label Studio's
    from data_manager.models import View  # noqa: PLC0415
    from data_manager.prepare_params import PrepareParams  # noqa: PLC0415
    from tasks.models import Task  # noqa: PLC0415

    request = CurrentContext.get_request()
    address = urllib.parse.urlsplit(request.headers.get("Referer", "") if request else "")
    tab = urllib.parse.parse_qs(address.query).get("tab", [""])[0]
    view = View.objects.filter(pk=int(tab), project=project).first() if tab.isdecimal() else None
    params = view.get_prepare_tasks_params() if view else PrepareParams(project=project.id)
    params.ordering = []
    tasks = Task.prepared.only_filtered(prepare_params=params).order_by().values_list("id", flat=True)
    tasks = sorted(tasks[: MOST_TASKS + 1])
    if not tasks:
        raise Refused("this tab is empty")
    if len(tasks) > MOST_TASKS:
        raise Refused(f"This tab has more than {MOST_TASKS:,} tasks; the selection may have at most so many")
    return tasks


def _action(
    entry_point: Callable[..., Members],
    title: str,
    order: int,
    text: str,
    form: Callable[[Theirs, Theirs], list[Members]] | None,
) -> Members:
    action = {
        "entry_point": entry_point,
        "permission": "tasks.change",
        "title": title,
        "order": order,
        "dialog": {"title": title, "text": text, "type": "confirm", **({"form": form} if form else {})},
    }
    return {**action, "disabled": True, "disabled_reason": OFF} if OFF else action


_ABOVE = {
    "type": "number",
    "name": "above",
    "label": "Accept suggestions with a greater score than this (0 to 1)",
    "value": 0.95,
    "min": 0,
    "max": 1,
    "step": 0.01,
}

actions = [
    _action(
        consensus_accept_suggestions,
        "Accept suggestions above…",
        96,
        "The model's suggestions on the selected tasks become annotations of the machine account of consensus. "
        "Tasks that a person has annotated are left as they are. The command consensus undo takes a batch back.",
        _form("accept", {"source": "suggestions", "above": 0.95}, [_ABOVE]),
    ),
    _action(
        consensus_accept_proposals,
        "Accept the proposed labels",
        97,
        "Where a given label of the selected tasks is wrong, the label that the votes prefer becomes the answer. "
        "The command consensus undo takes a batch back.",
        _form("accept", {"source": "proposals"}),
    ),
    _action(
        consensus_ask_for_votes,
        "Ask for more votes",
        98,
        "One more annotator is asked about each of the selected tasks.",
        _form("ask", {}),
    ),
    _action(
        consensus_send_to_review,
        "Send to review",
        99,
        "The selected tasks wait for a reviewer.",
        _form("review", {}),
    ),
    _action(
        consensus_update_reports,
        "Update consensus reports",
        99,
        "The reports of the whole project are computed anew, whatever is selected. Their tabs show them soon.",
        None,
    ),
]
