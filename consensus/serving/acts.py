"""What can be done to a project, by the engine of a command: counted first, or done behind the answer."""

from collections.abc import Callable, Sequence
from dataclasses import asdict
from datetime import UTC, datetime
from typing import Any, Literal
from uuid import uuid4

from werkzeug.exceptions import UnprocessableEntity

from consensus.assist.accept import Offer, Request, accept, offer
from consensus.assist.batches import Performed, performed, plan, resume
from consensus.assist.proposals import ProposalOffer, accept_proposals, offer_proposals
from consensus.assist.sending import send
from consensus.assist.suggestions import Suggested, Suggestion, read_suggestions, suggested_versions
from consensus.assist.undo import undo
from consensus.core.assist.expected import Expectation
from consensus.core.review.rulings import Ruling
from consensus.label_studio import Studio
from consensus.review.decisions import EVERYBODY, decide
from consensus.review.stream import perform_stream
from consensus.serving.background import Job, progress
from consensus.serving.matching import Keeping, Matching, keeping
from consensus.serving.service import Service, batch_of, check_run, snapshot_of
from consensus.store.columns import Row
from consensus.store.tables import CLASSIFICATION

Origin = Literal["suggestions", "proposals"]

SAMPLE = 5
DETAILS: dict[str, Callable[[int], str]] = {
    "ask": lambda n: f"One more annotator is asked about {n} {_tasks(n)}.",
    "review": lambda n: f"{n} {'task waits' if n == 1 else 'tasks wait'} for a reviewer.",
}
_UNCOUNTED: Row = {
    "count": None,
    "detail": "The suggestions are being read and accepted.",
    "expected": None,
    "labels": [],
    "sample": [],
}


def accept_labels(
    here: Service, project: int, request: Request, origin: Origin, by: str, *, version: str | None, dry_run: bool
) -> Row:
    """Accept suggestions, or the labels that the votes prefer to given ones; or count, and say what to expect.

    Returns
    -------
    dict
        count, detail, expected, labels, sample, job.
    """
    check_run(here, project)
    request.check()
    offered = _UNCOUNTED
    if origin == "proposals":
        offered = _proposed(offer_proposals(here.store, project, request), request)
    elif dry_run:
        offered = offer_row(offer(suggested(here, project, version), request))
    elif fresh := here.suggested.fresh(project, version):
        offered = offer_row(offer(fresh, request))
    if dry_run or offered["count"] == 0:
        return {**offered, "job": None}

    def do() -> dict[str, Any]:
        with here.studio() as studio:
            done = resume(studio, here.store, project, now, progress)
            if origin == "suggestions":
                chosen = offer(read_now(here, studio, project, version), request)
                made = accept(studio, here.store, chosen, by, now, progress)
            else:
                proposals = offer_proposals(here.store, project, request)
                made = accept_proposals(
                    studio, here.store, project, proposals, here.config(project), now, progress, by
                )
        here.suggested.forget(project)
        return {"batches": [performed_row(each) for each in (*done, *([made] if made else []))]}

    return {**offered, "job": here.background.submit(project, "accept", by, do).described()}


def decide_labels(here: Service, project: int, rulings: Sequence[Ruling], by: str, *, override: bool) -> Row:
    """Write what a reviewer decides, as ground truth of their account; what is not followed has its reason.

    Returns
    -------
    dict
        batches, refused.
    """
    check_run(here, project)
    with here.studio() as studio:
        decided = decide(
            studio,
            here.store,
            here.config(project),
            project,
            rulings,
            reviewer=by,
            now=now,
            override=override,
            progress=progress,
        )
    here.suggested.forget(project)
    return {
        "batches": [performed_row(each) for each in decided.batches],
        "refused": [asdict(each) for each in decided.refused],
    }


