"""Imports behind the pages: one at a time into a project, shown first, with how far they are."""

import json
import re
import threading
import time
import uuid
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field, replace
from itertools import chain
from pathlib import Path
from typing import Any

from werkzeug.exceptions import Conflict, NotFound

from common.errors import SuiteError
from consensus.console.import_form import ImportForm, in_words_of_the_form
from consensus.errors import ConfigError
from consensus.serving.background import Background, Job
from consensus.serving.service import Service
from consensus.transfer.datasets import Datasets, SentLists
from consensus.transfer.failures import FailureLog
from consensus.transfer.import_outcome import ImportOutcome
from consensus.transfer.importing import run_import
from consensus.transfer.project_settings import settings_lines
from consensus.transfer.sources.records import LeftOut, Reading
from consensus.transfer.targets import alike, labels_of

REHEARSAL, IMPORT = "rehearsal", "import"
CHECKING_THREADS = 2
"""Images that are decoded at a time: pages are made meanwhile."""
SAMPLE, SAMPLE_OF_KIND, SHOWN_LABELS = 10, 4, 200
REMEMBERED = 500
"""Imports whose pages say what came of them."""
LOGS_KEPT_S = 30 * 86_400.0
"""Of what was left out."""
_NEW = 0
"""In place of a project's number, for those that are to be made."""
_LOG = re.compile(r"[0-9a-f]{32}")


class StoppedError(SuiteError):
    """Somebody has stopped an import."""


@dataclass
class Pace:
    """How far an import is, as its own thread tells.

    Attributes
    ----------
    form : ImportForm
        What is imported.
    name : str
        Of the log of what is left out.
    """

    form: ImportForm
    clock: Callable[[], float] = time.monotonic
    name: str = field(default_factory=lambda: uuid.uuid4().hex)
    done: int = 0
    total: int = 0
    began: float = 0.0
    is_stopping: bool = False

    def __call__(self, _step: str, done: int, total: int, /) -> None:
        """Note it.

        Raises
        ------
        StoppedError
            Where somebody has stopped it.
        """
        if self.is_stopping:
            raise StoppedError("It was stopped. The same form goes on, and imports nothing twice.")
        self.began = self.began or self.clock()
        self.done, self.total = done, total

    @property
    def rate(self) -> float:
        """Images a second."""
        return self.done / max(self.clock() - self.began, 1e-3) if self.done else 0.0

    @property
    def left_s(self) -> float | None:
        """Seconds that are left at this pace; None where that cannot be said yet."""
        return (self.total - self.done) / self.rate if self.rate else None


