"""The precision that people measure blind."""

from types import SimpleNamespace
from typing import TYPE_CHECKING, cast

import pytest
from in_memory_label_studio import region
from made_projects import OWNER, PROJECT, InMemoryProject

from consensus.assist.accept import Request, accept, offer
from consensus.assist.audits import Audited, audits, report_below, stored_audits
from consensus.assist.batches import perform, plan
from consensus.assist.suggestions import read_suggestions
from consensus.projects.route import route
from consensus.projects.run import run
from consensus.serving.gauges import Gauges
from consensus.settings import ProjectConfig
from consensus.store.store import Store

if TYPE_CHECKING:
    from consensus.serving.service import Service


@pytest.fixture
def accepted(store: Store) -> InMemoryProject:
    """Eight tasks that a machine has decided with a promise of 0.9, all of them audited."""
    made = InMemoryProject.judged(people=100, waiting=8, wrong=0)
    run(made.studio, store, ProjectConfig(), PROJECT, now=made.now)
    made.later()
    suggested = read_suggestions(made.studio, store, ProjectConfig(), PROJECT, made.now())
    offered = offer(suggested, Request(target_precision=0.9, audit_share=1.0))
    assert len(offered.chosen) == 8
    accept(made.studio, store, offered, OWNER, made.now)
    made.later()
    return made


def measured(made: InMemoryProject, store: Store) -> list[Audited]:
    """After a run."""
    run(made.studio, store, ProjectConfig(), PROJECT, now=made.now)
    made.later()
    return audits(made.studio, store, ProjectConfig(), PROJECT, made.now())


def test_what_nobody_has_judged_measures_nothing(accepted: InMemoryProject, store: Store) -> None:
    """The machine's own annotation does not speak for itself."""
    whole, *labels = measured(accepted, store)
    assert (whole.sample, whole.measured.n, whole.precision, whole.is_below) == (8, 0, None, False)
    assert [(each.label, each.sample) for each in labels] == [("cat", 4), ("dog", 4)]


def test_reviewers_decisions_are_measured(accepted: InMemoryProject, store: Store) -> None:
    """One of four is wrong, so that the batch is below its target, which is logged."""
    for task, label in ((201, "cat"), (202, "dog"), (203, "cat"), (204, "owl")):
        accepted.server.annotate(task, [region("kind", label)], completed_by=3, ground_truth=True)
    whole, cat, dog = measured(accepted, store)
    assert (whole.measured.n, whole.precision, whole.target, whole.is_below) == (4, 0.75, 0.9, True)
    assert (cat.precision, dog.precision) == (1.0, 0.5)
    assert [each.batch for each in report_below(PROJECT, [whole, cat, dog])] == [whole.batch]
    with store.snapshot() as snapshot:
        stored = stored_audits(snapshot, PROJECT)
    assert [(each.label, each.precision, each.is_below) for each in stored] == [
        (each.label, each.precision, each.is_below) for each in (whole, cat, dog)
    ]


def test_several_labels_are_right_together_also_by_the_store_alone(store: Store) -> None:
    """Of a multiple choice: one label that is missing makes what was accepted wrong."""
    made = InMemoryProject(tasks=2)
    evidence = {"score": 0.9, "audit": True}
    items = [{"task": task, "control": "traits", "labels": ["fur"], "evidence": evidence} for task in made.tasks]
    perform(made.studio, store, plan(store, PROJECT, "accept", items, made_by=OWNER, now=made.now()), made.now)
    for task, labels in ((101, ("fur",)), (102, ("fur", "wings"))):
        made.server.annotate(task, [region("traits", *labels)], completed_by=3, ground_truth=True)
    whole = measured(made, store)[0]
    assert (whole.measured.n, whole.precision) == (2, 0.5)
    with store.snapshot() as snapshot:
        assert [each.precision for each in stored_audits(snapshot, PROJECT)] == [0.5, 0.5]


def test_the_figures_are_metrics(accepted: InMemoryProject, store: Store) -> None:
    """Of the service, from the store alone."""
    accepted.server.annotate(201, [region("kind", "owl")], completed_by=3, ground_truth=True)
    batch = measured(accepted, store)[0].batch
    service = cast("Service", SimpleNamespace(store=store))
    samples = {sample.name: sample for metric in Gauges(service).collect() for sample in metric.samples}
    precision, below = (samples[f"consensus_audit_{name}"] for name in ("precision", "below_target"))
    assert precision.labels == {"project": "7", "batch": batch}
    assert (precision.value, below.value) == (0.0, 1)


def test_votes_of_people_are_measured_where_nobody_has_decided(accepted: InMemoryProject, store: Store) -> None:
    """By what the run believes of them."""
    for account in (5, 6, 7):
        accepted.server.annotate(201, [region("kind", "cat")], completed_by=account)
    whole = measured(accepted, store)[0]
    assert (whole.measured.n, whole.measured.decided) == (1, 0)
    assert whole.precision == pytest.approx(1, abs=0.1)


def test_route_leaves_what_a_machine_has_decided(accepted: InMemoryProject, store: Store) -> None:
    """Audited tasks stay open to one more person, the others closed; no votes are asked for there."""
    run(accepted.studio, store, ProjectConfig(), PROJECT, now=accepted.now)
    before = {task: accepted.state()[task] for task in range(201, 209)}
    routed = route(accepted.studio, store, PROJECT)
    assert {each.task for each in routed.advice if each.need == "decided"} == {*before}
    assert {task: accepted.state()[task] for task in before} == before
