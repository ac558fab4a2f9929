"""Queues that a run fills and empties, in the store, for reviewers and as tabs."""

from in_memory_label_studio import region
from reviewed import (
    A1,
    A2,
    A3,
    A4,
    ADMIN,
    DOUBTED,
    RIGHT,
    SETTINGS,
    START,
    TORN,
    WRONG,
    edge,
    label_studio,
    queued,
    run_at,
)

from consensus.assist.batches import because_of
from consensus.review.items import describe
from consensus.review.queues import refresh
from consensus.review.tabs import SHOWN, TITLES, show_queues
from consensus.settings import ReviewSection
from consensus.store.columns import Row
from consensus.store.store import Store


def test_a_run_fills_the_queues(store: Store) -> None:
    """The accused, the strongest first; the undecided; and of the confirmed those with the lowest agreement."""
    assert run_at(label_studio(), store) == {"misclassified": 2, "controversial": 1, "spot": 20}
    assert queued(store, "misclassified") == [WRONG, DOUBTED]
    assert queued(store, "controversial") == [TORN]
    assert queued(store, "spot") == [*RIGHT]
    assert [row["detail"] for row in store.decisions.queue(7, "misclassified", limit=1)] == [
        {"label": "cat", "given": ["cat"], "report": "MisClassified"}
    ]


def test_a_run_empties_the_queues(store: Store) -> None:
    """What the votes say no more waits no more; what comes back waits again."""
    studio = label_studio()
    run_at(studio, store)
    for hours, label in enumerate(("cat", "dog"), start=1):
        for row in studio.tasks[DOUBTED]["annotations"]:
            row.update(result=[region("kind", label)], updated_at=f"2026-01-31T{11 + hours}:30:00.000000Z")
        studio.touch(DOUBTED)
        run_at(studio, store, hours)
        assert (DOUBTED in queued(store, "spot")) == (label == "cat")
        assert (DOUBTED in queued(store, "misclassified")) == (label == "dog")


def decision(task: int, verdict: str, batch: str = "5f0c", **more: object) -> Row:
    """A reviewer's."""
    return {
        "project": 7, "task": task, "control": "kind", "label": "", "verdict": verdict, "decided_by": ADMIN,
        "source": "review", "at": START, "batch": batch, **more,
    }  # fmt: skip


def test_what_was_decided_does_not_come_back(store: Store) -> None:
    """Not even into another queue; taken back, it does."""
    studio = label_studio()
    run_at(studio, store)
    store.decisions.log([decision(WRONG, "unusable")])
    store.decisions.close_many(7, [(WRONG, "kind")], START, because_of("5f0c"))
    assert run_at(studio, store, 1) == {"misclassified": 1, "controversial": 1, "spot": 20}
    [made] = store.decisions.decisions(7)
    store.decisions.log([decision(WRONG, "undone", batch="6a1d", undoes=made["id"])])
    store.decisions.reopen_many(7, [(WRONG, "kind")], because_of("5f0c"))
    run_at(studio, store, 2)
    assert queued(store, "misclassified") == [WRONG, DOUBTED]


def test_a_task_for_which_a_vote_was_asked_comes_back_with_it(store: Store) -> None:
    """Until then it does not wait."""
    studio = label_studio()
    run_at(studio, store)
    store.decisions.log([decision(WRONG, "asked", evidence={"votes": 4})])
    store.decisions.close_many(7, [(WRONG, "kind")], START, because_of("5f0c"))
    run_at(studio, store, 1)
    assert queued(store, "misclassified") == [DOUBTED]
    studio.annotate(WRONG, [region("kind", "dog")], completed_by=6)
    run_at(studio, store, 2)
    assert queued(store, "misclassified") == [WRONG, DOUBTED]


def test_random_spot_checks_are_drawn_by_the_task(store: Store) -> None:
    """All with votes that wait nowhere else at a share of one, and none at a share of zero."""
    run_at(label_studio(), store)
    refresh(store, 7, ReviewSection(spot_share=1), START)
    assert sorted(queued(store, "spot")) == [*RIGHT]
    refresh(store, 7, ReviewSection(spot_share=0), START)
    assert queued(store, "spot") == []


def test_under_a_majority_what_all_say_is_not_taken_for_settled(store: Store) -> None:
    """Its posterior of 0 is that of votes."""
    run_at(label_studio(), store, settings=SETTINGS.model_copy(update={"policy": "majority"}))
    assert queued(store, "misclassified") == [WRONG, DOUBTED]


