"""Auto-annotation: what is sure enough becomes an annotation of the machine account, the rest waits for people.

What it has decided it does not decide again: it looks at tasks that nobody has annotated, so that it may be called
again and again, of all tasks or of those that came.
"""

from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from common.contract import VERSION_PREFIX
from common.label_studio.client import TASK_ONLY
from common.label_studio.label_config import is_visible
from common.progress import Progress, silent
from consensus.assist.auto_rules import AutoFile
from consensus.assist.batches import Performed, WriteOptions, perform, plan
from consensus.assist.suggestions import suggestions_in
from consensus.core.assist.bands import Band, band_of
from consensus.core.review.sampling import uniform
from consensus.core.votes.controls import Control
from consensus.errors import ConfigError
from consensus.label_studio import Project, Studio
from consensus.projects.project_votes import resolve_controls
from consensus.settings import ProjectConfig
from consensus.store.columns import Row
from consensus.store.store import Store
from consensus.store.tables import CLASSIFICATION

NO_LONGER = "no longer open at a look of consensus auto"
"""Why something leaves the queue without a decision."""
FEW = 100
"""Tasks whose predictions are read one by one."""
READ = "id,total_annotations,cancelled_annotations"


@dataclass(frozen=True, eq=False)
class AutoOutcome:
    """What was, or would be, accepted and put before people.

    Attributes
    ----------
    accepted : list of dict
        Items of the batch: `task`, `control`, `labels`, `evidence`.
    pending : list of dict
        Entries of the queue: `task`, `control`, `priority`, `detail`.
    bands : mapping of (str, str) to Counter
        By control and label, how many are in each band.
    performed : Performed or None
        None in a dry run, and where nothing is accepted.
    """

    project: Project
    version: str
    accepted: list[Row]
    pending: list[Row]
    bands: Mapping[tuple[str, str], Counter[Band]]
    performed: Performed | None = None


def auto(
    studio: Studio,
    store: Store,
    config: ProjectConfig,
    rules: AutoFile,
    project: int,
    now: Callable[[], Any],
    *,
    tasks: Sequence[int] | None = None,
    dry_run: bool = False,
    progress: Progress = silent,
) -> AutoOutcome:
    """Annotate what is sure enough, and let the rest wait in the queue `pending`.

    Parameters
    ----------
    tasks : sequence of int, optional
        Look at these alone, as at tasks that came; by default at all.
    dry_run : bool
        Look and tell; store and send nothing.

    Raises
    ------
    ConfigError
        Where the rules name a version or labels that are not there.
    """
    target = studio.project(project)
    (store.check_origin if dry_run else store.recognize)(project, target.url, target.created_at)
    check_labels(target, rules)
    if rules.source == "consensus":
        outcome = _of_consensus(store, target, rules, tasks)
    else:
        outcome = _of_predictions(studio, store, config, target, rules, tasks)
    if dry_run:
        return outcome
    performed = None
    number, by = studio.client.own_account()
    if outcome.accepted:
        of_consensus = rules.source == "consensus"
        options = WriteOptions(
            ground_truth=of_consensus,
            over_people=of_consensus,
            verdict="confirmed" if of_consensus else "accepted",
            source="consensus"
            if of_consensus
            else "suggestion"
            if rules.source == "suggestions"
            else "prediction",
            model_version=outcome.version or None,
        )
        params = {"model_version": outcome.version, "rules": rules.model_dump(), "asked_by": number}
        batch = plan(
            store, project, "auto", outcome.accepted, made_by=by, now=now(), options=options, params=params
        )
        performed = perform(studio, store, batch, now, progress)
    if rules.source != "consensus":
        _let_wait(store, project, outcome.pending, now(), complete=tasks is None)
    return AutoOutcome(
        outcome.project, outcome.version, outcome.accepted, outcome.pending, outcome.bands, performed
    )


def check_labels(target: Project, rules: AutoFile) -> None:
    """Refuse lines of labels that are not there: others would hold for the label that was meant."""
    offered = target.config.offered
    strange = [] if offered is None else [name for name in rules.labels if name.strip() not in offered]
    if strange:
        raise ConfigError(
            f"the rules have lines of {', '.join(map(repr, strange))}, which project {target.id} does not offer; "
            f"it has {', '.join(sorted(offered or ()))}"
        )


