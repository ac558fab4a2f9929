"""``consensus import`` and ``consensus import-status``."""

import json
import time
from collections import Counter
from contextlib import AbstractContextManager, closing
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer
from rich.progress import TimeRemainingColumn

from common.console import emit, encodable, note
from common.contract import LEFT_OUT
from common.progress import Progress, RateColumn, bar_columns, shown_on
from consensus.commands import output
from consensus.commands.connections import studio_client
from consensus.commands.options import ConfigOption

if TYPE_CHECKING:
    from consensus.transfer.failures import FailureLog
    from consensus.transfer.import_options import ImportOptions
    from consensus.transfer.import_outcome import ImportOutcome
    from consensus.transfer.journal import ImportStatus
    from consensus.transfer.sources.layouts import SourceOptions
    from consensus.transfer.sources.records import Reading
    from consensus.transfer.storages import LocalFiles

_SHOWN = 10
_CHECKING_THREADS = 8
_SILENT_S = 120.0  # a request takes seconds; after this an import is said to have stopped
LayoutName = Literal["folders", "csv", "jsonl", "parquet", "coco", "voc", "imagefolder", "label-studio"]


def import_(
    project: Annotated[
        str, typer.Option("--project", help="Title or id of the project; one is made where none has the title.")
    ],
    source: Annotated[Path | None, typer.Argument(help="A folder of images, or a file that lists them.")] = None,
    layout: Annotated[
        LayoutName | None, typer.Option("--layout", help="How the source is laid out; guessed if not given.")
    ] = None,
    root: Annotated[
        Path | None,
        typer.Option("--root", help="Where the paths in a file begin; in the folder of the file by default."),
    ] = None,
    image_column: Annotated[
        str | None, typer.Option("--image-column", help="Column of the path or address; by its name by default.")
    ] = None,
    label_column: Annotated[
        list[str] | None,
        typer.Option("--label-column", help="Column of labels, or several of them; by its name by default."),
    ] = None,
    separator: Annotated[
        str | None, typer.Option("--separator", help="Between several labels in a column, as in ';'.")
    ] = None,
    nested: Annotated[
        Literal["path", "last", "each"],
        typer.Option("--nested", help="The label of a/b/1.jpg: a/b (path), b (last), or both of them (each)."),
    ] = "path",
    unlabelled: Annotated[
        list[str] | None,
        typer.Option(
            "--unlabelled", help="Name of folders that are no class; unlabelled and unlabeled by default."
        ),
    ] = None,
    verify: Annotated[
        bool,
        typer.Option("--verify", help="Show the given label and ask for yes, no or unsure, not for the label."),
    ] = False,
    control: Annotated[
        str | None, typer.Option("--control", help="Name of the choices; label by default, check with --verify.")
    ] = None,
    add_labels: Annotated[
        bool, typer.Option("--add-labels", help="Add labels that the existing project does not offer yet.")
    ] = False,
    overlap: Annotated[
        int | None,
        typer.Option("--overlap", min=1, help="How many annotators see an image of a new project; 3 by default."),
    ] = None,
    images: Annotated[
        Literal["upload", "local-files"],
        typer.Option("--images", help="Upload files, or let Label Studio serve them from where they are."),
    ] = "upload",
    document_root: Annotated[
        str | None,
        typer.Option(
            "--document-root",
            help="For local-files: LOCAL_FILES_DOCUMENT_ROOT; HERE:THERE where Label Studio sees it elsewhere.",
        ),
    ] = None,
    storage: Annotated[
        list[str] | None,
        typer.Option(
            "--storage",
            help="Make Label Studio's storage of a bucket (s3://bucket/prefix), with this environment's keys.",
        ),
    ] = None,
    batch: Annotated[int, typer.Option("--batch", min=1, max=128, help="Images a request.")] = 32,
    parallel: Annotated[int, typer.Option("--parallel", min=1, max=16, help="Requests at a time.")] = 4,
    retry: Annotated[
        Path | None,
        typer.Option("--retry", help="Log of an earlier import: what it left out is imported again, no SOURCE."),
    ] = None,
    log: Annotated[
        Path | None,
        typer.Option("--log", help="File for what is left out and why (JSON Lines); beside the store by default."),
    ] = None,
    restore: Annotated[
        bool,
        typer.Option("--restore", help="Import again what was imported before and deleted in Label Studio since."),
    ] = False,
    config: ConfigOption = None,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Check and show all that would be made; send and write nothing.")
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
) -> None:
    """Import labelled images into Label Studio: project, label config, and tasks with their given labels.

    Reads folders named after classes, CSV, JSON Lines, Parquet, COCO, Pascal VOC, a Hugging Face imagefolder, and
    exports of Label Studio. Images at http(s), s3, gs and azure-blob addresses stay there; files are uploaded.

    Each file is opened and its checksum taken: what does not open and what came before is left out and named. The
    same command goes on where an import was interrupted or killed; it sends nothing twice.

    Exits with 3 where an image had to be left out that is no duplicate, with 1 where nothing could be done.
    """
    from consensus.settings import settings  # noqa: PLC0415 - --help needs none of it
    from consensus.transfer.failures import FailureLog  # noqa: PLC0415
    from consensus.transfer.import_options import ImportOptions  # noqa: PLC0415
    from consensus.transfer.importing import run_import  # noqa: PLC0415
    from consensus.transfer.sources.layouts import SourceOptions  # noqa: PLC0415
    from consensus.transfer.sources.tables import Columns  # noqa: PLC0415
    from consensus.transfer.storages import cloud_storage  # noqa: PLC0415

    columns = Columns(image_column, tuple(label_column or ()), separator)
    more = {"unlabelled": unlabelled} if unlabelled else {}
    reading = _read(source, retry, layout, SourceOptions(root=root, columns=columns, nested=nested, **more))
    options = ImportOptions(
        project, verify=verify, control=control, add_labels=add_labels, overlap=overlap, batch=batch,
        parallel=parallel, restore=restore, config=config or settings().consensus_config,
        local_files=_local_files(images, document_root), storages=tuple(map(cloud_storage, storage or ())),
    )  # fmt: skip
    name = encodable(str((retry or source or Path()).absolute()))
    failures = FailureLog(None if dry_run else log or _folder() / f"left-out-{_stamp()}.jsonl")
    with closing(studio_client()) as client, _progress(quiet=as_json) as progress:
        outcome = run_import(
            client, reading, name, options, _folder(), failures,
            dry_run=dry_run, progress=progress, threads=_CHECKING_THREADS,
        )  # fmt: skip
    if as_json:
        emit(json.dumps(_outcome_json(outcome, reading, failures, dry_run=dry_run), ensure_ascii=False) + "\n")
    else:
        _show(outcome, reading, failures, options, dry_run=dry_run)
    if outcome.failures:
        raise typer.Exit(LEFT_OUT)


