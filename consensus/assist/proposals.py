"""Accepting the label that the votes prefer to a given one."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime

import numpy as np

from common.progress import Progress, silent
from consensus.assist.accept import Request
from consensus.assist.batches import Performed, WriteOptions, perform, plan
from consensus.core.assist.expected import share_interval
from consensus.label_studio import Studio
from consensus.store.store import Store
from consensus.store.tables import CLASSIFICATION


@dataclass(frozen=True)
class Proposal:
    """The label that the evidence prefers to a given one.

    Attributes
    ----------
    given : str
    label : str
    posterior : float
        That the proposed label is right.
    """

    task: int
    control: str
    given: str
    label: str
    posterior: float


@dataclass(frozen=True, eq=False)
class ProposalOffer:
    """Proposals that would be accepted, the surest first, and how many of them the votes expect to be wrong."""

    proposals: list[Proposal]
    wrong: float
    lower: float
    upper: float


def offer_proposals(store: Store, project: int, request: Request) -> ProposalOffer:
    """Return for each given label in MisClassified the label that the votes prefer, where nobody has decided."""
    with store.snapshot() as snapshot:
        snapshot.needed_controls(project)
        columns = snapshot.columns(CLASSIFICATION, project)
        singles = {
            row["control"]
            for row in snapshot.controls(project)
            if row["kind"] == "choices" and row["choice"] == "single"
        }
        decided = {(row["task"], row["control"]) for row in snapshot.decisions.standing(project)}
    best: dict[tuple[int, str], tuple[float, str]] = {}
    for row in np.flatnonzero(~columns["given"].astype(bool) & (columns["posterior"] > 0)).tolist():
        place = int(columns["task"][row]), str(columns["control"][row])
        best[place] = max(
            best.get(place, (0.0, "")), (float(columns["posterior"][row]), str(columns["label"][row]))
        )
    proposals = []
    tasks = frozenset(request.tasks)
    for row in np.flatnonzero(columns["report"] == "MisClassified").tolist():
        place = int(columns["task"][row]), str(columns["control"][row])
        posterior, label = best.get(place, (0.0, ""))
        if place[1] not in singles or place in decided or posterior <= float(columns["posterior"][row]):
            continue
        proposal = Proposal(*place, str(columns["label"][row]), label, posterior)
        if (
            (not tasks or proposal.task in tasks)
            and request.label in (None, label)
            and request.control in (None, proposal.control)
            and posterior > (request.above or 0.0)
        ):
            proposals.append(proposal)
    proposals.sort(key=lambda each: (-each.posterior, each.task, each.control))
    proposals = proposals[: request.limit]
    wrong = sum(1 - each.posterior for each in proposals)
    return ProposalOffer(proposals, wrong, *share_interval(wrong, len(proposals)))


def accept_proposals(
    studio: Studio,
    store: Store,
    project: int,
    offered: ProposalOffer,
    now: Callable[[], datetime],
    progress: Progress = silent,
    by: str | None = None,
) -> Performed | None:
    """Accept proposals in the name of the account that the key belongs to: ground truth that teaches nothing.

    Parameters
    ----------
    by : str, optional
        Address of the account that asks for it, where it is another one.
    """
    if not offered.proposals:
        return None
    number, owner = studio.client.own_account()
    items: list[dict[str, object]] = [
        {
            "task": each.task,
            "control": each.control,
            "labels": [each.label],
            "evidence": {"posterior": each.posterior, "given": each.given},
        }
        for each in offered.proposals
    ]
    options = WriteOptions(
        account=number, ground_truth=True, over_people=True, verdict="corrected", source="consensus"
    )
    params = {"expected": {"n": len(offered.proposals), "wrong": offered.wrong}}
    batch = plan(store, project, "accept", items, made_by=by or owner, now=now(), options=options, params=params)
    return perform(studio, store, batch, now, progress)
