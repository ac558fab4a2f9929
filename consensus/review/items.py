"""What a reviewer is shown of an item: the labels, who voted what with which trust, what a model suggests."""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from common.contract import VERSION_PREFIX, decision_in
from common.label_studio.annotations import account_of, choices_in
from common.label_studio.incremental_sync import FIELDS
from common.label_studio.label_config import ChoicesTag, value_at
from common.label_studio.suggestions import as_chosen
from consensus.core.review.rulings import Question
from consensus.core.votes.votes import Choice
from consensus.label_studio import Project, Studio
from consensus.store.columns import Row
from consensus.store.reader import Snapshot
from consensus.store.tables import CLASSIFICATION, VOTE

BLIND = frozenset({"spot", "audit"})
"""Queues of random samples: what is decided there measures people and models, so it is judged without them."""
SCORES = ("label", "given", "posterior", "confidence", "upper", "yes", "no", "unsure", "report")


@dataclass(frozen=True)
class ReviewItem:
    """An item of a queue as a reviewer sees it.

    Attributes
    ----------
    assigned_to : str or None
    blind : bool
        Whether it is judged without what others say: `given`, `proposed`, `candidates`, `votes` and `suggestion`
        are empty.
    labels : list of str
        That can be chosen.
    given : list of str
        Labels that the task came with.
    proposed : list of str
        Labels that the evidence prefers; none of a verification, whose posterior says it.
    candidates : list of dict
        Labels that somebody chose or the task came with, the most probable first.
    votes : list of dict
        annotator, label, vote, trust (None where it is unknown).
    suggestion : dict or None
        labels, score and model_version of a model's prediction; no person has said it.
    image : str
        Its address as the task has it; "" where the control is not about one image.
    annotators : frozenset of str
        Who has annotated the task.
    address : str
        Of the task in Label Studio.
    """

    queue: str
    task: int
    control: str
    priority: float
    assigned_to: str | None
    blind: bool
    labels: list[str]
    given: list[str]
    proposed: list[str]
    candidates: list[Row]
    votes: list[Row]
    suggestion: Row | None
    image: str
    annotators: frozenset[str]
    address: str


def describe(
    snapshot: Snapshot, studio: Studio, project: Project, rows: Sequence[Row], *, reveal: bool = False
) -> list[ReviewItem]:
    """Return rows of queues as a reviewer sees them; tasks that are gone from Label Studio are left out.

    Parameters
    ----------
    rows : sequence of dict
        As `DecisionReader.queue` returns them: a page.
    reveal : bool
        Show blind ones as well: for who looks back at what was decided.
    """
    numbers = sorted({row["task"] for row in rows})
    accounts = studio.accounts()
    tasks = {task["id"]: task for task in studio.client.tasks_by_id(project.id, FIELDS, numbers)}
    run = snapshot.last_run(project.id)
    trusts = {
        (row["control"], row["annotator"]): row["trust"] for row in snapshot.annotators(run["id"] if run else 0)
    }
    scores = _by_place(snapshot.of_tasks(CLASSIFICATION, project.id, numbers))
    votes = _by_place(snapshot.of_tasks(VOTE, project.id, numbers))
    tags = {tag.name: tag for tag in project.config.choices}
    choices: dict[str, Choice] = {row["control"]: row["choice"] for row in snapshot.controls(project.id)}
    items = []
    for row in rows:
        place, tag, task = (row["task"], row["control"]), tags.get(row["control"]), tasks.get(row["task"])
        if tag is None or task is None:
            continue
        blind = row["queue"] in BLIND and not reveal
        own_scores = scores.get(place, [])
        items.append(
            ReviewItem(
                queue=row["queue"],
                task=row["task"],
                control=row["control"],
                priority=row["priority"],
                assigned_to=row["assigned_to"],
                blind=blind,
                labels=list(tag.labels),
                given=[] if blind else [score["label"] for score in own_scores if score["given"]],
                proposed=[] if blind else _proposed(tag, choices.get(tag.name, "each"), own_scores),
                candidates=[] if blind else _candidates(own_scores),
                votes=[] if blind else [_vote(vote, trusts) for vote in votes.get(place, [])],
                suggestion=None if blind else suggestion_of(task, tag, project.model_version),
                image=str(value_at(task["data"], tag.image_key) or "") if tag.image_key else "",
                annotators=annotators_of(task, accounts),
                address=f"{project.url}/projects/{project.id}/data?task={row['task']}",
            )
        )
    return items


def annotators_of(task: Mapping[str, Any], accounts: Mapping[int, str]) -> frozenset[str]:
    """Name everybody who has annotated a task, or skipped it; who decided it has not."""
    rows = [row for row in task.get("annotations") or () if decision_in(row.get("result")) is None]
    numbers = {account_of(row) for row in rows}
    return frozenset(accounts.get(number, f"account {number}") for number in numbers if number is not None)


def suggestion_of(task: Mapping[str, Any], tag: ChoicesTag, model_version: str) -> Row | None:
    """Return what a model suggests: the version that annotators see or, without one, the latest."""
    predictions = [
        row
        for row in task.get("predictions") or ()
        if not (row.get("model_version") or "").startswith(VERSION_PREFIX)
    ]
    shown = [row for row in predictions if row.get("model_version") == model_version] or predictions
    if not shown:
        return None
    latest = max(shown, key=lambda row: int(row["id"]))
    labels = list(choices_in(as_chosen(latest.get("result") or [])).made.get(tag.name, ()))
    if not labels:
        return None
    return {"labels": labels, "score": latest.get("score"), "model_version": latest.get("model_version")}


def _proposed(tag: ChoicesTag, choice: Choice, scores: Iterable[Row]) -> list[str]:
    if choice == "each":
        return []
    return list(
        Question(tag.labels, choice, posterior={row["label"]: row["posterior"] for row in scores}).proposed
    )


def _candidates(scores: Iterable[Row]) -> list[Row]:
    rows = [{name: score[name] for name in SCORES} for score in scores]
    return sorted(rows, key=lambda row: (-row["posterior"], row["label"]))


def _vote(vote: Row, trusts: Mapping[tuple[str, str], float]) -> Row:
    trust = trusts.get((vote["control"], vote["annotator"]))
    return {"annotator": vote["annotator"], "label": vote["label"], "vote": vote["vote"], "trust": trust}


def _by_place(rows: Iterable[Row]) -> dict[tuple[int, str], list[Row]]:
    places = defaultdict[tuple[int, str], list[Row]](list)
    for row in rows:
        places[row["task"], row["control"]].append(row)
    return places