def _progress(*, quiet: bool) -> AbstractContextManager[Progress]:
    """Show how many images there are, how many a second, and the time left."""
    return shown_on(output.ERR, *bar_columns(RateColumn(), TimeRemainingColumn()), quiet=quiet)


def _read(
    source: Path | None, retry: Path | None, layout: LayoutName | None, options: "SourceOptions"
) -> "Reading":
    from consensus.errors import ConfigError  # noqa: PLC0415
    from consensus.transfer.failures import read_failures  # noqa: PLC0415
    from consensus.transfer.sources.layouts import read_source  # noqa: PLC0415

    if (source is None) == (retry is None):
        raise ConfigError("name a SOURCE, or with --retry the log of an earlier import, and not both")
    return read_failures(retry) if retry else read_source(source or Path(), layout, options)


def _local_files(images: str, document_root: str | None) -> "LocalFiles | None":
    from consensus.errors import ConfigError  # noqa: PLC0415
    from consensus.transfer.storages import LocalFiles  # noqa: PLC0415

    if (images == "local-files") != (document_root is not None):
        raise ConfigError("--images local-files and --document-root FOLDER belong together")
    return LocalFiles.of(document_root) if document_root else None


def _folder() -> Path:
    from consensus.settings import default_store  # noqa: PLC0415

    return default_store().parent / "imports"


def _stamp() -> str:
    return datetime.now(UTC).strftime("%Y%m%dT%H%M%S")


def _show(
    outcome: "ImportOutcome",
    reading: "Reading",
    failures: "FailureLog",
    options: "ImportOptions",
    *,
    dry_run: bool,
) -> None:
    from consensus.transfer.targets import alike  # noqa: PLC0415

    for line in reading.notes:
        output.OUT.print(line)
    _show_project(outcome, dry_run=dry_run)
    for spellings in alike(outcome.labels):
        note(f"labels that look alike: {spellings}")
    if outcome.labels:
        output.show_rows([{"label": label, "images": count} for label, count in sorted(outcome.labels.items())])
    for each in outcome.left_out[:_SHOWN]:
        output.ERR.print(f"left out ({each.kind}): {each.source}: {each.reason}", style="yellow")
    if len(outcome.left_out) > _SHOWN:
        output.ERR.print(f"... and {len(outcome.left_out) - _SHOWN} more", style="yellow")
    if failures.path and failures.n_lines:
        output.ERR.print(f"all that was left out, with reasons: {failures.path}", style="yellow")
    _show_settings(outcome, options)
    would = "would be imported, nothing is sent" if dry_run else "imported"
    kinds = Counter(each.kind for each in outcome.left_out)
    output.OUT.print(
        f"{outcome.sent} images {would} ({outcome.n_bytes / 1e6:.1f} MB); {outcome.earlier} imported before, "
        f"{kinds['duplicate']} duplicates, {kinds['other file']} other files, {len(outcome.failures)} failed"
    )


