"""An import, from a source to the tasks of a project."""

import time
from collections import Counter, deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from itertools import islice
from pathlib import Path

from common.errors import LabelStudioError, LostAnswerError
from common.files import held
from common.label_studio.client import LabelStudioClient
from common.progress import Progress, silent
from consensus.errors import ConfigError, StoreError
from consensus.settings import ProjectConfig, project_config
from consensus.transfer.failures import FailureLog
from consensus.transfer.image_checks import CheckedImage, UnusableImageError, check_image
from consensus.transfer.journal import Entry, Journal, entries_in, journal_file
from consensus.transfer.project_settings import add_settings, is_said
from consensus.transfer.sender import LOOKS_SECONDS, Image, ImportedTask, Sender, read_tasks, tasks_by_key
from consensus.transfer.sources.records import LeftOut, Reading, Record
from consensus.transfer.storages import (
    KINDS,
    LocalFiles,
    PlannedStorage,
    buckets_without_storage,
    check_served,
    make_storages,
    missing_storages,
)
from consensus.transfer.targets import Target, existing_target, fitting, new_target

LARGEST_BATCH, LARGEST_REQUEST, FILES_A_REQUEST = 128, 64 * 2**20, 100
"""Images, bytes and files; Label Studio takes 250 MiB and 100 files."""
OVERLAP = 3
"""Annotators an image where nobody says how many: fewer votes settle little."""
_TASKS_A_REQUEST = 512
_SAMPLE = 100
_AHEAD = 1024  # images that are checked while others are sent


@dataclass(frozen=True)
class ImportOptions:
    """What a person asks of an import.

    Attributes
    ----------
    project : str
        Id or title; a project is made where none has the title.
    overlap : int or None
        Annotators an image, for a project that is made.
    parallel : int
        Requests with images at a time.
    local_files : LocalFiles or None
        Where Label Studio serves files that are not uploaded; None: they are.
    storages : tuple of PlannedStorage
        Of buckets, to be made where the project has none.
    restore : bool
        Whether images come back that were imported before and whose tasks were deleted in Label Studio since.
    """

    project: str
    verify: bool = False
    control: str | None = None
    add_labels: bool = False
    overlap: int | None = None
    batch: int = 32
    parallel: int = 4
    restore: bool = False
    config: Path | None = None
    local_files: LocalFiles | None = None
    storages: tuple[PlannedStorage, ...] = ()


@dataclass
class ImportOutcome:
    """What an import did, or would do.

    Attributes
    ----------
    sent : int
        Tasks that were made; in a dry run: that would be.
    earlier : int
        Images that were imported before, from the same place of a source.
    storages : list of PlannedStorage
        Those that were made; in a dry run: that are needed.
    hidden : list of str
        Buckets whose images Label Studio cannot show, as the project has no storage for them.
    settings : {"added", "said", "lines"}
        Whether the settings file got its section, had it, or a person has to write it.
    """

    target: Target
    sent: int = 0
    earlier: int = 0
    n_bytes: int = 0
    left_out: list[LeftOut] = field(default_factory=list)
    labels: Counter[str] = field(default_factory=Counter)
    settings: str = "lines"
    log: Path | None = None
    storages: list[PlannedStorage] = field(default_factory=list)
    hidden: list[str] = field(default_factory=list)

    @property
    def failures(self) -> list[LeftOut]:
        """What was left out though it is no duplicate."""
        return [each for each in self.left_out if each.kind != "duplicate"]


def plan_target(client: LabelStudioClient, records: Sequence[Record], options: ImportOptions) -> Target:
    """Find the project, or plan it.

    Raises
    ------
    ConfigError
        Where several projects have the title, or the options do not fit the project.
    """
    project_id = _project_id(client, options.project)
    if project_id is None:
        return new_target(
            options.project,
            records,
            verify=options.verify,
            control=options.control,
            overlap=options.overlap or OVERLAP,
        )
    project = client.project(project_id)
    row = client.project_settings(project_id)
    if options.overlap is not None and options.overlap != row.overlap:
        raise ConfigError(
            f"project {project_id} shows each task to {row.overlap} annotators; leave --overlap out, or change it "
            "in Label Studio (Settings > Annotation), which changes it for all tasks"
        )
    settings = project_config(options.config, project_id) if _there(options.config) else ProjectConfig()
    page = client.task_page(project_id, page=1, size=_SAMPLE, include="id,data")
    return existing_target(
        Target(project_id, project.title, "", (), created_at=project.created_at),
        project.label_config,
        records,
        [task.get("data") or {} for task in page],
        settings,
        verify=options.verify,
        control=options.control,
        add_labels=options.add_labels,
    )


def _there(path: Path | None) -> bool:
    return path is not None and path.exists()


