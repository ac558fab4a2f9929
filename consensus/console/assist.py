"""AI-assist: what a model suggests by its scores, what may be accepted, and how right that is expected to be."""

from collections.abc import Sequence
from dataclasses import dataclass
from math import floor

import numpy as np
from flask import Blueprint, g, render_template, request

from consensus.assist.accept import AUDIT_SHARE, GroupOffer, Request, offer
from consensus.assist.suggestions import Group, Suggested
from consensus.console.access import Role, needs
from consensus.console.desk import console
from consensus.console.pages import share_in
from consensus.core.arrays import Floats
from consensus.serving import acts
from consensus.serving.background import Job, State
from consensus.serving.service import service, snapshot_of
from consensus.store.columns import Row

assist_pages = Blueprint("assist", __name__)

ABOVE = 0.95
"""The threshold that a page begins with."""
BINS = 20
SAMPLE = 12
DRAWN = 40
"""So many labels have a histogram of their own; the others have their numbers."""
PATIENCE_S = 1.0
"""After so long a page says that it is still reading."""


@dataclass(frozen=True)
class Histogram:
    """How many suggestions have which score.

    Parameters
    ----------
    counts : list of int
        In steps of 1 / `BINS`, from 0 on.
    faded : int
        So many of the first steps lie below the threshold.
    """

    counts: list[int]
    faded: int

    @property
    def rows(self) -> list[tuple[float, float, int]]:
        """Lower and upper bound of each step that is not empty, the highest first, and its count."""
        return [(step / BINS, (step + 1) / BINS, n) for step, n in enumerate(self.counts) if n][::-1]


def histogram(scores: Sequence[float] | Floats, above: float) -> Histogram:
    """Count scores.

    Examples
    --------
    >>> made = histogram([0.5, 0.52, 1.0], 0.5)
    >>> made.rows, made.faded
    ([(0.95, 1.0, 1), (0.5, 0.55, 2)], 10)
    """
    steps = np.minimum((np.asarray(scores) * BINS + 1e-9).astype(int), BINS - 1)
    return Histogram(np.bincount(steps, minlength=BINS).tolist(), floor(above * BINS + 1e-9))


def histograms(read: Suggested, groups: Sequence[GroupOffer]) -> dict[Group, Histogram]:
    """Count the scores of the open suggestions of the first groups; faded is what would not be accepted."""
    return {
        (each.control, each.labels): histogram(
            read.open_scores[read.groups[each.control, each.labels]], 1.0 if each.above is None else each.above
        )
        for each in groups[:DRAWN]
    }


@dataclass(frozen=True)
class Reading:
    """The suggestions of a version, or the job that reads them and its state."""

    suggested: Suggested | None
    job: Job | None = None
    state: State = "done"

    @property
    def is_working(self) -> bool:
        """Whether one has to ask again."""
        return self.suggested is None and self.state in ("waiting", "running")

    @property
    def versions(self) -> list[str]:
        """All that have some, where the project shows none."""
        return self.job.result["versions"] if self.job and self.state == "done" and self.job.result else []


@assist_pages.get("/projects/<int:project>/assist")
@needs(Role.ADMIN)
def suggestions(project: int) -> str:
    """Show the suggestions of a model version by score and label, and what a threshold would accept."""
    asked = _asked()
    with snapshot_of(service(), project) as snapshot:
        controls = snapshot.controls(project)
    reading = Reading(*being_read(project, request.args.get("version") or None))
    if reading.suggested is None:
        return render_template("assist.html", reading=reading, read=None)
    return _shown(project, reading.suggested, asked, controls)


def being_read(project: int, version: str | None) -> tuple[Suggested | None, Job | None, State]:
    """Return the suggestions where they are there, or the job that reads them and its state.

    A page that asks for them again names the job as `reading`. Done without any, the project shows none.
    """
    here, name = service(), request.args.get("reading")
    if read := here.suggested.fresh(project, version):
        return read, None, "done"
    job = here.readings.job(project, name) if name else None
    if job is None or job.state == "done":  # what was read then is too old
        job = acts.read_behind(here, project, version, g.member.email)
        job.ended.wait(PATIENCE_S)
    state = job.state  # before what it leaves is looked at: it may end meanwhile
    return here.suggested.fresh(project, version), job, state


def _asked() -> Request:
    """Read the threshold that the address asks for."""
    above, precision = (share_in(request.args.get(name), name) for name in ("above", "precision"))
    if above is None and precision is None:
        above = ABOVE
    asked = Request(
        label=request.args.get("label") or None,
        control=request.args.get("control") or None,
        above=above,
        target_precision=precision,
    )
    asked.check_shares()
    return asked


def _shown(project: int, read: Suggested, asked: Request, controls: list[Row]) -> str:
    offered = offer(read, asked)
    counted = acts.offer_row(offered, SAMPLE)
    groups = sorted(offered.groups, key=lambda each: -each.suggestions)
    scores = [read.open_scores[read.groups[each.control, each.labels]] for each in groups]
    lowest = [each.above for each in groups if each.above is not None]
    line = asked.above if asked.target_precision is None else min(lowest, default=1.0)
    console().pictures.expect_quietly(project, {row["task"] for row in counted["sample"]})
    return render_template(
        "assist.html",
        reading=Reading(read),
        read=read,
        asked=asked,
        controls=controls,
        labels=sorted({label for row in controls for label in row["labels"]}),
        counted=counted,
        conformal=offered.conformal,
        expected=offered.expected,
        open=sum(each.suggestions for each in groups),
        whole=histogram(np.concatenate([[], *scores]), line or 0.0),
        groups=groups,
        histograms=histograms(read, groups),
        audit_share=AUDIT_SHARE,
    )
