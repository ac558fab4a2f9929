"""Given labels that nobody has voted on, and that the model finds wrong: the most likely wrong first."""

from collections.abc import Iterator
from datetime import datetime

import numpy as np

from common.contract import given_in
from common.label_studio.annotations import choices_in
from common.label_studio.suggestions import as_chosen
from consensus.assist.suggestions import Suggestion, regions_of, suggestions_in
from consensus.core.assist.confident_learning import WRONG, likely_wrong
from consensus.core.votes.votes import encode
from consensus.label_studio import Studio
from consensus.projects.project_votes import resolve_controls
from consensus.settings import ProjectConfig
from consensus.store.columns import Row
from consensus.store.store import Store
from consensus.store.tables import CLASSIFICATION

BY_GIVEN = "probability of the given label"
LEFT = "no longer there at a run"
"""Why something leaves the queue without a decision."""


def fill_unvoted(studio: Studio, store: Store, config: ProjectConfig, project: int, now: datetime) -> int:
    """Fill the queue `unvoted` from the last run and the suggestions that annotators see; return how many wait.

    Where a suggestion tells no probability of the given label, what it leaves over of its own is taken for that.
    Tasks that a machine has decided are left out.
    """
    with store.snapshot() as snapshot:
        if snapshot.last_run(project) is None:
            return 0
        singles = {
            row["control"]: row["labels"]
            for row in snapshot.controls(project)
            if (row["kind"], row["choice"]) == ("choices", "single")
        }
        verifications = [row["control"] for row in snapshot.controls(project) if row["kind"] == "verification"]
        columns = snapshot.columns(CLASSIFICATION, project)
        decided = {(row["task"], row["control"]) for row in snapshot.decisions.standing(project)}
    asked = {*singles, *verifications}
    voted = columns["yes"] + columns["no"] + columns["unsure"] > 0
    places = list(zip(columns["task"].tolist(), columns["control"].tolist(), strict=True))
    spoken = {places[row] for row in np.flatnonzero(voted).tolist()}
    given = {
        places[row]: str(columns["label"][row])
        for row in np.flatnonzero(columns["given"].astype(bool)).tolist()
        if places[row] not in spoken and places[row] not in decided and places[row][1] in asked
    }
    entries = _entries(studio, config, project, given, singles, verifications) if given else []
    store.decisions.refill(project, "unvoted", entries, now, LEFT)
    return len(entries)


def _entries(
    studio: Studio,
    config: ProjectConfig,
    project: int,
    given: dict[tuple[int, str], str],
    labels: dict[str, list[str]],
    verifications: list[str],
) -> list[Row]:
    target = studio.project(project)
    counts = studio.client.version_counts(project)
    if target.model_version not in counts:
        return []
    total = sum(count for count, _ in counts.values())
    controls = [control for control in resolve_controls(target, config, []) if control.tag.name in labels]
    suggested: dict[tuple[int, str], Suggestion] = {}
    entries: dict[tuple[int, str], Row] = {}  # a version may be stored twice
    tasks = {task for task, _ in given}
    for task, row in studio.client.predictions(project, total, target.model_version):
        if task in tasks and row.get("model_version") == target.model_version:
            suggested |= {(task, each.control): each for each in suggestions_in(task, row, controls, {})}
            for name in verifications:
                for denied in _denied(task, name, given.get((task, name)), row.get("result")):
                    entries[task, name] = denied
    for control in controls:
        name = control.tag.name
        pairs = [
            (given[place], suggested[place]) for place in sorted(given) if place[1] == name and place in suggested
        ]
        if not pairs:
            continue
        codes, names = encode(
            [*(label for label, _ in pairs), *(each.labels[0] for _, each in pairs)], labels[name]
        )
        own = np.array([_probability(label, each) for label, each in pairs])
        posterior = np.array([_is_about(each, label) for label, each in pairs])
        score = np.array([each.score for _, each in pairs])
        for row in likely_wrong(
            codes[: len(pairs)], own, codes[len(pairs) :], score, len(names), posterior
        ).tolist():
            label, each = pairs[row]
            has_probability = posterior[row] or label in each.scores
            by = BY_GIVEN if has_probability else "what the suggestion leaves over"
            detail = {
                "given": [label],
                "label": label,
                "suggestion": each.labels[0],
                "score": each.score,
                "given_score": float(own[row]),
                "by": by,
            }
            place = each.task, name
            entries[place] = {"task": each.task, "control": name, "priority": float(own[row]), "detail": detail}
    return [*entries.values()]


def _denied(task: int, control: str, given: str | None, result: object) -> Iterator[Row]:
    """Yield the entry of a verification whose given label the model finds more likely wrong than right."""
    for region in regions_of(result, control) if given and isinstance(result, list) else ():
        about = given_in(region)
        if about and about.label == given and about.probability < WRONG:
            detail = {
                "given": [given],
                "label": given,
                "suggestion": next(iter(choices_in(as_chosen([region])).made.get(control, ())), ""),
                "score": 1 - about.probability,
                "given_score": about.probability,
                "by": BY_GIVEN,
            }
            yield {"task": task, "control": control, "priority": about.probability, "detail": detail}


def _is_about(suggestion: Suggestion, given: str) -> bool:
    """Whether the model says how likely this given label is right, for it has learned how labels are given."""
    return suggestion.given is not None and suggestion.given.label == given


def _probability(given: str, suggestion: Suggestion) -> float:
    if suggestion.given is not None and suggestion.given.label == given:
        return suggestion.given.probability
    return suggestion.scores.get(given, 1 - suggestion.score)