def act_on_all(
    here: Service,
    project: int,
    action: Literal["keep", "ask", "review"],
    matching: Matching,
    by: str,
    *,
    key: str,
    limit: int | None,
    dry_run: bool,
) -> Row:
    """Keep the given label of all rows that match, ask for votes on them or send them to review; or count them.

    Parameters
    ----------
    key : str
        Asked for twice with one key, it is one batch.
    limit : int, optional
        No more given labels are kept than were shown.

    Returns
    -------
    dict
        count, detail, expected, run, job.

    Raises
    ------
    OutdatedError
        Where the last run is another one than that of which they were shown.
    """
    with snapshot_of(here, project) as snapshot:
        run = int(snapshot.needed_run(project)["id"])
        places = matching.places(snapshot, project)
        labels = keeping(snapshot, project, places, limit) if action == "keep" else None
    tasks = {task for task, _ in places}
    counted = (
        keeping_row(labels)
        if labels
        else {"count": len(tasks), "detail": DETAILS[action](len(tasks)), "expected": None}
    )
    counted = {**counted, "run": run, "sample": [], "job": None}
    if dry_run or not counted["count"]:
        return counted

    def do() -> dict[str, Any]:
        with snapshot_of(here, project) as snapshot:
            places_now = matching.places(snapshot, project)
            rulings = keeping(snapshot, project, places_now, limit).rulings if action == "keep" else []
        match action:
            case "keep":
                return decide_labels(here, project, rulings, by, override=False)
            case "review":
                return performed_row(send(here.store, project, places_now, by, now, key=key, progress=progress))
            case "ask":
                batch = _asking(here, project, sorted({task for task, _ in places_now}), by, reason="", key=key)
                return _ask(here, project, str(batch["id"]))

    kind = {"keep": "decide", "review": "send", "ask": "ask"}[action]
    return {**counted, "job": here.background.submit(project, kind, by, do).described()}


def keeping_row(labels: Keeping) -> Row:
    """Lay out which given labels would be kept."""
    n = len(labels.rulings)
    detail = f"{n} {'task keeps the' if n == 1 else 'tasks keep their'} given label in your name"
    detail += f"; on {labels.decided} more somebody has decided" if labels.decided else ""
    detail += f"; {labels.without} more came with no label." if labels.without else "."
    return {"count": n, "detail": detail, "expected": labels.expected}


def ask_for_votes(
    here: Service, project: int, asked: Sequence[int], by: str, *, reason: str, key: str | None, dry_run: bool
) -> Row:
    """Let one more annotator be asked about each task; in the background.

    Parameters
    ----------
    key : str, optional
        Asked for twice with one key, it is one batch.

    Returns
    -------
    dict
        count, detail, batch, job.
    """
    tasks = sorted(set(asked))
    check_run(here, project)
    counted = {"count": len(tasks), "detail": DETAILS["ask"](len(tasks)), "batch": None, "job": None}
    if dry_run:
        return counted
    batch = _asking(here, project, tasks, by, reason=reason, key=key)
    planned = {item["task"] for item in here.store.decisions.items(str(batch["id"]))}
    if batch["kind"] != "ask" or planned != set(tasks):  # from before the service began
        raise UnprocessableEntity(f"the key {key!r} was sent with another body; take a new one")
    job = here.background.submit(project, "ask", by, lambda: _ask(here, project, str(batch["id"])))
    return {**counted, "batch": batch["id"], "job": job.described()}


def _asking(here: Service, project: int, tasks: Sequence[int], by: str, *, reason: str, key: str | None) -> Row:
    """Keep what is asked for before it is."""
    with snapshot_of(here, project) as snapshot:
        controls = [str(row["control"]) for row in snapshot.controls(project)]
        votes: dict[tuple[int, str], int] = {}
        for row in snapshot.of_tasks(CLASSIFICATION, project, tasks):
            place, n = (row["task"], row["control"]), row["yes"] + row["no"] + row["unsure"]
            votes[place] = max(votes.get(place, 0), n)
    evidence = {"verdict": "asked", "reason": reason or None, "more": 1}
    items: list[Row] = [
        {
            "task": task,
            "control": control,
            "labels": [],
            "evidence": {**evidence, "votes": votes.get((task, control), 0)},
        }
        for task in tasks
        for control in controls
    ]
    return plan(here.store, project, "ask", items, made_by=by, now=now(), key=key or uuid4().hex)


