"""What waits for people, spread over named reviewers."""

from collections import Counter, defaultdict
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from common.label_studio.annotations import accounts_named
from consensus.core.review.assignment import Waiting, spread
from consensus.core.review.names import Queue
from consensus.errors import ConfigError
from consensus.label_studio import Studio
from consensus.store.store import Store
from consensus.store.tables import VOTE


@dataclass(frozen=True)
class Assigned:
    """Who has how much.

    Attributes
    ----------
    items : mapping of str to int
        By reviewer: all that waits for them.
    new : int
        Items that were given to somebody, or to somebody else.
    nobody : int
        Items that nobody may have: each reviewer has annotated their tasks.
    """

    items: Mapping[str, int]
    new: int
    nobody: int


def assign(
    studio: Studio,
    store: Store,
    project: int,
    reviewers: Sequence[str],
    at: datetime,
    *,
    queue: Queue | None = None,
    without: Collection[str] = (),
) -> Assigned:
    """Give what waits to reviewers, evenly; what somebody has stays theirs while their account is there.

    Parameters
    ----------
    reviewers : sequence of str
        Addresses or ids of accounts.
    queue : str, optional
        Only what waits in this one.
    without : collection of str
        Who gives up what they have.

    Raises
    ------
    ConfigError
        Where a reviewer has no account, or nobody is named.
    """
    accounts = studio.accounts()
    numbers = accounts_named([*reviewers, *without], accounts)
    strangers = [name for name in reviewers if numbers[name] not in accounts]
    if strangers or not reviewers:
        raise ConfigError(f"{strangers[0]!r} has no account in Label Studio" if strangers else "name a reviewer")
    names = {name: accounts.get(number or 0, name) for name, number in numbers.items()}
    present = set(accounts.values()) - {names[name] for name in without}
    with store.snapshot() as snapshot:
        rows = snapshot.decisions.queue(project, queue)
        voters = defaultdict[int, set[str]](set)
        for vote in snapshot.of_tasks(VOTE, project, {row["task"] for row in rows}):
            voters[vote["task"]].add(vote["annotator"])
    items = [Waiting(voters[row["task"]], row["assigned_to"]) for row in rows]
    chosen = spread(items, list(dict.fromkeys(names[name] for name in reviewers)), present)
    changed = [
        {**{key: row[key] for key in ("queue", "task", "control")}, "assigned_to": name}
        for row, name in zip(rows, chosen, strict=True)
        if name != row["assigned_to"]
    ]
    store.decisions.assign_many(project, changed, at)
    counts = Counter(name for name in chosen if name)
    return Assigned(
        dict(sorted(counts.items())), len([row for row in changed if row["assigned_to"]]), chosen.count(None)
    )
