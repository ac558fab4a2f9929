"""What people say, blind, of a random share of what was accepted: the precision that was reached."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

import numpy as np
import structlog

from common.progress import Progress, of_step, silent
from consensus.assist.suggestions import Truths, posteriors
from consensus.core.assist.expected import Expectation, Judged, expectation
from consensus.label_studio import Studio
from consensus.projects.project_votes import project_votes
from consensus.settings import ProjectConfig
from consensus.store.columns import Row
from consensus.store.reader import Snapshot
from consensus.store.store import Store

LOG = structlog.get_logger()


@dataclass(frozen=True)
class Audited:
    """What was measured of a batch, as a whole or of one label.

    Attributes
    ----------
    label : str
        "" for the batch as a whole.
    sample : int
        Accepted items that people judge blind.
    measured : Expectation
        Of those that have been judged.
    target : float or None
        The precision that was asked for.
    """

    batch: str
    kind: str
    control: str
    label: str
    sample: int
    measured: Expectation
    target: float | None

    @property
    def precision(self) -> float | None:
        """The share that was right; None where nothing has been judged."""
        return 1 - self.measured.share if self.measured.n else None

    @property
    def is_below(self) -> bool:
        """Whether less was right than was asked for."""
        return self.precision is not None and self.target is not None and self.precision < self.target


def audits(
    studio: Studio,
    store: Store,
    config: ProjectConfig,
    project: int,
    now: datetime,
    *,
    progress: Progress = silent,
) -> list[Audited]:
    """Measure the precision of each batch with an audit sample, as a whole and label by label.

    What somebody has decided counts, else what the last run believes of the votes; the machine has none.
    """
    with store.snapshot() as snapshot:
        items = snapshot.decisions.audited(project)
        believed = posteriors(snapshot, project)
    if not items:
        return []
    target = studio.project(project)
    accounts = studio.accounts()
    votes = studio.pull(
        project,
        accounts,
        now,
        lambda cached: project_votes(cached, target, config, accounts, store),
        of_step(progress, "reading tasks", target.n_tasks),
    ).tasks
    return measured(items, Truths(votes.controls, believed))


def stored_audits(snapshot: Snapshot, project: int) -> list[Audited]:
    """Measure by what the store holds alone, as figures that are asked for again and again.

    The last run's posteriors count, which are 0 or 1 where somebody had decided by then.
    """
    items = snapshot.decisions.audited(project)
    rows = snapshot.believed(project, {item["task"] for item in items}) if items else []
    believed = {
        (row["control"], row["task"], row["label"]): float(row["posterior"])
        for row in rows
        if row["yes"] + row["no"] > 0 or row["posterior"] in (0, 1)
    }
    controls = snapshot.controls(project) if items else []
    multiple = {row["control"]: row["labels"] for row in controls if row["choice"] == "multiple"}
    return measured(items, Truths([], believed, multiple))


def measured(items: Sequence[Row], truths: Truths) -> list[Audited]:
    """Measure batches by what is true of their audited items."""
    batches: dict[str, list[Row]] = {}
    for item in items:
        batches.setdefault(item["batch"], []).append(item)
    rows = []
    for of_batch in batches.values():
        rows.append(_measured(of_batch, "", "", truths))
        groups: dict[tuple[str, str], list[Row]] = {}
        for item in of_batch:
            groups.setdefault((item["control"], " + ".join(item["labels"])), []).append(item)
        rows += [_measured(own, *group, truths) for group, own in sorted(groups.items())]
    return rows


def report_below(project: int, audited: Sequence[Audited]) -> list[Audited]:
    """Log the batches whose precision is below what was asked for, and return them."""
    below = [each for each in audited if not each.label and each.is_below]
    for each in below:
        LOG.warning(
            "precision below target",
            project=project,
            batch=each.batch,
            precision=each.precision,
            target=each.target,
            judged=each.measured.n,
        )
    return below


def _measured(items: Sequence[Row], control: str, label: str, truths: Truths) -> Audited:
    truths_of_items = [truths.right(item["task"], (item["control"], tuple(item["labels"]))) for item in items]
    judged = [truth for truth in truths_of_items if truth is not None]
    measured = expectation(
        Judged(
            np.zeros(len(judged), dtype=np.int32),
            np.ones(len(judged)),
            np.array([1 - right for right, _ in judged], dtype=np.float64),
            np.array([decided for _, decided in judged], dtype=bool),
        )
    )
    first = items[0]
    target = first["params"].get("target_precision")
    return Audited(first["batch"], first["kind"], control, label, len(items), measured, target)