def test_an_item_says_who_voted_what_with_which_trust(store: Store) -> None:
    """With the labels by their posterior and the model's suggestion, which is no vote."""
    studio = label_studio()
    studio.predict(DOUBTED, "m1", [region("kind", "owl")], score=0.7)
    studio.project["model_version"] = "m1"
    run_at(studio, store)
    with store.snapshot() as snapshot:
        rows = snapshot.decisions.queue(7, "misclassified")
        _, item = describe(snapshot, edge(studio), edge(studio).project(7), rows)
    assert (item.task, item.given, item.image, item.labels) == (DOUBTED, ["cat"], "21.png", ["cat", "dog", "owl"])
    assert item.candidates[0]["label"] == "dog"
    assert item.proposed == ["dog"]
    votes = {row["annotator"]: (row["label"], row["trust"] is not None) for row in item.votes}
    assert votes == {A1: ("dog", True), A2: ("dog", True), A3: ("dog", True), A4: ("cat", True)}
    assert item.suggestion == {"labels": ["owl"], "score": 0.7, "model_version": "m1"}
    assert A1 in item.annotators
    assert ADMIN not in item.annotators


def test_a_random_sample_is_judged_blind(store: Store) -> None:
    """Neither the given label nor votes nor a suggestion are shown of it."""
    studio = label_studio()
    studio.predict(1, "m1", [region("kind", "owl")], score=0.7)
    run_at(studio, store)
    with store.snapshot() as snapshot:
        rows = snapshot.decisions.queue(7, "spot", limit=1)
        [item] = describe(snapshot, edge(studio), edge(studio).project(7), rows)
        [seen] = describe(snapshot, edge(studio), edge(studio).project(7), rows, reveal=True)
    assert (item.given, item.proposed, item.candidates, item.votes, item.suggestion) == ([], [], [], [], None)
    assert item.labels
    assert seen.given == ["cat"]
    assert seen.suggestion


def tab_filters(studio: object) -> dict[str, list[object]]:
    """Spans of ids that each tab of review shows, by its title."""
    return {
        view["data"]["title"]: [item["value"] for item in view["data"]["filters"]["items"]]
        for view in studio.views  # type: ignore[attr-defined]
        if view["data"]["title"] in TITLES.values()
    }


def test_each_queue_has_a_tab_with_its_tasks(store: Store) -> None:
    """A queue that never held anything has none; one that is empty shows no task."""
    studio = label_studio()
    run_at(studio, store)
    assert tab_filters(studio) == {
        TITLES["misclassified"]: [{"min": DOUBTED, "max": WRONG}],
        TITLES["controversial"]: [{"min": TORN, "max": TORN}],
        TITLES["spot"]: [{"min": 1, "max": 20}],
    }
    store.decisions.refill(7, "misclassified", [], START, "of a test")
    assert show_queues(edge(studio), store.decisions, 7) == {TITLES["misclassified"]: 0}
    assert tab_filters(studio)[TITLES["misclassified"]] == [{"min": 0, "max": 0}]


def test_tabs_are_left_alone_where_nothing_changes(store: Store) -> None:
    """What a person made of one stays: its columns, and its place."""
    studio = label_studio()
    run_at(studio, store)
    [tab] = [view for view in studio.views if view["data"]["title"] == TITLES["misclassified"]]
    tab["data"]["hiddenColumns"] = {"explore": ["tasks:id"], "labeling": []}
    assert show_queues(edge(studio), store.decisions, 7) == {}
    store.decisions.close_many(7, [(WRONG, "kind")], START, "of a test")
    assert show_queues(edge(studio), store.decisions, 7) == {TITLES["misclassified"]: 1}
    assert tab["data"]["hiddenColumns"]["explore"] == ["tasks:id"]


def test_a_tab_holds_the_first_tasks_of_a_long_queue(store: Store) -> None:
    """Its filter stays short enough for Label Studio."""
    studio = label_studio()
    entries = [
        {"task": task, "control": "kind", "priority": task / 1000, "detail": {}} for task in range(1, 2 * SHOWN, 2)
    ]
    store.decisions.refill(7, "spot", [*entries, *({**row, "control": "other"} for row in entries)], START, "test")
    show_queues(edge(studio), store.decisions, 7)
    assert len(tab_filters(studio)[TITLES["spot"]]) <= SHOWN