def _ask(here: Service, project: int, batch: str) -> dict[str, Any]:
    """Ask for what a batch, and what was cut off, asks for."""
    # A reviewer who asks at the same moment has the lock: each batch is written by one of them.
    with here.studio() as studio, here.store.lock_batches(project, EVERYBODY):
        unfinished = [row for row in here.store.decisions.unfinished(project) if row["kind"] == "ask"]
        for cut_off in unfinished:
            perform_stream(studio, here.store, cut_off, now, progress)
    return performed_row(performed(here.store, batch))


def send_to_review(
    here: Service, project: int, sent: Sequence[int], by: str, *, reason: str, dry_run: bool
) -> Row:
    """Let tasks wait for a reviewer, before all others of the queue of suggestions.

    Returns
    -------
    dict
        count, detail, batch, job.
    """
    tasks = sorted(set(sent))
    with snapshot_of(here, project) as snapshot:
        controls = [str(row["control"]) for row in snapshot.controls(project)]
    counted = {"count": len(tasks), "detail": DETAILS["review"](len(tasks)), "batch": None, "job": None}
    if dry_run:
        return counted
    places = [(task, control) for task in tasks for control in controls]
    return {**counted, "batch": send(here.store, project, places, by, now, reason=reason).batch["id"]}


def undo_batch(here: Service, project: int, batch: str, by: str, *, dry_run: bool) -> Row:
    """Take back what a batch wrote and nobody has touched since, or count what that would be.

    Returns
    -------
    dict
        count, detail, batch, job.
    """
    with snapshot_of(here, project) as snapshot:
        batch_of(snapshot, project, batch)

    if dry_run:
        counted = take_back(here, project, batch, by, dry_run=True)
        detail = f"{counted['undone']} would be taken back, {len(counted['kept'])} stay."
        return {"count": counted["undone"], "detail": detail, "batch": batch, "job": None}
    job = here.background.submit(project, "undo", by, lambda: take_back(here, project, batch, by))
    items = here.store.decisions.item_counts(batch)
    detail = f"batch {batch} is being taken back"
    return {"count": sum(items.values()), "detail": detail, "batch": batch, "job": job.described()}


def take_back(here: Service, project: int, batch: str, by: str, *, dry_run: bool = False) -> Row:
    """Do it at once, or count what that would be.

    Returns
    -------
    dict
        undone, kept, undo.
    """
    with here.studio() as studio:
        undone = undo(studio, here.store, batch, by, now, dry_run=dry_run, progress=progress)
    here.suggested.forget(project)
    return {
        "undone": undone.undone,
        "kept": [{name: item[name] for name in ("task", "control", "note")} for item in undone.kept],
        "undo": undone.undo["id"] if undone.undo else None,
    }


def _tasks(n: int) -> str:
    return "task" if n == 1 else "tasks"


def now() -> datetime:
    """Return the moment of a write."""
    return datetime.now(UTC)


def read_behind(here: Service, project: int, version: str | None, by: str) -> Job:
    """Read a project's suggestions in the background; then `suggested` has them at once.

    The job's result has the `versions` that have suggestions; where the project shows none of them and none is
    named, nothing else is read.
    """

    def read() -> dict[str, Any]:
        with here.alone("another reading of suggestions", patience_s=-1), here.studio() as studio:
            versions = suggested_versions(studio, project)
            shown = version or studio.project(project).model_version
            is_to_read = bool(version) or shown in versions
            if is_to_read and here.suggested.fresh(project, version) is None:
                read_now(here, studio, project, version)
        return {"versions": versions}

    return here.readings.submit(project, "read suggestions", by, read)


