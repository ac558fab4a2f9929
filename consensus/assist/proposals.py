"""Accepting the label that the votes prefer to a given one."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime

import numpy as np

from common.progress import Progress, silent
from consensus.assist.accept import Request, check_names
from consensus.assist.batches import Performed, WriteOptions, perform, plan
from consensus.core.assist.expected import share_interval
from consensus.label_studio import Studio
from consensus.store.store import Store


@dataclass(frozen=True)
class Proposal:
    """What the evidence prefers to a given label.

    Attributes
    ----------
    given : str
    labels : tuple of str
        One of a single choice, all that are taken to be right of a multiple one.
    posterior : float
        That they are right, of several the lowest.
    """

    task: int
    control: str
    given: str
    labels: tuple[str, ...]
    posterior: float


@dataclass(frozen=True, eq=False)
class ProposalOffer:
    """Proposals that would be accepted, the surest first, and how many of them the votes expect to be wrong."""

    proposals: list[Proposal]
    wrong: float
    lower: float
    upper: float


def offer_proposals(store: Store, project: int, request: Request) -> ProposalOffer:
    """Choose what is proposed in the place of given labels in MisClassified, where nobody has decided yet.

    A precision that is asked for is taken from the posteriors: they are all that is known of these labels.

    Raises
    ------
    ConfigError
        Where the project had no run, or the request names what is not there.
    """
    request.check_shares()
    with store.snapshot() as snapshot:
        _, controls = snapshot.needed_controls(project)
        check_names({row["control"]: row["labels"] for row in controls}, project, request)
        rows = snapshot.proposals(project, control=request.control)
        decided = {(row["task"], row["control"]) for row in snapshot.decisions.standing(project)}
    by_place = {
        (row["task"], row["control"]): Proposal(
            row["task"], row["control"], row["label"], tuple(row["proposed"]), row["proposed_posterior"]
        )
        for row in rows
        if row["proposed"] and row["proposed_posterior"] > max(row["posterior"], request.above or 0.0)
    }
    tasks = frozenset(request.tasks)
    proposals = [
        proposal
        for place, proposal in by_place.items()
        if place not in decided
        and (not tasks or proposal.task in tasks)
        and request.label in (None, *proposal.labels)
    ]
    proposals.sort(key=lambda each: (-each.posterior, each.task, each.control))
    proposals = proposals[: request.limit]
    if request.target_precision is not None:
        mean_doubt = np.cumsum([1 - each.posterior for each in proposals]) / np.arange(1, len(proposals) + 1)
        proposals = proposals[: int((mean_doubt <= 1 - request.target_precision).sum())]  # it never falls
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
            "labels": list(each.labels),
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
