"""Overlap: to how many annotators Label Studio should show each task, so that votes go where they are needed.

Label Studio serves a task to different people, each once, until as many have submitted as its overlap says. Then
it is closed, and raising the overlap alone does not open it again.
"""

from dataclasses import dataclass
from typing import Literal

from common.contract import MACHINE_ACCOUNT
from common.label_studio.annotations import moment_of
from consensus.core.votes.from_annotations import Annotation

MAX_VOTES = 10
"""Votes after which a task is left undecided: where ten people cannot settle it, the question is at fault."""
Need = Literal["vote", "none", "limit", "gold", "decided", "run"]
"""What a task needs: a vote; nothing, being finished; nothing more, having as many votes as are allowed; nothing
from here, its truth being known, or a machine having decided it; or a run, having annotations that the last one
did not see."""


@dataclass(frozen=True)
class ServedTask:
    """A task as the label stream sees it.

    Attributes
    ----------
    overlap : int
        So many annotators are to submit an annotation.
    closed : bool
        Whether nobody is shown the task any more.
    annotations : tuple of Annotation
        Without their results.
    """

    id: int
    overlap: int
    closed: bool
    annotations: tuple[Annotation, ...] = ()

    @property
    def annotators(self) -> frozenset[str]:
        """Everybody who had the task, whether they submitted or skipped it."""
        return frozenset(annotation.annotator for annotation in self.annotations)

    @property
    def votes(self) -> int:
        """Number of people who had the task, skips included; whoever made its ground truth has not voted."""
        return len(
            {
                annotation.annotator
                for annotation in self.annotations
                if not annotation.ground_truth and annotation.annotator != MACHINE_ACCOUNT
            }
        )

    @property
    def starred(self) -> bool:
        """Whether it has a ground-truth annotation."""
        return any(annotation.ground_truth for annotation in self.annotations)

    def submitted(self, *, skips_count: bool) -> int:
        """Number of annotators that Label Studio compares with the overlap."""
        return len(
            {annotation.annotator for annotation in self.annotations if skips_count or not annotation.skipped}
        )


@dataclass(frozen=True)
class Served:
    """The tasks of a project as the label stream sees them.

    Attributes
    ----------
    skips_count : bool
        Whether a skip takes a place of the overlap: under all of Label Studio's skip queues but "Requeue for
        others".
    """

    tasks: tuple[ServedTask, ...]
    skips_count: bool = False


@dataclass(frozen=True)
class Change:
    """An overlap to set; with it the task is opened, or closed."""

    task: int
    overlap: int
    closed: bool


@dataclass(frozen=True)
class Limits:
    """How many votes a task gets.

    Attributes
    ----------
    fewest : int
        Votes below which nothing is decided: an open task may have them all at once.
    most : int
        Votes after which a task is left undecided, skips included.
    """

    fewest: int
    most: int


def need_of(
    task: ServedTask,
    *,
    is_open: bool,
    is_current: bool,
    limits: Limits,
    stars_are_gold: bool = True,
    is_decided: bool = False,
) -> Need:
    """Say what a task needs.

    Parameters
    ----------
    is_open : bool
        Whether anything about it is undecided.
    is_current : bool
        Whether the last run saw all its annotations.
    stars_are_gold : bool
        Whether ground truth says what is right; else it is a given label, which votes are asked for.
    is_decided : bool
        Whether the machine account has decided all that is asked about the task.
    """
    if task.starred and stars_are_gold:
        return "gold"
    if is_decided:
        return "decided"
    if not is_current:
        return "run"
    if not is_open:
        return "none"
    return "limit" if task.votes >= limits.most else "vote"


def change_of(task: ServedTask, need: Need, limits: Limits, *, skips_count: bool) -> Change | None:
    """Say what to set, or None where the task is served as it should be.

    A task that needs a vote is shown to one more annotator, or to as many as are missing to the fewest votes that
    decide anything; one that is finished or at its limit is shown to nobody. An overlap that somebody set higher
    stays, up to the limit.

    Examples
    --------
    >>> change_of(ServedTask(7, overlap=1, closed=False), "vote", Limits(2, 10), skips_count=False)
    Change(task=7, overlap=2, closed=False)
    >>> change_of(ServedTask(7, overlap=2, closed=False), "vote", Limits(2, 10), skips_count=False)
    """
    submitted = task.submitted(skips_count=skips_count)
    if need in ("run", "gold", "decided"):
        return None
    if need != "vote":
        # No overlap is below 1: a task that nobody has annotated can only be closed by its mark.
        return None if task.closed else Change(task.id, max(submitted, 1), closed=True)
    room = limits.most - task.votes
    lowest = submitted + min(max(limits.fewest - task.votes, 1), room)
    overlap = lowest if task.closed else min(max(task.overlap, lowest), submitted + room)
    return Change(task.id, overlap, closed=False) if task.closed or overlap != task.overlap else None


def is_current(task: ServedTask, counted: frozenset[tuple[int, str]], started_at: str) -> bool:
    """Whether a run saw all annotations of a task.

    Parameters
    ----------
    counted : frozenset of (int, str)
        Annotations behind the votes of the run: id and time.
    started_at : str
        When the run started, ISO 8601. An older annotation that is no vote was seen
        and passed over, as ground truth is.
    """
    unseen = [
        annotation
        for annotation in task.annotations
        if (annotation.id, annotation.updated_at) not in counted and annotation.annotator != MACHINE_ACCOUNT
    ]
    return all(moment_of(annotation.updated_at) <= moment_of(started_at) for annotation in unseen)