def _show_project(outcome: "ImportOutcome", *, dry_run: bool) -> None:
    target = outcome.target
    place = f"project {target.project_id}" if target.project_id else "a new project"
    output.OUT.print(f"{target.title} ({place})", style="bold")
    if dry_run and target.label_config:
        output.print_lines(target.label_config)
    if target.added:
        output.OUT.print(f"labels added: {', '.join(target.added)}")
    if target.overlap:
        output.OUT.print(f"each image is shown to {target.overlap} annotators")
    for storage in outcome.storages:
        keys = f" with {', '.join(storage.variables)}" if storage.variables else ""
        output.OUT.print(f"storage of Label Studio ({storage.kind}): {storage.place}{keys}")
    for tasks in outcome.doubled:
        note(f"tasks {tasks} show the same image: Label Studio took long over a request; delete one of them")
    for bucket in outcome.hidden:
        note(f"Label Studio cannot show what is in {bucket} until the project has a storage for it (--storage)")


def _show_settings(outcome: "ImportOutcome", options: "ImportOptions") -> None:
    from consensus.transfer.project_settings import settings_lines  # noqa: PLC0415

    lines = settings_lines(outcome.target, outcome.target.project_id or "ID")
    if outcome.settings == "added":
        output.OUT.print(f"added to the settings file {options.config}:")
        output.print_lines(lines)
    elif outcome.settings == "lines":
        output.OUT.print("what a settings file (--config) may say about the project:")
        output.print_lines(lines)


def _outcome_json(
    outcome: "ImportOutcome", reading: "Reading", failures: "FailureLog", *, dry_run: bool
) -> dict[str, object]:
    target = outcome.target
    return {
        "project": target.project_id,
        "title": target.title,
        "control": target.control,
        "label_config": target.label_config,
        "labels": dict(sorted(outcome.labels.items())),
        "sent": outcome.sent,
        "earlier": outcome.earlier,
        "bytes": outcome.n_bytes,
        "left_out": [
            {"source": each.source, "kind": each.kind, "reason": each.reason} for each in outcome.left_out
        ],
        "log": str(failures.path) if failures.path and failures.n_lines else None,
        "notes": reading.notes,
        "storages": [storage.place for storage in outcome.storages],
        "hidden": outcome.hidden,
        "doubled": outcome.doubled,
        "settings": outcome.settings,
        "dry_run": dry_run,
    }


def import_status(
    project: Annotated[
        int | None, typer.Option("--project", min=1, help="Id of a project; all with an import if not given.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Tell how far the last import into each project is, also while it runs in another process."""
    from consensus.transfer.journal import statuses  # noqa: PLC0415 - --help needs none of it

    now = time.time()
    imports = [status for status in statuses(_folder()) if project in (None, status.project_id)]
    if as_json:
        emit(json.dumps([_status_json(status, now) for status in imports], ensure_ascii=False) + "\n")
    elif imports:
        output.show_rows([_status_row(status, now) for status in imports])
    else:
        note("no import was begun by this account")


def _status_json(status: "ImportStatus", now: float) -> dict[str, object]:
    is_silent = now - status.seen > _SILENT_S
    state = "ended" if status.ended else "stopped" if is_silent else "at work"
    left_s = round(status.waiting / status.rate) if state == "at work" and status.rate else None
    return {**asdict(status), "state": state, "waiting": status.waiting, "rate": status.rate, "left_s": left_s}


def _status_row(status: "ImportStatus", now: float) -> dict[str, object]:
    row = _status_json(status, now)
    states = {"stopped": "no sign of life; the same command goes on"}
    return {
        "project": status.project_id,
        "title": status.title,
        "source": status.source,
        "state": states.get(str(row["state"]), row["state"]),
        "images": status.total,
        "sent": status.sent,
        "before": status.earlier,
        "left out": status.left_out,
        "a second": round(status.rate, 1),
        "time left": "" if row["left_s"] is None else f"{row['left_s']} s",
    }