def _project_id(client: LabelStudioClient, named: str) -> int | None:
    """Id of the project that is named by its id or title; None where no project has the title."""
    titles = client.project_titles()
    if named.isdecimal():
        if int(named) not in titles:
            raise ConfigError(f"Label Studio has no project {named}, or the account may not see it")
        return int(named)
    ids = [project_id for project_id, title in titles.items() if title == named]
    if len(ids) > 1:
        raise ConfigError(f"projects {', '.join(map(str, ids))} all have the title {named!r}; name one by its id")
    return ids[0] if ids else None


def make_project(client: LabelStudioClient, target: Target, sleep: Callable[[float], None]) -> Target:
    """Make the project, or add labels to the existing one; return it with its id."""
    project_id = target.project_id
    if project_id is None and target.label_config:
        try:
            project_id = client.make_project(
                target.title, target.label_config, {"maximum_annotations": target.overlap}
            )
        except LostAnswerError:
            for pause in LOOKS_SECONDS:
                sleep(pause)
                project_id = _project_id(client, target.title)
                if project_id is not None:
                    break
            else:
                raise
    elif project_id is not None and target.label_config:
        client.change_project(project_id, {"label_config": target.label_config})
    if project_id is None:
        raise LabelStudioError(f"Label Studio has made no project {target.title!r}")
    return replace(target, project_id=project_id, created_at=client.project(project_id).created_at)


def checked(records: Iterable[Record], left_out: Callable[[LeftOut], None], threads: int) -> Iterator[Image]:
    """Check images in parallel, and give them in the order of the source; those at an address are not fetched."""
    with _ending(ThreadPoolExecutor(threads, "check")) as pool:
        waiting: deque[tuple[Record, Future[CheckedImage] | None]] = deque()
        coming = iter(records)
        while True:
            for record in islice(coming, _AHEAD - len(waiting)):
                waiting.append((record, pool.submit(check_image, record.path) if record.path else None))
            if not waiting:
                return
            record, check = waiting.popleft()
            try:
                image = check.result() if check else None
            except UnusableImageError as error:
                left_out(LeftOut(record.source, "not usable", str(error), record.labels, record.path))
                continue
            if image is None:
                yield Image(record, record.address, record.address)
            else:
                yield Image(record, image.checksum, record.address, image.ending, image.n_bytes)


@contextmanager
def _ending(pool: ThreadPoolExecutor) -> Iterator[ThreadPoolExecutor]:
    """End a pool without the work that has not begun."""
    try:
        yield pool
    finally:
        pool.shutdown(wait=True, cancel_futures=True)


class Duplicates:
    """Tells images that are new from those that came before, in the source or into the project.

    Parameters
    ----------
    there : mapping of str to ImportedTask
        The project's tasks by the key of their image.
    entries : mapping of str to Entry
        The journal's images.
    """

    def __init__(
        self, target: Target, there: Mapping[str, ImportedTask], entries: Mapping[str, Entry], *, restore: bool
    ) -> None:
        self._target, self._there, self._entries, self._restore = target, there, entries, restore
        self._met: dict[str, Record] = {}

    def why(self, image: Image) -> str | None:
        """Return why an image is left out: "" where its task is there already; None where it is new."""
        record, task = image.record, self._there.get(image.key)
        earlier = self._met.setdefault(image.key, record)
        if earlier is not record:
            return f"the same image as {earlier.source}{_other_label(record.labels, earlier.labels)}"
        if task is not None:
            held_labels = task.labels if isinstance(task.labels, list) else [task.labels] if task.labels else []
            other = _other_label(record.labels, tuple(map(str, held_labels)))
            if task.source == record.source and not other:
                return ""
            return (
                f"the same image as task {task.id} of the project ({task.source or 'imported otherwise'}){other}"
            )
        entry = self._entries.get(image.key)
        if entry is not None and entry.state == "done" and not self._restore:
            return f"it was imported before, and its task {entry.task_id} was deleted in Label Studio since"
        return None


