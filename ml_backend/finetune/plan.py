"""What a tuning learns from is decided once, so that it goes on the same whatever changes meanwhile."""

from collections.abc import Sequence
from datetime import UTC, datetime

import numpy as np

from common.progress import Progress
from ml_backend.core.consensus_targets import consensus_targets
from ml_backend.core.controls import Control, image_controls
from ml_backend.core.finetune.held_tasks import Split, split
from ml_backend.core.finetune.targets import ControlTargets
from ml_backend.core.preparing import PREPARATIONS
from ml_backend.core.versions import RANDOM
from ml_backend.embedding.engines import may_need_torch
from ml_backend.embedding.gather import ImageRef
from ml_backend.embedding.reasons import counted
from ml_backend.errors import NothingToLearnError
from ml_backend.finetune.image_squares import Fetch, ImageSquares, Prepared
from ml_backend.finetune.initial_weights import base_identity
from ml_backend.finetune.options import PRETRAIN, TuningRequest, defaults
from ml_backend.finetune.tuning_folder import IMAGES, Inputs, Plan, TuningFolder
from ml_backend.label_studio.client import Task
from ml_backend.predict.predict import image_refs
from ml_backend.settings import Settings
from ml_backend.training.train import Trainer

LEAST = 8  # images to learn from; with fewer the network learns their names


def plan_tuning(
    trainer: Trainer,
    fetch: Fetch,
    project_id: int,
    request: TuningRequest,
    folder: TuningFolder,
    now: datetime,
    progress: Progress,
) -> Plan:
    """Read the project, prepare its images and keep what was decided.

    Parameters
    ----------
    fetch : callable
        Gives the bytes at an address, for a task.
    folder : TuningFolder
        Emptied first.
    now : datetime
        Aware.
    progress : callable
        Told the step, how much of it is done, and how much there is.

    Raises
    ------
    NothingToLearnError
        If the project has too few images, or too few that are annotated.
    TuningError
        If the disk has too little space.
    SuiteError
        If Label Studio or the weights fail.
    """
    project = trainer.client.project(project_id)
    base = base_identity(trainer, project_id, project.stamp, request.base)
    options = defaults(request.how, learned=base.weights_id != RANDOM, graphics=may_need_torch("auto"))
    options |= request.options
    progress("reading tasks", 0, 1)
    controls = image_controls(project.label_config)
    if not controls:
        raise NothingToLearnError(f"project {project_id} has no <Choices> bound to an <Image>")
    tasks = trainer.usable(trainer.client.annotated_tasks(project_id, with_verdicts=True))
    of_project = image_refs(tasks, controls)
    refs = _chosen(of_project, _annotated(controls, tasks), request.how, int(options["max_images"]))
    folder.clear()
    preparation = PREPARATIONS[base.backbone]
    side = max(preparation.resize, round(options["image_size"] * preparation.resize / preparation.crop))
    prepared = _squares(trainer.settings, fetch, side).write(
        refs, folder.path / IMAGES, lambda done: progress("preparing images", done, len(refs))
    )
    inputs = _inputs(prepared, controls, tasks)
    try:
        _require_enough(project_id, request.how, inputs, prepared)
    except NothingToLearnError:
        folder.clear()
        raise
    plan = Plan(
        how=request.how,
        backbone=base.backbone,
        weights_id=base.weights_id,
        seed=trainer.settings.seed,
        options=options,
        began_at=now.astimezone(UTC).isoformat(timespec="seconds"),
        n_project=len(of_project),
        n_images=len(prepared.refs),
        side=side,
        controls={control.name: control.multiple for control in controls if control.name in inputs.targets},
        failures=dict(prepared.failures),
        stamp=project.stamp,
    )
    folder.begin(plan, inputs)
    return plan


def split_of(inputs: Inputs) -> Split:
    """Part the annotated images: what is learned from, what chooses, what judges."""
    has_target = np.zeros(len(inputs.tasks), dtype=np.bool_)
    for targets in inputs.targets.values():
        has_target |= targets.weights > 0
    return split(inputs.tasks, inputs.contents, has_target)


def _squares(settings: Settings, fetch: Fetch, side: int) -> ImageSquares:
    return ImageSquares(
        fetch,
        settings.image_limits,
        side,
        fetch_threads=settings.fetch_threads,
        decode_threads=settings.decode_threads,
    )


def _annotated(controls: Sequence[Control], tasks: Sequence[Task]) -> set[int]:
    annotated = set[int]()
    for control in controls:
        targets = _targets(control, tasks)
        annotated |= {task.id for task, weight in zip(tasks, targets.weights, strict=True) if weight > 0}
    return annotated


def _chosen(refs: Sequence[ImageRef], annotated: set[int], how: str, most: int) -> list[ImageRef]:
    """Choose annotated images, then others; in no order, should they be too many."""
    of_interest = [ref for ref in refs if how == PRETRAIN or ref.task_id in annotated]
    if len(of_interest) <= most:
        return of_interest
    order = np.random.default_rng(0).permutation(len(of_interest))
    first = sorted(order, key=lambda row: of_interest[row].task_id not in annotated)[:most]
    return [of_interest[row] for row in sorted(first)]


def _inputs(prepared: Prepared, controls: Sequence[Control], tasks: Sequence[Task]) -> Inputs:
    number = {task.id: row for row, task in enumerate(tasks)}
    rows = np.array([number[ref.task_id] for ref in prepared.refs], dtype=np.int64)
    keys = np.array([ref.key for ref in prepared.refs], dtype=np.str_)
    targets_of: dict[str, ControlTargets] = {}
    for control in controls:
        targets = _targets(control, tasks)
        weights = np.where(keys == control.image_key, targets.weights[rows], 0).astype(np.float32)
        if weights.any():
            targets_of[control.name] = ControlTargets(targets.shares[rows], weights, control.multiple)
    return Inputs(
        tasks=np.array([ref.task_id for ref in prepared.refs], dtype=np.int64),
        keys=keys,
        urls=np.array([ref.url for ref in prepared.refs], dtype=np.str_),
        contents=np.array(prepared.contents, dtype=np.str_),
        targets=targets_of,
    )


def _targets(control: Control, tasks: Sequence[Task]) -> ControlTargets:
    joined = consensus_targets(control, [task.annotations for task in tasks], [task.verdicts for task in tasks])
    weights = np.where(joined.has_target, joined.weights, 0).astype(np.float32)
    return ControlTargets(joined.shares, weights, control.multiple)


def _require_enough(project_id: int, how: str, inputs: Inputs, prepared: Prepared) -> None:
    reasons = f"; {sum(prepared.failures.values())} could not be read: {counted(prepared.failures)}"
    why = reasons if prepared.failures else ""
    if how == PRETRAIN:
        if len(prepared.refs) < LEAST:
            raise NothingToLearnError(
                f"project {project_id} has {len(prepared.refs)} images to learn from, and it takes {LEAST}{why}"
            )
        return
    rows = split_of(inputs)
    if len(rows.learned) < LEAST or not len(rows.judged):
        raise NothingToLearnError(
            f"project {project_id} has {len(rows.learned)} annotated images to learn from and "
            f"{len(rows.judged)} to judge by (a fifth of the tasks, by their id), and it takes {LEAST} and 1: "
            f"annotate more{why}"
        )