def _of_predictions(
    studio: Studio,
    store: Store,
    config: ProjectConfig,
    target: Project,
    rules: AutoFile,
    tasks: Sequence[int] | None,
) -> AutoOutcome:
    version = rules.version or target.model_version
    counts = studio.client.version_counts(target.id)
    if not version or version not in counts or version.startswith(VERSION_PREFIX):
        if rules.version is None and tasks is not None:
            return AutoOutcome(
                target, version, [], [], {}
            )  # the backend has not answered yet; a later look does it
        names = ", ".join(sorted(name for name in counts if not name.startswith(VERSION_PREFIX))) or "none"
        raise ConfigError(f"project {target.id} has no prediction of version {version!r}; it has {names}")
    open_tasks = _open_tasks(studio, target.id)
    if tasks is not None:
        open_tasks &= {*tasks}
    rows = (
        [(task, row) for task in sorted(open_tasks) for row in studio.client.task_predictions(task)]
        if tasks is not None and len(open_tasks) <= FEW
        else studio.client.predictions(target.id, sum(count for count, _ in counts.values()), version)
    )
    latest = {
        task: row
        for task, row in sorted(rows, key=lambda pair: int(pair[1]["id"]))
        if task in open_tasks and row.get("model_version") == version
    }
    controls = resolve_controls(target, config, []) if target.config.choices else []
    passed_over = store.decisions.passed_over(target.id)
    bands: dict[tuple[str, str], Counter[Band]] = {}
    accepted: list[Row] = []
    pending: list[Row] = []
    for task, row in sorted(latest.items()):
        items, entries = _of_task(task, row, controls, rules, bands)
        for item in items:
            if (task, item["control"], tuple(item["labels"])) in passed_over:
                detail = {
                    "label": " + ".join(item["labels"]),
                    "score": item["evidence"]["score"],
                    "band": "accept",
                }
                place = {"task": task, "control": item["control"], "priority": 1 - item["evidence"]["score"]}
                pending.append({**place, "detail": {**detail, "why": "left or taken back before"}})
            else:
                accepted.append(item)
        pending += entries
    _draw_audits(accepted, rules.audit_share, f"{target.created_at} {target.id} {version} audit")
    return AutoOutcome(target, version, accepted, pending, bands)


def _open_tasks(studio: Studio, project: int) -> set[int]:
    """Return the tasks that nobody has annotated or skipped."""
    condition = {
        "filter": "filter:tasks:total_annotations",
        "operator": "equal",
        "type": "Number",
        "value": 0,
    }
    query = {"filters": {"conjunction": "and", "items": [condition]}}
    return {
        task["id"]
        for task in studio.client.tasks(project, READ, fields=TASK_ONLY, query=query)
        if not task.get("cancelled_annotations")
    }


def _of_task(
    task: int,
    prediction: Mapping[str, Any],
    controls: Sequence[Control],
    rules: AutoFile,
    bands: dict[tuple[str, str], Counter[Band]],
) -> tuple[list[Row], list[Row]]:
    """Return what is accepted of a prediction, and what waits."""
    items: list[Row] = []
    entries: list[Row] = []
    for each in suggestions_in(task, prediction, controls, {}):
        band = band_of((rules.lines(label), each.scores[label]) for label in each.labels)
        name = " + ".join(each.labels)
        bands.setdefault((each.control, name), Counter())[band] += 1
        evidence: Row = {"score": each.score, "prediction": each.prediction}
        if band == "accept":
            items.append(
                {"task": task, "control": each.control, "labels": list(each.labels), "evidence": evidence}
            )
        else:
            detail = {"label": name, "score": each.score, "band": band}
            entries.append({"task": task, "control": each.control, "priority": 1 - each.score, "detail": detail})
    for control, regions in _drawn(prediction).items():
        sure, unsure = _apart(control, regions, rules, bands)
        if sure:
            labels = sorted({label for region in sure for label in _labels_of(region)})
            evidence = {
                "score": min(_score_of(region, prediction) for region in sure),
                "prediction": int(prediction["id"]),
                "regions": sure,
                **({"keep_open": True} if unsure else {}),
            }
            items.append({"task": task, "control": control, "labels": labels, "evidence": evidence})
        if unsure:
            score = min(_score_of(region, prediction) for region in unsure)
            labels = sorted({label for region in unsure for label in _labels_of(region)})
            detail = {"label": " + ".join(labels), "score": score, "regions": len(unsure), "accepted": len(sure)}
            entries.append({"task": task, "control": control, "priority": 1 - score, "detail": detail})
    made = {item["control"]: tuple(item["labels"]) for item in items}
    unasked = {
        control.tag.name
        for control in controls
        if control.tag.conditions and is_visible(control.tag.conditions, made) is False
    }
    if {control.tag.name for control in controls} - made.keys() - unasked or entries:
        for item in items:  # people still have something to say about the task
            item["evidence"]["keep_open"] = True
    return items, entries


def _drawn(prediction: Mapping[str, Any]) -> dict[str, list[dict[str, Any]]]:
    """Return the regions that a prediction draws, by their control; what belongs to a region goes with it."""
    result = prediction.get("result")
    regions = [region for region in result if isinstance(region, dict)] if isinstance(result, list) else []
    drawn: dict[str, list[dict[str, Any]]] = {}
    for region in regions:
        if str(region.get("type", "")).endswith("labels"):
            score = region.get("score", prediction.get("score"))
            drawn.setdefault(str(region.get("from_name")), []).append({**region, "score": score})
    return drawn


