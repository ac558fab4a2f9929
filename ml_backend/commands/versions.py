"""``ml-backend versions`` and ``ml-backend promote``."""

import json
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.table import Table

from common.console import SafeConsole
from common.console import console as new_console
from ml_backend.commands.console import ForceOption, ProjectOption, number
from ml_backend.commands.training import at_work, show_failures
from ml_backend.errors import VersionError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ml_backend.core.held_out import HeldOutCheck
    from ml_backend.model_registry import ModelRegistry, VersionRecord


def versions(
    project: ProjectOption,
    control: Annotated[
        str | None, typer.Option(help="Show what this control confuses, and its precision by label and score.")
    ] = None,
    of: Annotated[
        str | None, typer.Option(help="With --control: of this version. \\[the one that answers]")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print all figures as JSON.")] = False,
) -> None:
    """List a project's model versions with their figures on held-out annotations, newest first."""
    from ml_backend.model_registry import ModelRegistry  # noqa: PLC0415 - --help needs none of it
    from ml_backend.settings import get_settings  # noqa: PLC0415

    if of is not None and control is None:
        raise typer.BadParameter("--of chooses the version for --control: give both, or --json for all of them")
    registry = ModelRegistry(get_settings().data_dir)
    records = registry.records(project)
    if as_json:
        print(json.dumps([_as_json(registry, project, record) for record in records], indent=2))  # noqa: T201
    if not records:
        projects = ", ".join(map(str, registry.projects())) or "none"
        raise VersionError(
            f"project {project} has no model version; projects that have: {projects}. Annotate, then run "
            f"ml-backend train --project {project}"
        )
    if as_json:
        return
    if control is None:
        _list(registry, project, records)
    else:
        _show_control(_record(registry, project, records, of), control)


def promote(
    version: Annotated[str, typer.Argument(help="The version's name, as ml-backend versions shows it.")],
    project: ProjectOption,
    force: ForceOption = False,
) -> None:
    """Let a version answer: an older one again, or one that was held back.

    Its predictions are stored and shown in Label Studio. Where a newer version
    exists, trainings leave this one in place until they make a better one.
    """
    from ml_backend.label_studio.ownership import require_owned  # noqa: PLC0415
    from ml_backend.settings import get_settings  # noqa: PLC0415

    settings = get_settings()
    with at_work(settings) as (backend, progress):
        if not force:
            require_owned(backend.client, settings, project)
        done = backend.trainer.publish(project, version, datetime.now(UTC), progress)
    console = _console()
    console.print(
        f"{done.model_version} answers now (before: {done.before or 'none'}); "
        f"{done.predictions} predictions stored"
    )
    if done.chosen:
        console.print("There is a newer version: trainings leave this one in place until they make a better one.")
    show_failures(console, done.failures.values())


def _as_json(registry: "ModelRegistry", project: int, record: "VersionRecord") -> dict[str, Any]:
    """Lay a version out for programs."""
    described = {key: value for key, value in record.described.items() if key != "controls"}
    return described | {
        "model_version": record.model_version,
        "damaged": not record.described,
        "answers": record.model_version == registry.current_version(project),
        "chosen": record.model_version == registry.chosen_version(project),
        "controls": {name: check.as_dict() for name, check in record.checks.items()},
    }


def _list(registry: "ModelRegistry", project: int, records: "Sequence[VersionRecord]") -> None:
    current, chosen = registry.current_version(project), registry.chosen_version(project)
    table = Table("version", "trained", "", "annotated", "control", "checked", *_FIGURES)
    for record in records:
        before = "held back" if record.held_back else "never answered" if record.unanswered else ""
        mark = "answers" if record.model_version == current else before
        mark += " (chosen)" if record.model_version == chosen else ""
        described = record.described
        began = [
            record.model_version,
            str(described.get("created_at", ""))[:16].replace("T", " "),
            mark if described else "damaged",
            _annotated(described.get("n_annotated", 0), described.get("n_settled", 0)),
        ]
        for name, check in record.checks.items() or [("", None)]:
            table.add_row(*began, name, *_figures(check))
            began = [""] * len(began)
    console = _console()
    console.print_table(table)
    for record in records:
        if any(check.is_agreement for check in record.checks.values()):
            console.print(
                f"{record.model_version} is measured against given labels, which may be wrong: its accuracy is "
                "its agreement with them. Annotate some tasks to see how right it is."
            )
        if any(check.is_from_names for check in record.checks.values()):
            console.print(
                f"{record.model_version} is from the names of the labels and measured on nothing yet: it ticks "
                "nothing in advance. Annotate some tasks, and a version that learns from them competes with it."
            )
        if record.held_back:
            console.print(f"{record.model_version} was held back. {record.held_back}")
            console.print(f"To let it answer: ml-backend promote {record.model_version} --project {project}")
    if fault := registry.faults().get(project):
        console.print(fault)


_FIGURES = ("accuracy", "macro F1", "calibration error", "log loss")


def _figures(check: "HeldOutCheck | None") -> list[str]:
    if check is None:
        return ["-"] * (1 + len(_FIGURES))
    shown = (check.accuracy, check.macro_f1, check.calibration_error, check.log_loss)
    checked = f"{check.tasks} {check.against}" if check.is_agreement else str(check.tasks)
    return [checked, *map(number, shown)]


def _annotated(count: int, settled: int) -> str:
    return f"{count} ({settled} by consensus)" if settled else str(count)


def _record(
    registry: "ModelRegistry", project: int, records: "Sequence[VersionRecord]", version: str | None
) -> "VersionRecord":
    name = version or registry.current_version(project) or records[0].model_version
    chosen = next((record for record in records if record.model_version == name), None)
    if chosen is None:
        raise VersionError(
            f"project {project} has no version {name!r}; it has: "
            + ", ".join(record.model_version for record in records)
        )
    return chosen


def _show_control(record: "VersionRecord", control: str) -> None:
    check, labels = record.checks.get(control), record.labels.get(control, [])
    if check is None:
        controls = ", ".join(record.checks) or "none"
        raise VersionError(f"{record.model_version} has no control {control!r}; it has: {controls}")
    console = _console()
    against = f", measured against {check.against}" if check.is_agreement else ""
    console.print(f"{control} of {record.model_version}: {check.tasks} tasks held out{against}")
    if check.tasks == 0:
        return
    multiple = bool(check.confusion and isinstance(check.confusion[0][0], tuple))
    console.print_table((_confusion_each if multiple else _confusion)(labels, check.confusion))
    thresholds = sorted(
        {threshold for by_threshold in check.precision_at.values() for threshold in by_threshold}, key=float
    )
    table = Table("precision at a score of", *(f"{threshold} or more" for threshold in thresholds))
    for label in labels:
        reached = check.precision_at.get(label, {})
        cells = (f"{reached[at][0]:.3f} of {reached[at][1]}" if at in reached else "-" for at in thresholds)
        table.add_row(label, *cells)
    console.print_table(table)


def _confusion(labels: "Sequence[str]", confusion: "Sequence[Sequence[float]]") -> Table:
    table = Table("right \\ suggested", *labels)
    for label, row in zip(labels, confusion, strict=True):
        table.add_row(label, *(f"{count:g}" for count in row))
    return table


def _confusion_each(labels: "Sequence[str]", confusion: "Sequence[Sequence[Sequence[float]]]") -> Table:
    table = Table("label", "rightly suggested", "wrongly suggested", "missed", "rightly left out")
    for label, ((out, wrong), (missed, right)) in zip(labels, confusion, strict=True):
        table.add_row(label, *(f"{count:g}" for count in (right, wrong, missed, out)))
    return table


def _console() -> SafeConsole:
    return new_console()
