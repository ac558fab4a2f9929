"""Accepting the label that the votes prefer to a given one."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from hashlib import sha256

import numpy as np

from common.progress import Progress, silent
from consensus.assist.accept import Request, check_names
from consensus.assist.annotations import given_by_annotations, is_decided, starred_elsewhere, tasks_now
from consensus.assist.batches import Performed, WriteOptions, perform, plan
from consensus.core.assist.expected import share_interval
from consensus.label_studio import Studio
from consensus.settings import ProjectConfig
from consensus.store.columns import Row
from consensus.store.reader import AT_ONCE
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
        few = request.tasks if len(request.tasks) <= AT_ONCE else ()
        rows = snapshot.proposals(project, control=request.control, tasks=few)
        voted = None if request.annotator is None else snapshot.voted(project, request.annotator)
        decided = {(row["task"], row["control"]) for row in snapshot.decisions.standing(project, few)}
    by_place = {
        (row["task"], row["control"]): Proposal(
            row["task"], row["control"], row["label"], tuple(row["proposed"]), row["proposed_posterior"]
        )
        for row in rows
        if row["proposed"]
        and row["proposed_posterior"] > max(row["posterior"], request.above or 0.0)
        and request.given in (None, row["label"])
        and row["confidence"] >= (request.confidence or 0.0)
    }
    tasks = frozenset(request.tasks)
    proposals = [
        proposal
        for place, proposal in by_place.items()
        if place not in decided
        and (voted is None or place in voted)
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
    config: ProjectConfig,
    now: Callable[[], datetime],
    progress: Progress = silent,
    by: str | None = None,
) -> Performed | None:
    """Accept proposals in the name of the account that the key belongs to: ground truth that teaches nothing.

    What somebody has starred stays: on the same control in the place of the proposal, on others beside it.

    Parameters
    ----------
    by : str, optional
        Address of the account that asks for it, where it is another one.
    """
    if not offered.proposals:
        return None
    number, owner = studio.client.own_account()
    given = given_by_annotations(config)
    there = tasks_now(studio, project, {each.task for each in offered.proposals})
    proposals = [
        each
        for each in offered.proposals
        if each.task not in there or not is_decided(there[each.task], each.control, given)
    ]
    if not proposals:
        return None
    controls: dict[int, set[str]] = {}
    for each in proposals:
        controls.setdefault(each.task, set()).add(each.control)
    tags = {tag.name: tag for tag in studio.project(project).config.choices}
    items: list[Row] = []
    for each in proposals:
        evidence: Row = {"posterior": each.posterior, "given": each.given}
        decided = controls.pop(each.task, None)  # the first item of a task takes along what is starred
        others = starred_elsewhere(there[each.task], decided, given)[0] if decided and each.task in there else []
        if others and each.control in tags:
            evidence["regions"] = [_region(each, tags[each.control].to_name), *others]
        items.append(
            {"task": each.task, "control": each.control, "labels": list(each.labels), "evidence": evidence}
        )
    options = WriteOptions(
        account=number, ground_truth=True, over_people=True, verdict="corrected", source="consensus"
    )
    params = {"expected": {"n": len(offered.proposals), "wrong": offered.wrong}}
    batch = plan(store, project, "accept", items, made_by=by or owner, now=now(), options=options, params=params)
    return perform(studio, store, batch, now, progress)


def _region(proposal: Proposal, to_name: str) -> Row:
    name = sha256(repr(("proposal", proposal.task, proposal.control)).encode()).hexdigest()[:10]
    value = {"choices": list(proposal.labels)}
    return {"id": name, "from_name": proposal.control, "to_name": to_name, "type": "choices", "value": value}
