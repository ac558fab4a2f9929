"""An import, from a source to the tasks of a project."""

import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from itertools import islice
from pathlib import Path
from tempfile import TemporaryFile

from common.files import held
from common.label_studio.client import LabelStudioClient
from common.progress import Progress, silent
from consensus.errors import StoreError
from consensus.transfer.checking import Check, batches, checked, checks, ending
from consensus.transfer.duplicates import Duplicates
from consensus.transfer.failures import FailureLog
from consensus.transfer.import_options import ImportOptions
from consensus.transfer.import_outcome import ImportOutcome, Tally
from consensus.transfer.journal import Entry, Journal, entries_in, journal_file
from consensus.transfer.project_settings import add_settings, is_said
from consensus.transfer.sender import Image, ImportedTask, Sender, read_tasks, tasks_by_key
from consensus.transfer.sources.records import Reading, Record, is_file
from consensus.transfer.storages import (
    KINDS,
    PlannedStorage,
    buckets_without_storage,
    check_served,
    make_storages,
    missing_storages,
)
from consensus.transfer.target_project import make_project, plan_target
from consensus.transfer.targets import Target, fitting

_TASKS_A_REQUEST = 512


def run_import(
    client: LabelStudioClient,
    reading: Reading,
    source: str,
    options: ImportOptions,
    folder: Path,
    log: FailureLog,
    *,
    dry_run: bool = False,
    progress: Progress = silent,
    threads: int = 1,
    sleep: Callable[[float], None] = time.sleep,
    clock: Callable[[], float] = time.time,
) -> ImportOutcome:
    """Import what was read of a source into a project.

    Parameters
    ----------
    folder : Path
        Of the journals.
    threads : int
        That check images.

    Raises
    ------
    LabelStudioError
        Where it cannot be reached, refuses the project, or fails; what was sent is in the journal.
    StoreError
        Where another import into the project is at work, or there can be no journal.
    """
    target = plan_target(client, reading, options)
    records, misfits = fitting(target, reading.records)
    outcome = ImportOutcome(target, left_out=[*reading.left_out, *misfits], storages=[*options.storages])
    if options.local_files:
        records, outside = options.local_files.placed(records)
        outcome.left_out += outside
        outcome.storages += options.local_files.storages(records)
    if dry_run:
        _rehearse(client, records, outcome, options, folder, progress=progress, threads=threads)
        return outcome
    _check_writable(folder)
    outcome.target = make_project(client, target, folder / "projects.lock", sleep)
    log.add(outcome.left_out)
    _prepare(client, records, outcome, options, folder / "settings.lock", sleep)
    path = _journal_file(folder, client, outcome.target)
    with held(path.with_suffix(".lock"), wait=False) as alone, Journal(path) as journal:
        if not alone:
            raise StoreError(
                f"another import into project {outcome.target.project_id} is at work; see consensus import-status"
            )
        sender = Sender(client, outcome.target, journal, sleep=sleep, clock=clock)
        there = sender.there()
        entries = sender.settle(there)
        total = len(records) + len(outcome.left_out)
        journal.begin(client.url, outcome.target.project_id or 0, target.title, source, total, clock())
        tally = Tally(outcome, log, journal, progress, total, clock)
        duplicates = Duplicates(outcome.target, there, entries, restore=options.restore)
        with (
            checks(threads) as checking,
            ending(ThreadPoolExecutor(options.parallel, "upload")) as uploading,
        ):
            images = _new_images(records, duplicates, entries, tally, checking)
            while group := list(islice(images, _TASKS_A_REQUEST)):
                _send(sender, group, uploading, options.batch, tally)
        outcome.doubled = sender.doubled()
        tally.show(ended=True)
    return outcome