def _other_label(labels: Sequence[str], earlier: Sequence[str]) -> str:
    if {*labels} == {*earlier}:
        return ""
    return f", which has the label {', '.join(earlier) or 'none'} and not {', '.join(labels) or 'none'}"


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
        Where another import into the project is at work.
    """
    target = plan_target(client, reading.records, options)
    records, misfits = fitting(target, reading.records)
    outcome = ImportOutcome(target, left_out=[*reading.left_out, *misfits], log=log.path)
    outcome.storages = [*options.storages]
    if options.local_files:
        records, outside = options.local_files.placed(records)
        outcome.left_out += outside
        outcome.storages += options.local_files.storages(records)
    if dry_run:
        _rehearse(client, records, outcome, options, folder, progress=progress, threads=threads)
        return outcome
    target = outcome.target = make_project(client, target, sleep)
    project_id = target.project_id or 0
    log.add(outcome.left_out)
    outcome.storages = make_storages(client, project_id, outcome.storages, sleep)
    outcome.hidden = _hidden(client, project_id, records)
    check_served(client, next((each for each in records if each.path and each.path.is_file()), Record("")))
    outcome.settings = _settle_settings(options.config, target, project_id)
    path = journal_file(folder, client.url, project_id, target.created_at)
    with held(path.with_suffix(".lock"), wait=False) as alone:
        if not alone:
            raise StoreError(f"another import into project {project_id} is at work; see consensus import-status")
        with Journal(path) as journal:
            sender = Sender(client, project_id, target, journal, sleep=sleep, clock=clock)
            there = sender.there()
            entries = sender.settle(there)
            total = len(records) + len(outcome.left_out)
            journal.begin(client.url, project_id, target.title, source, total, clock())
            duplicates = Duplicates(target, there, entries, restore=options.restore)
            images = _new_images(records, duplicates, entries, outcome, log, threads)

            def show(*, ended: bool = False) -> None:
                done = outcome.sent + outcome.earlier + len(outcome.left_out)
                journal.progress(
                    sent=outcome.sent,
                    earlier=outcome.earlier,
                    left_out=len(outcome.left_out),
                    now=clock(),
                    ended=ended,
                )
                progress("images", done, total)

            with _ending(ThreadPoolExecutor(options.parallel, "upload")) as pool:
                while group := list(islice(images, max(_TASKS_A_REQUEST, options.batch))):
                    show()
                    _send(sender, group, pool, options.batch, outcome, log)
                    show()
            show(ended=True)
    return outcome


def _send(
    sender: Sender,
    group: Sequence[Image],
    pool: ThreadPoolExecutor,
    batch: int,
    outcome: ImportOutcome,
    log: FailureLog,
) -> None:
    """Upload a group in parallel, then make its tasks: at once, SQLite would let each wait for the other."""
    uploads = [each for each in group if not each.address]
    upload_ids = [upload_id for ids in pool.map(sender.upload, batches(uploads, batch)) for upload_id in ids]
    outcome.sent += sender.make_tasks(sender.addressed(group, upload_ids))
    refused, sender.refused = sender.refused, []
    log.add(refused)
    outcome.left_out += refused


def batches(images: Sequence[Image], size: int) -> Iterator[list[Image]]:
    """Part images into those of one request: so many, and neither too many files nor too many bytes."""
    batch: list[Image] = []
    n_bytes = 0
    for image in images:
        if batch and (len(batch) >= min(size, FILES_A_REQUEST) or n_bytes + image.n_bytes > LARGEST_REQUEST):
            yield batch
            batch, n_bytes = [], 0
        batch.append(image)
        n_bytes += image.n_bytes
    if batch:
        yield batch


def _new_images(
    records: Iterable[Record],
    duplicates: Duplicates,
    entries: Mapping[str, Entry],
    outcome: ImportOutcome,
    log: FailureLog,
    threads: int,
) -> Iterator[Image]:
    """Give the images that are to be sent; those that were uploaded before a kill have their address."""

    def leave_out(left_out: LeftOut) -> None:
        outcome.left_out.append(left_out)
        log.add([left_out])

    for image in checked(records, leave_out, threads):
        record = image.record
        why = duplicates.why(image)
        if why is None:
            entry = entries.get(image.key)
            outcome.labels.update(record.labels)
            outcome.n_bytes += image.n_bytes
            known_address = entry.address if entry is not None and entry.state == "uploaded" else ""
            yield replace(image, address=image.address or known_address)
        elif why:
            leave_out(LeftOut(record.source, "duplicate", why, record.labels, record.path, record.address))
        else:
            outcome.earlier += 1


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
        entries = entries_in(journal_file(folder, client.url, target.project_id, target.created_at))
        outcome.hidden = _hidden(client, target.project_id, records, outcome.storages)
        outcome.storages = missing_storages(client, target.project_id, outcome.storages)
    else:
        outcome.hidden = buckets_without_storage(records, (), outcome.storages)
    duplicates = Duplicates(target, there, entries, restore=options.restore)
    images = _new_images(records, duplicates, entries, outcome, FailureLog(None), threads)
    for n_images, _ in enumerate(images, start=1):
        outcome.sent = n_images
        progress("images checked", n_images + outcome.earlier, len(records))


def _hidden(
    client: LabelStudioClient, project_id: int, records: Sequence[Record], planned: Sequence[PlannedStorage] = ()
) -> list[str]:
    hidden = buckets_without_storage(records, (), planned)
    if hidden:
        hidden = buckets_without_storage(records, [*client.storages(project_id, KINDS.values())], planned)
    return hidden


def _settle_settings(path: Path | None, target: Target, project_id: int) -> str:
    if is_said(path, target, project_id):
        return "said"
    return "added" if path is not None and add_settings(path, target, project_id) else "lines"