def suggested(here: Service, project: int, version: str | None) -> Suggested:
    """Return a project's suggestions as they were a moment ago, or read them."""
    suggested = here.suggested.fresh(project, version)
    if suggested is None:
        with here.alone("another reading of suggestions"):
            suggested = here.suggested.fresh(project, version)
            if suggested is None:
                with here.studio() as studio:
                    suggested = read_now(here, studio, project, version)
    return suggested


def read_now(here: Service, studio: Studio, project: int, version: str | None) -> Suggested:
    """Read a project's suggestions, and keep them for a moment."""
    suggested = read_suggestions(studio, here.store, here.config(project), project, now(), version=version)
    offer(suggested, Request(above=1.0))  # what every page needs of them is worked out here, behind it
    here.suggested.keep(project, version, suggested)
    return suggested


def suggestion_row(suggestion: Suggestion) -> Row:
    """Lay out a suggestion; `falling` orders the surest first."""
    return {
        "task": suggestion.task,
        "control": suggestion.control,
        "labels": list(suggestion.labels),
        "score": suggestion.score,
        "version": suggestion.version,
        "annotated": suggestion.annotated,
        "decided": suggestion.decided,
        "falling": -suggestion.score,
    }


def offer_row(offered: Offer, shown: int = SAMPLE) -> Row:
    """Lay out what would be accepted of the suggestions, with a sample of so many."""
    n, expected = offered.n, offered.expected
    tasks = offered.request.tasks
    among = f" of {len(set(tasks))} tasks" if tasks else " tasks"
    above = "" if offered.request.above is None else f" above {offered.request.above:g}"
    return {
        "count": n,
        "detail": f"{n}{among} have a suggestion{above} that nobody has answered{_words(expected) if n else ''}.",
        "expected": _expected(expected),
        "labels": [
            {
                "control": group.control,
                "labels": list(group.labels),
                "suggestions": group.suggestions,
                "accepted": group.accepted,
                "above": group.above,
                "expected": _expected(group.expected),
                "reason": group.reason,
            }
            for group in offered.groups
        ],
        "sample": [_shown_suggestion(each) for each in offered.at(_spread(n, shown))],
    }


def _proposed(offered: ProposalOffer, request: Request) -> Row:
    """Lay out what would be accepted of the proposals."""
    n = len(offered.proposals)
    among = f" of {len(set(request.tasks))} tasks" if request.tasks else " tasks"
    share = offered.wrong / n if n else 0.0
    wrong = f"; by the votes {share:.1%} of them are wrong ({offered.lower:.1%} to {offered.upper:.1%})"
    return {
        "count": n,
        "detail": f"{n}{among} have a wrong given label and a better one{wrong if n else ''}.",
        "expected": {"n": n, "share": offered.wrong / n, "lower": offered.lower, "upper": offered.upper}
        if n
        else None,
        "labels": [],
        "sample": [asdict(offered.proposals[place]) for place in _spread(n)],
    }


def _words(expected: Expectation) -> str:
    if not expected.n:
        return "; how many of them are wrong is not known: none like them has been judged"
    return (
        f"; of {expected.n} like them that were judged, {expected.share:.1%} are wrong "
        f"({expected.lower:.1%} to {expected.upper:.1%})"
    )


def _expected(expected: Expectation) -> Row | None:
    if not expected.n:
        return None
    return {"n": expected.n, "share": expected.share, "lower": expected.lower, "upper": expected.upper}


def _shown_suggestion(suggestion: Suggestion) -> Row:
    row = suggestion_row(suggestion)
    del row["falling"]
    return row


def _spread(n: int, shown: int = SAMPLE) -> list[int]:
    """Return places of some of so many, from the first to the last.

    Examples
    --------
    >>> _spread(9, 3), _spread(2)
    ([0, 4, 8], [0, 1])
    """
    step = max((n - 1) / (shown - 1), 1)
    return [round(place * step) for place in range(min(shown, n))]


def performed_row(performed: Performed) -> Row:
    """Lay out what became of a batch."""
    return {
        "batch": performed.batch["id"],
        "counts": dict(performed.counts),
        "left": [{name: item[name] for name in ("task", "control", "note")} for item in performed.left],
    }