def _apart(
    control: str,
    regions: Sequence[dict[str, Any]],
    rules: AutoFile,
    bands: dict[tuple[str, str], Counter[Band]],
) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    sure: list[dict[str, Any]] = []
    unsure: list[dict[str, Any]] = []
    for region in regions:
        labels, score = _labels_of(region), region["score"]
        is_scored = isinstance(score, int | float) and not isinstance(score, bool) and np.isfinite(score)
        band: Band = band_of((rules.lines(label), score) for label in labels) if is_scored else "between"
        bands.setdefault((control, " + ".join(labels)), Counter())[band] += 1
        (sure if band == "accept" else unsure).append(region)
    return sure, unsure


def _labels_of(region: Mapping[str, Any]) -> list[str]:
    value = region.get("value")
    labels = value.get(region.get("type")) if isinstance(value, Mapping) else None
    return [str(label) for label in labels] if isinstance(labels, list) else []


def _score_of(region: Mapping[str, Any], prediction: Mapping[str, Any]) -> float:
    score = region.get("score", prediction.get("score"))
    return float(score) if isinstance(score, int | float) else 0.0


def _draw_audits(items: Sequence[Row], share: float, seed: str) -> None:
    tasks = np.array([item["task"] for item in items], dtype=np.int64)
    for item, place in zip(items, uniform(tasks, seed).tolist(), strict=True):
        if place < share and "regions" not in item["evidence"]:
            item["evidence"]["audit"] = True


def _of_consensus(store: Store, target: Project, rules: AutoFile, tasks: Sequence[int] | None) -> AutoOutcome:
    """Return what the votes confirm of single choices, where nobody has decided anything."""
    with store.snapshot() as snapshot:
        _, controls = snapshot.needed_controls(target.id)
        singles = {row["control"] for row in controls if (row["kind"], row["choice"]) == ("choices", "single")}
        columns = snapshot.columns(CLASSIFICATION, target.id)
        decided = {(row["task"], row["control"]) for row in snapshot.decisions.standing(target.id)}
    bands: dict[tuple[str, str], Counter[Band]] = {}
    accepted: list[Row] = []
    among = None if tasks is None else {*tasks}
    for row in np.flatnonzero(np.isin(columns["report"], ["AllConfirmed", "Discovered"])).tolist():
        task, control, label = (columns[name][row] for name in ("task", "control", "label"))
        place = int(task), str(control)
        if control not in singles or place in decided or (among is not None and int(task) not in among):
            continue
        confidence = float(columns["confidence"][row])
        band = band_of([(rules.lines(str(label)), confidence)])
        bands.setdefault((str(control), str(label)), Counter())[band] += 1
        if band == "accept":
            evidence = {
                "score": confidence,
                "posterior": float(columns["posterior"][row]),
                "yes": int(columns["yes"][row]),
                "no": int(columns["no"][row]),
            }
            accepted.append({"task": place[0], "control": place[1], "labels": [str(label)], "evidence": evidence})
    return AutoOutcome(target, "", accepted, [], bands)


def _let_wait(store: Store, project: int, entries: Sequence[Row], at: Any, *, complete: bool) -> None:  # noqa: ANN401
    """Fill the queue: wholly, or with what came."""
    queued = store.decisions.queue(project, "pending")
    names = "task", "control", "priority", "detail"
    if complete:
        # What is annotated in part is looked at no more and still waits, and so does what a person has sent.
        waiting = {(row["task"], row["control"]): {name: row[name] for name in names} for row in queued}
        sent = {place: row for place, row in waiting.items() if row["detail"].get("sent_by")}
        partial = {place: row for place, row in waiting.items() if row["detail"].get("accepted")}
        placed = partial | {(row["task"], row["control"]): row for row in entries} | sent
        store.decisions.refill(project, "pending", [*placed.values()], at, NO_LONGER)
        return
    queued += store.decisions.queue(project, "pending", closed=True)
    places = {(row["task"], row["control"]) for row in queued}
    store.decisions.enter(
        project, "pending", [row for row in entries if (row["task"], row["control"]) not in places], at
    )


def gaps(outcome: AutoOutcome, rules: AutoFile) -> Iterator[str]:
    """Name the labels of which scores between the lines decide nothing, and how many wait there."""
    for (control, label), counts in sorted(outcome.bands.items()):
        if counts["between"]:
            lines = rules.lines(label)
            yield (
                f"{control}: {label}: {counts['between']} between {lines.review_below:g} and "
                f"{lines.accept_above:g} are neither accepted nor refused, and wait for people"
            )
