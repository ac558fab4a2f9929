"""A tab of the Data Manager for each queue, with the tasks that come first."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import groupby
from typing import Any

from consensus.core.review.names import Queue
from consensus.label_studio import Studio
from consensus.store.decisions import DecisionReader

TITLES: dict[Queue, str] = {
    "misclassified": "Review wrong",
    "controversial": "Review open",
    "pending": "Review model",
    "unvoted": "Review unvoted",
    "audit": "Review audit",
    "spot": "Review spot",
}
"""Label Studio shows some 15 letters of a title."""
SHOWN = 200
"""Tasks in a tab. Of a list of ids Label Studio's pages know nothing: the filter has a line for each run of ids,
and 500 of them take its server two seconds."""
NOTHING = [{"min": 0, "max": 0}]
"""No task has this id."""


def show_queues(studio: Studio, decisions: DecisionReader, project: int) -> dict[str, int]:
    """Let the tab of each queue show the tasks that come first in it; make it where there are some and it is not.

    Returns
    -------
    dict of str to int
        Tasks in each tab that was made or changed.
    """
    tabs = {str((tab.get("data") or {}).get("title")): tab for tab in studio.client.tabs(project)}
    changed = {}
    for queue, title in TITLES.items():
        tasks = dict.fromkeys(row["task"] for row in decisions.queue(project, queue, limit=SHOWN))
        tab, spans = tabs.get(title), list(_spans(tasks)) or NOTHING
        if tab is None and tasks:
            studio.make_tab(project, title, _filters(spans))
        elif tab is not None and _shown(tab["data"]) != spans:
            studio.client.change_tab(project, tab["id"], {**tab["data"], "filters": _filters(spans)})
        else:
            continue
        changed[title] = len(tasks)
    return changed


def _spans(tasks: Iterable[int]) -> Iterator[dict[str, int]]:
    """Yield the first and the last of each run of ids without a gap.

    >>> list(_spans([4, 7, 3, 5]))
    [{'min': 3, 'max': 5}, {'min': 7, 'max': 7}]
    """
    for _, span in groupby(enumerate(sorted(tasks)), key=lambda pair: pair[1] - pair[0]):
        ids = [task for _, task in span]
        yield {"min": ids[0], "max": ids[-1]}


def _filters(spans: Sequence[Mapping[str, int]]) -> dict[str, Any]:
    items = [
        {"filter": "filter:tasks:id", "operator": "in", "type": "Number", "value": dict(span)} for span in spans
    ]
    return {"conjunction": "or", "items": items}


def _shown(content: Mapping[str, Any]) -> list[Any]:
    return [item.get("value") for item in (content.get("filters") or {}).get("items") or ()]
