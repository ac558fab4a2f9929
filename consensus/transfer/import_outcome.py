"""What an import has done so far, for whoever watches, and in the end."""

from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

from common.progress import Progress
from consensus.transfer.failures import FailureLog
from consensus.transfer.journal import Journal
from consensus.transfer.sender import Image
from consensus.transfer.sources.records import LeftOut
from consensus.transfer.storages import PlannedStorage
from consensus.transfer.targets import Target

_NOTED_EVERY_S = 1.0


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
    doubled : list of str
        Tasks that show one image, because Label Studio took a request for longer than it was waited for.
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
    doubled: list[str] = field(default_factory=list)
    storages: list[PlannedStorage] = field(default_factory=list)
    hidden: list[str] = field(default_factory=list)

    @property
    def failures(self) -> list[LeftOut]:
        """Images that are missing: neither duplicates nor other files."""
        return [each for each in self.left_out if each.is_failure]


class Tally:
    """Counts what comes of each image, and shows it.

    Parameters
    ----------
    total : int
        Images, those that are left out included.
    journal : Journal or None
        Where another process reads how far the import is; None in a dry run.
    """

    def __init__(
        self,
        outcome: ImportOutcome,
        log: FailureLog,
        journal: Journal | None,
        progress: Progress,
        total: int,
        clock: Callable[[], float],
    ) -> None:
        self._outcome, self._log, self._journal, self._progress = outcome, log, journal, progress
        self._total, self._clock, self._noted_at = total, clock, 0.0

    def leave_out(self, images: Iterable[LeftOut]) -> None:
        """Count images that are not imported, and log why."""
        for each in images:
            self._outcome.left_out.append(each)
            self._log.add([each])
        self.show()

    def skip(self) -> None:
        """Count an image that was imported before."""
        self._outcome.earlier += 1
        self.show()

    def add(self, image: Image) -> None:
        """Count an image that is new."""
        self._outcome.labels.update(image.record.labels)
        self._outcome.n_bytes += image.n_bytes

    def send(self, n_images: int) -> None:
        """Count images whose tasks were made."""
        self._outcome.sent += n_images
        self.show()

    def show(self, n_uploaded: int = 0, *, ended: bool = False) -> None:
        """Show how far the import is, with images that are uploaded and have no task yet."""
        outcome, now = self._outcome, self._clock()
        n_left_out = len(outcome.left_out)
        self._progress("images", outcome.sent + outcome.earlier + n_left_out + n_uploaded, self._total)
        if self._journal and (ended or now >= self._noted_at + _NOTED_EVERY_S):
            self._noted_at = now
            self._journal.progress(
                sent=outcome.sent, earlier=outcome.earlier, left_out=n_left_out, now=now, ended=ended
            )