class ImportJobs:
    """Shows what an import would do, and does it.

    Parameters
    ----------
    folder : callable
        Names that of the journals.
    datasets : Path or None
        What may be imported; None: lists of addresses alone.
    settings_file : Path or None
        Which gets the section of a project that is made.
    """

    def __init__(
        self,
        service: Service,
        folder: Callable[[], Path] | None,
        datasets: Path | None,
        settings_file: Path | None,
    ) -> None:
        self._service, self._folder_of, self._datasets = service, folder, datasets
        self._settings_file, self._lock = settings_file, threading.Lock()
        self._rehearsals, self._imports = Background(), Background()
        self._paces: dict[str, Pace] = {}

    @property
    def folder(self) -> Path:
        """Where journals, logs and lists that were sent are."""
        if self._folder_of is None:
            raise ConfigError("this service has no folder for the journals of imports")
        return self._folder_of()

    @property
    def is_on(self) -> bool:
        """Whether a folder of datasets is named."""
        return self._datasets is not None

    @property
    def datasets(self) -> Datasets | None:
        """What may be imported; None where no folder is named."""
        return Datasets(self._datasets) if self._datasets else None

    @property
    def sent_lists(self) -> SentLists:
        """Lists of addresses that were sent."""
        return SentLists(self.folder / "lists")

    def begin(self, form: ImportForm, by: str, *, rehearsal: bool) -> Job:
        """Let an import be shown or done, and return at once.

        Raises
        ------
        Conflict
            Where another one into the project is at work.
        """
        jobs, kind = (self._rehearsals, REHEARSAL) if rehearsal else (self._imports, IMPORT)
        project, pace = form.project or _NEW, Pace(form)
        with self._lock:
            others = [job for job in self._imports.jobs(project) if not job.finished_at]
            if others and not rehearsal:
                where = "a new project" if project == _NEW else f"project {project}"
                raise Conflict(
                    f"An import into {where} is at work, begun by {others[0].made_by}: wait for its end."
                )
            job = jobs.submit(project, kind, by, lambda: self._do(form, by, pace, rehearsal=rehearsal))
            self._paces[job.id] = pace
            while len(self._paces) > REMEMBERED:
                del self._paces[next(iter(self._paces))]
        return job

    def find(self, project: int | None, name: str) -> tuple[Job, Pace] | None:
        """Return an import and how far it is; None where it was before the service began anew."""
        number, pace = project or _NEW, self._paces.get(name)
        job = self._imports.job(number, name) or self._rehearsals.job(number, name)
        return (job, pace) if job and pace else None

    def at_work(self, project: int | None) -> tuple[Job, Pace] | None:
        """Return the import into a project that has not ended."""
        others = (job for job in self._imports.jobs(project or _NEW) if not job.finished_at)
        return next((each for job in others if (each := self.find(project, job.id))), None)

    def stop(self, project: int | None, name: str) -> None:
        """End an import; what it has sent stays."""
        if there := self.find(project, name):
            there[1].is_stopping = True

    def left_out(self, name: str) -> Iterator[tuple[str, str, str, str]]:
        """Yield source, kind, reason and labels of what an import left out.

        Raises
        ------
        NotFound
            Where no import has such a log, or not any more.
        """
        path = self._log(name)
        if not _LOG.fullmatch(name) or not path.is_file():
            raise NotFound("There is no such list any more.")
        with path.open(encoding="utf-8") as lines:
            for line in lines:
                row = json.loads(line)
                yield row["source"], row["kind"], in_words_of_the_form(row["reason"]), ", ".join(row["labels"])

    def _log(self, name: str) -> Path:
        return self.folder / "left-out" / f"{name}.jsonl"

    def _do(self, form: ImportForm, by: str, pace: Pace, *, rehearsal: bool) -> dict[str, Any]:
        log = FailureLog(self._log(pace.name))
        options = replace(form.import_options(), config=self._settings_file)
        self._sweep()
        reading = self._read(form)
        with self._service.studio() as studio:
            outcome = run_import(
                studio.client, reading, form.called, options, self.folder, FailureLog(None) if rehearsal else log,
                dry_run=rehearsal, progress=pace, threads=CHECKING_THREADS,
            )  # fmt: skip
        if rehearsal:
            log.add(outcome.left_out)
        elif project := outcome.target.project_id:
            self._service.background.submit(project, "run", by, lambda: self._service.run(project), joins=True)
        return _summary(reading, outcome)

    def _read(self, form: ImportForm) -> Reading:
        options = form.source_options()
        if form.sent:
            return self.sent_lists.read(form.sent, form.layout, options)
        datasets = self.datasets
        if datasets is None:
            raise ConfigError("CONSENSUS_IMPORT_DIR names no folder of datasets")
        if root := form.values.get("root"):
            options = replace(options, root=datasets.place(root))
        return datasets.read(form.entry, form.layout, options)

    def _sweep(self) -> None:
        for path in self._log("").parent.glob("*.jsonl"):
            if time.time() - path.stat().st_mtime > LOGS_KEPT_S:
                path.unlink(missing_ok=True)


def _summary(reading: Reading, outcome: ImportOutcome) -> dict[str, Any]:
    """Sum an import up for its page."""
    target, labels = outcome.target, labels_of(reading.records)
    offered = target.project_id is None or target.verifies
    step = -(-len(reading.records) // SAMPLE) or 1  # from all over the source: its first images have one label
    counts = sorted(outcome.labels.items(), key=lambda each: (-each[1], each[0]))
    return {
        "project": target.project_id,
        "title": target.title,
        "control": target.control,
        "verifies": target.verifies,
        "multiple": target.multiple,
        "overlap": target.overlap,
        "label_config": target.label_config,
        "added": list(target.added),
        "missing": [] if offered else [label for label in labels if label not in target.labels],
        "sent": outcome.sent,
        "earlier": outcome.earlier,
        "bytes": outcome.n_bytes,
        "labels": counts[:SHOWN_LABELS],
        "n_labels": len(counts),
        "alike": alike(outcome.labels),
        "kinds": dict(Counter(each.kind for each in outcome.left_out)),
        "left_out": [(each.source, in_words_of_the_form(each.reason)) for each in _some_of_each(outcome.left_out)],
        "rows": [(record.source, record.labels) for record in reading.records[::step][:SAMPLE]],
        "notes": [in_words_of_the_form(note) for note in reading.notes],
        "hidden": outcome.hidden,
        "doubled": outcome.doubled,
        "settings": settings_lines(target, target.project_id or "ID") if outcome.settings == "lines" else "",
    }


def _some_of_each(left_out: Iterable[LeftOut]) -> list[LeftOut]:
    """Return the first of each kind."""
    by_kind = defaultdict[str, list[LeftOut]](list)
    for each in left_out:
        if len(by_kind[each.kind]) < SAMPLE_OF_KIND:
            by_kind[each.kind].append(each)
    return list(chain.from_iterable(by_kind.values()))
