"""Tasks that somebody sends to review: a batch, which writes nothing into Label Studio and can be taken back."""

from collections.abc import Callable, Iterator, Sequence
from datetime import datetime
from uuid import uuid4

from common.progress import Progress, of_step, silent
from consensus.assist.batches import CHUNK, Performed, performed, plan
from consensus.store.columns import Row
from consensus.store.sent import Place
from consensus.store.store import Store


def send(
    store: Store,
    project: int,
    places: Sequence[Place],
    by: str,
    now: Callable[[], datetime],
    *,
    reason: str = "",
    key: str | None = None,
    progress: Progress = silent,
) -> Performed:
    """Let tasks, each with a control, wait for a reviewer; what was cut off before is gone on with.

    Parameters
    ----------
    key : str, optional
        Sent twice with one key, they are one batch.
    """
    items: list[Row] = [{"task": task, "control": control, "labels": []} for task, control in places]
    params = {"reason": reason} if reason else {}
    batch = plan(store, project, "send", items, made_by=by, now=now(), key=key or uuid4().hex, params=params)
    for row in store.decisions.unfinished(project):
        if row["kind"] == "send":
            for some in chunks(store.decisions.items(row["id"], ["planned"]), progress, "sending to review"):
                store.decisions.send(row, some, now())
            store.decisions.finish_batch(row["id"], now())
    return performed(store, str(batch["id"]))


def chunks(items: Sequence[Row], progress: Progress, step: str) -> Iterator[Sequence[Row]]:
    """Yield some items at a time: others write as well."""
    tell = of_step(progress, step, len(items))
    for start in range(0, len(items), CHUNK):
        yield items[start : start + CHUNK]
        tell(min(start + CHUNK, len(items)))
