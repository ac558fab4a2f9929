"""What a batch's items are as annotations in Label Studio, and how they are recognized there."""

import hashlib
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from typing import Any

from common.contract import META, DecisionMark, decision_in, decision_meta
from common.label_studio.annotations import account_of, choices_in
from common.label_studio.client import TASK_ONLY
from common.label_studio.label_config import LabelConfig
from consensus.label_studio import Studio
from consensus.settings import ProjectConfig
from consensus.store.columns import Row

COUNTED = "id,overlap,is_labeled,total_annotations,cancelled_annotations"
LOOKED_AT = (
    f"{COUNTED},annotations,completed_by,was_cancelled,ground_truth,created_at,updated_at,updated_by,result"
)
"""Keys of tasks and of their annotations that tell whether and how to write."""


def tasks_now(
    studio: Studio, project: int, tasks: Iterable[int], *, counted: bool = False
) -> dict[int, dict[str, Any]]:
    """Read tasks as they are now, by id; those that are gone are left out.

    Parameters
    ----------
    counted : bool
        Whether Label Studio's count is believed where it says that a task has no annotation; that takes a third of
        the time, and an annotation can be there just before it is counted.
    """
    numbers = sorted(set(tasks))
    if not numbers:
        return {}
    if not counted:
        return {task["id"]: task for task in studio.client.tasks_by_id(project, LOOKED_AT, numbers)}
    there = {task["id"]: task for task in studio.client.tasks_by_id(project, COUNTED, numbers, fields=TASK_ONLY)}
    annotated = [
        number for number, task in there.items() if task["total_annotations"] or task["cancelled_annotations"]
    ]
    return there | tasks_now(studio, project, annotated)


def annotations_of(task: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Return a task's annotations."""
    return list(task.get("annotations") or ())


def written_by(batch: str, task: Mapping[str, Any], account: int | None = None) -> dict[str, Any] | None:
    """Return the annotation of a task that a batch has written; None where there is none.

    Parameters
    ----------
    account : int, optional
        Whose it is: a copy that somebody else has made in Label Studio keeps the batch's mark.
    """
    for annotation in annotations_of(task):
        mark = decision_in(annotation.get("result"))
        if mark and mark.batch == batch and account in (None, account_of(annotation)):
            return annotation
    return None


def controls_of(annotation: Mapping[str, Any]) -> set[str]:
    """Name the controls that an annotation speaks of."""
    regions = annotation.get("result") or ()
    return {str(region.get("from_name")) for region in regions if isinstance(region, Mapping)}


def regions_of(items: Sequence[Row], mark: DecisionMark, config: LabelConfig) -> list[dict[str, Any]]:
    """Return the regions of an annotation that holds a task's items: choices, or the regions of their evidence."""
    tags = {tag.name: tag for tag in config.choices}
    regions: list[dict[str, Any]] = []
    for item in items:
        evidence = item["evidence"] or {}
        drawn = evidence.get("regions")
        if drawn is None:
            score = evidence.get("score")
            region = {
                "from_name": item["control"],
                "to_name": tags[item["control"]].to_name,
                "type": "choices",
                "value": {"choices": list(item["labels"])},
                **({} if score is None else {"score": score}),
            }
            drawn = [{"id": _region_id(mark.batch, item["task"], item["control"]), **region}]
        regions += [{**region, "meta": {**(region.get("meta") or {}), **decision_meta(mark)}} for region in drawn]
    return regions


def fault_of(item: Row, config: LabelConfig) -> str | None:
    """Return why the label config does not let an item be written; None where it does."""
    if (item["evidence"] or {}).get("regions") is not None:
        return None
    tag = next((tag for tag in config.choices if tag.name == item["control"]), None)
    if tag is None:
        return f"the project has no <Choices> {item['control']!r} about whole tasks"
    strange = [label for label in item["labels"] if label not in tag.labels]
    if strange:
        return f"{strange[0]!r} is no choice of {item['control']!r}; was it renamed?"
    if len(item["labels"]) > 1 and not tag.multiple:
        return f"{item['control']!r} takes a single choice, not {len(item['labels'])}"
    return None


def chosen(annotation: Mapping[str, Any], control: str) -> list[str]:
    """Return the choices of an annotation on a control."""
    return sorted(choices_in(annotation.get("result") or ()).made.get(control, ()))


def updater_of(annotation: Mapping[str, Any]) -> int | None:
    """Id of the account that changed an annotation last."""
    updater = annotation.get("updated_by")
    if isinstance(updater, list):
        updater = next((row.get("user_id") for row in updater if isinstance(row, Mapping)), None)
    return updater if isinstance(updater, int) else None


def given_by_annotations(config: ProjectConfig) -> frozenset[str]:
    """Name the controls whose given labels were imported as annotations: their ground truth decides nothing."""
    return frozenset(name for name, section in config.controls.items() if section.given_annotations)


def starred_elsewhere(
    task: Mapping[str, Any], controls: Collection[str], given: Collection[str]
) -> tuple[list[Row], bool]:
    """Return the regions of a task's ground truth on other controls, and whether they teach.

    Ground truth is one annotation a task: what it says of other controls goes with it.

    Parameters
    ----------
    given : collection of str
        Controls whose given labels were imported as annotations; only decisions are ground truth there.
    """
    regions: list[Row] = []
    teaches = True
    for annotation, skipped in _starred(task, given):
        others = [
            dict(region)
            for region in annotation.get("result") or ()
            if region.get("from_name") not in {*controls, *skipped}
        ]
        mark = decision_in(annotation.get("result"))
        if others:
            regions += [_unmarked(region) for region in others]
            teaches = teaches and (mark is None or mark.teaches)
    return regions, teaches


def is_decided(task: Mapping[str, Any], control: str, given: Collection[str]) -> bool:
    """Return whether ground truth of a task says something of a control."""
    return any(
        control in controls_of(annotation) and control not in skipped
        for annotation, skipped in _starred(task, given)
    )


def _starred(
    task: Mapping[str, Any], given: Collection[str]
) -> Iterator[tuple[Mapping[str, Any], Collection[str]]]:
    """Yield a task's ground truth, and the controls of which it only says what the task came with."""
    for annotation in annotations_of(task):
        if annotation.get("ground_truth") and not annotation.get("was_cancelled"):
            yield annotation, () if decision_in(annotation.get("result")) else given


def _unmarked(region: Row) -> Row:
    meta = {key: value for key, value in (region.get("meta") or {}).items() if key != META}
    return {**region, "meta": meta} if meta else {key: value for key, value in region.items() if key != "meta"}


def _region_id(batch: str, task: int, control: str) -> str:
    return hashlib.sha256(repr((batch, task, control)).encode()).hexdigest()[:10]