def _check_writable(folder: Path) -> None:
    """See that there can be journals, before anything is sent."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with TemporaryFile(dir=folder):
            return
    except OSError as error:
        raise StoreError(f"the journal of imports in {folder} cannot be written: {error.strerror}") from None


def _prepare(
    client: LabelStudioClient,
    records: Sequence[Record],
    outcome: ImportOutcome,
    options: ImportOptions,
    settings_lock: Path,
    sleep: Callable[[float], None],
) -> None:
    """Make what the tasks need: storages through which their images are shown, and the section of the settings."""
    project_id = outcome.target.project_id or 0
    outcome.storages = make_storages(client, project_id, outcome.storages, sleep)
    outcome.hidden = _hidden(client, project_id, records)
    check_served(client, next((each for each in records if each.path and is_file(each.path)), Record("")))
    with held(settings_lock, wait=True):  # imports into other projects add to the same file
        if is_said(options.config, outcome.target, project_id):
            outcome.settings = "said"
        elif options.config and add_settings(options.config, outcome.target, project_id):
            outcome.settings = "added"


def _send(sender: Sender, group: Sequence[Image], pool: ThreadPoolExecutor, batch: int, tally: Tally) -> None:
    """Upload a group in parallel, then make its tasks: at once, SQLite would let each wait for the other."""
    uploads = [each for each in group if not each.address]
    upload_ids: list[int] = []
    for ids in pool.map(sender.upload, batches(uploads, batch)):
        upload_ids += ids
        tally.show(len(upload_ids))
    tally.send(sender.make_tasks(sender.addressed(group, upload_ids)))
    refused, sender.refused = sender.refused, []
    tally.leave_out(refused)


def _new_images(
    records: Iterable[Record],
    duplicates: Duplicates,
    entries: Mapping[str, Entry],
    tally: Tally,
    check: Check,
) -> Iterator[Image]:
    """Give the images that are to be sent; those that were uploaded before a kill have their address."""
    for image in checked(records, tally.leave_out, check):
        why = duplicates.why(image)
        if why is None:
            entry = entries.get(image.key)
            uploaded = entry.address if entry is not None and entry.state == "uploaded" else ""
            tally.add(image)
            yield replace(image, address=image.address or uploaded)
        elif why:
            tally.leave_out([image.record.left_out("duplicate", why)])
        else:
            tally.skip()


def _rehearse(
    client: LabelStudioClient,
    records: Sequence[Record],
    outcome: ImportOutcome,
    options: ImportOptions,
    folder: Path,
    *,
    progress: Progress,
    threads: int,
) -> None:
    """Do all that sends and writes nothing."""
    target = outcome.target
    there: dict[str, ImportedTask] = {}
    entries: dict[str, Entry] = {}
    if target.project_id is not None:
        outcome.settings = "said" if is_said(options.config, target, target.project_id) else "lines"
        there = tasks_by_key(read_tasks(client, target.project_id), target)
        entries = entries_in(_journal_file(folder, client, target))
        outcome.hidden = _hidden(client, target.project_id, records, outcome.storages)
        outcome.storages = missing_storages(client, target.project_id, outcome.storages)
    else:
        outcome.hidden = buckets_without_storage(records, (), outcome.storages)
    duplicates = Duplicates(target, there, entries, restore=options.restore)
    tally = Tally(outcome, FailureLog(None), None, progress, len(records) + len(outcome.left_out), time.time)
    with checks(threads) as checking:
        for _ in _new_images(records, duplicates, entries, tally, checking):
            tally.send(1)


def _journal_file(folder: Path, client: LabelStudioClient, target: Target) -> Path:
    return journal_file(folder, client.url, target.project_id or 0, target.created_at)


def _hidden(
    client: LabelStudioClient, project_id: int, records: Sequence[Record], planned: Sequence[PlannedStorage] = ()
) -> list[str]:
    hidden = buckets_without_storage(records, (), planned)
    if hidden:
        hidden = buckets_without_storage(records, [*client.storages(project_id, KINDS.values())], planned)
    return hidden
