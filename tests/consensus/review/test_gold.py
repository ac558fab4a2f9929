"""Known answers put before annotators, and who falls short on them."""

import pytest
from in_memory_label_studio import InMemoryStudio, region
from reviewed import A1, A2, A3, ADMIN, SETTINGS, edge, label_studio, run_at

from common.contract import DecisionMark, decision_meta
from consensus.assist.batches import resume
from consensus.assist.undo import undo
from consensus.commands.connections import run_project
from consensus.people.gold import below_line
from consensus.projects.route import route
from consensus.review.gold import GoldServed, serve_gold
from consensus.review.tabs import TITLES
from consensus.settings import ControlSection, ProjectConfig, ReviewSection
from consensus.store.store import Store

STARRED = range(1, 11)


@pytest.fixture
def studio(store: Store) -> InMemoryStudio:
    """A project whose first ten tasks have ground truth of the reviewer, after a run."""
    made = label_studio()
    for task in STARRED:
        made.annotate(task, [region("kind", "cat")], completed_by=6, ground_truth=True)
    run_at(made, store)
    return made


def serve(
    studio: InMemoryStudio, store: Store, share: float, config: ProjectConfig = SETTINGS, *, dry_run: bool = False
) -> GoldServed:
    """One call."""
    return serve_gold(edge(studio), store, config, 7, share, lambda: studio.now, dry_run=dry_run)


def shown(studio: InMemoryStudio) -> dict[int, int]:
    """Tasks with a star that are open, by how many more may have them."""
    return {
        number: studio.tasks[number]["overlap"] - len(studio.tasks[number]["annotations"])
        for number in STARRED
        if not studio.tasks[number]["is_labeled"]
    }


def new_annotator(studio: InMemoryStudio, number: int = 7) -> None:
    """Somebody who has had one task, without a known answer."""
    studio.accounts[number] = f"new{number}@example.com"
    studio.annotate(20, [region("kind", "cat")], completed_by=number)


def test_who_has_had_all_of_them_is_shown_none(studio: InMemoryStudio, store: Store) -> None:
    """Nobody is shown a task twice."""
    assert serve(studio, store, 0.1).opened == {}
    assert not store.decisions.batches(7)


def test_what_is_owed_is_opened_and_taken_back(studio: InMemoryStudio, store: Store) -> None:
    """Two in five of the next, to as many as have not had it; again, nothing; undone, it is as before."""
    new_annotator(studio)
    assert len(serve(studio, store, 0.4, dry_run=True).opened) == 2
    assert shown(studio) == {}
    served = serve(studio, store, 0.4)
    assert (served.gold, served.waiting) == (10, 0)
    assert shown(studio) == dict.fromkeys(served.opened, 1)
    assert serve(studio, store, 0.4).opened == {}
    undo(edge(studio), store, served.batch.batch["id"], ADMIN, lambda: studio.now)  # type: ignore[union-attr]
    assert shown(studio) == {}


def test_what_was_answered_is_made_up_for_by_what_was_done(studio: InMemoryStudio, store: Store) -> None:
    """Two of two tasks were known ones: nothing is owed until as many others were done as belong to them."""
    new_annotator(studio)
    opened = serve(studio, store, 0.4).opened
    for task in opened:
        studio.annotate(task, [region("kind", "cat")], completed_by=7)
        studio.tasks[task]["is_labeled"] = True
    assert serve(studio, store, 0.1).opened == {}
    for number in range(30, 63):
        studio.add_task({"image": "i"}, [{"result": [region("kind", "cat")], "completed_by": 7}], task_id=number)
    assert len(serve(studio, store, 0.1).opened) == 2  # of 36 tasks and the next 5


def test_no_share_closes_what_was_opened(studio: InMemoryStudio, store: Store) -> None:
    """What somebody else opened stays open."""
    new_annotator(studio)
    opened = serve(studio, store, 0.2).opened
    other = next(task for task in STARRED if task not in opened)
    studio.tasks[other].update(overlap=9, is_labeled=False)
    served = serve(studio, store, 0)
    assert served.closed == [*opened]
    assert [*shown(studio)] == [other]


def test_a_random_stream_gets_a_share_of_what_is_open(studio: InMemoryStudio, store: Store) -> None:
    """There they do not come first, so that many are opened at once."""
    new_annotator(studio)
    studio.project.update(sampling="Uniform sampling", maximum_annotations=1)
    for number in range(30, 48):
        studio.add_task({"image": "i"}, task_id=number)
    assert len(serve(studio, store, 0.1).opened) == 2  # beside 18 open ones and task 24


def test_what_does_not_teach_is_no_gold(studio: InMemoryStudio, store: Store) -> None:
    """Decisions on items that were chosen because of their votes, and given labels."""
    silent = decision_meta(DecisionMark("5f0c", teaches=False))
    for task in STARRED:
        studio.tasks[task]["annotations"][-1]["result"] = [region("kind", "cat", meta=silent)]
        studio.touch(task)
    assert serve(studio, store, 0.1).gold == 0
    for task in STARRED:
        studio.tasks[task]["annotations"][-1]["result"] = [region("kind", "cat")]
        studio.touch(task)
    assert serve(studio, store, 0.1).gold == 10
    starred = ProjectConfig(controls={"kind": ControlSection(given_annotations=True)})
    assert serve(studio, store, 0.1, starred).gold == 0


def test_accept_does_not_go_on_with_what_opens_tasks(studio: InMemoryStudio, store: Store) -> None:
    """A batch that was cut off writes no annotation."""
    items = [{"task": 1, "control": "", "labels": [], "evidence": {"more": 1}}]
    store.decisions.open_batch(7, "gold", "k", made_by=ADMIN, made_at=studio.now, items=items)
    assert resume(edge(studio), store, 7, lambda: studio.now) == []


def test_who_is_surely_below_the_line_is_named(studio: InMemoryStudio, store: Store) -> None:
    """With how much they were right; route asks them for no vote."""
    for task in STARRED:
        studio.tasks[task]["annotations"][0]["result"] = [region("kind", "owl")]
        studio.touch(task)
    run_at(studio, store, 1)
    rows = {row["annotator"]: (row["gold_right"], row["gold_answered"]) for row in store.annotators(2)}
    assert (rows[A1], rows[A2]) == ((0, 10), (10, 10))
    assert below_line(store, 7, None) == []
    assert below_line(store, 7, 0.2) == []
    [below] = below_line(store, 7, 0.7)
    assert (below["annotator"], below["gold_low"], below["gold_high"]) == (A1, 0, pytest.approx(0.278, abs=0.001))
    lined = SETTINGS.model_copy(update={"review": ReviewSection(gold_line=0.7)})
    named = [
        {
            name
            for advice in route(edge(studio), store, 7, config=config, dry_run=True).advice
            for name, _ in advice.annotators
        }
        for config in (SETTINGS, lined)
    ]
    assert {A1, A3} <= named[0]
    assert A1 not in named[1]
    assert A3 in named[1]


def test_a_run_opens_what_the_settings_ask_for(studio: InMemoryStudio, store: Store) -> None:
    """With the queues and tabs after it; a dry run changes nothing."""
    new_annotator(studio)
    config = SETTINGS.model_copy(update={"review": ReviewSection(gold_share=0.4)})
    studio.requests.clear()
    run_project(edge(studio), store, config, 7, now=lambda: studio.now, dry_run=True)
    assert studio.writes == []
    run_project(edge(studio), store, config, 7, now=lambda: studio.now)
    assert len(shown(studio)) == 2
    assert [view["data"]["title"] for view in studio.views if view["data"]["title"] == TITLES["spot"]]
