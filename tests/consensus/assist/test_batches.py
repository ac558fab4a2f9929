"""Batches of decisions, written into Label Studio and taken back."""

import random
from collections.abc import Callable
from typing import Any

import httpx
import pytest
from in_memory_label_studio import region
from made_projects import OWNER, PROJECT, InMemoryProject, items_of

from common.contract import MACHINE_ACCOUNT, DecisionMark, decision_in, decision_meta
from common.errors import LabelStudioError, SuiteError
from consensus.assist.batches import BY_A_PERSON, WriteOptions, perform, plan, resume
from consensus.assist.undo import undo
from consensus.errors import ConfigError
from consensus.store.columns import Row
from consensus.store.store import Store


def planned(made: InMemoryProject, store: Store, tasks: list[int] | None = None, **options: Any) -> Row:  # noqa: ANN401
    """A batch that accepts `cat`."""
    items = items_of(made.tasks if tasks is None else tasks)
    return plan(store, PROJECT, "accept", items, made_by=OWNER, now=made.now(), options=WriteOptions(**options))


def done(made: InMemoryProject, store: Store, **options: Any) -> Row:  # noqa: ANN401 - of the batch
    """A batch that is written."""
    batch = planned(made, store, **options)
    perform(made.studio, store, batch, made.now)
    return store.decisions.batch(batch["id"])


class _DiedError(BaseException):
    """The process ended."""


def cut_off(made: InMemoryProject, nth: int, how: str) -> None:
    """Let the n-th request that changes something fail: refused before it works or lost after, or let all end."""
    count = 0

    def fault(request: httpx.Request) -> httpx.Response | None:
        nonlocal count
        count += 1
        if how == "dead" and count >= nth:
            raise _DiedError
        if count != nth:
            return None
        if how == "before":
            return httpx.Response(503, json={"detail": "busy"})
        made.server.faults, faults = {}, made.server.faults
        made.server.handle_request(request)  # it works, and the answer is lost
        made.server.faults = faults
        if how == "dies after":
            raise _DiedError
        raise httpx.ReadTimeout("no answer")

    changes = (
        "POST annotations", "PATCH tasks", "DELETE annotations",
        "POST import/predictions", "POST dm/actions", "DELETE model-versions",
    )  # fmt: skip
    made.server.faults = dict.fromkeys(changes, fault)


def test_a_batch_is_written_by_the_machine_account(made: InMemoryProject, store: Store) -> None:
    """Each item is one annotation with the batch's mark, the task is closed, and the decision is in the log."""
    batch = done(made, store, model_version="m1")
    assert made.written(batch["id"]) == made.tasks
    (annotation,) = made.annotations(101)
    assert annotation["completed_by"] == made.machine
    assert not annotation["ground_truth"]
    assert decision_in(annotation["result"]) == DecisionMark(batch["id"], teaches=False)
    assert all(task["is_labeled"] for task in made.server.tasks.values())
    decision = store.decisions.decisions(PROJECT, task=101)[0]
    expected = ("cat", "accepted", MACHINE_ACCOUNT, "suggestion", 0.9, "m1", annotation["id"])
    shown = ("label", "verdict", "decided_by", "source", "score", "model_version", "annotation")
    assert tuple(decision[name] for name in shown) == expected
    assert batch["finished_at"] is not None


def test_the_machine_account_is_made_once(made: InMemoryProject, store: Store) -> None:
    """Through the invite link; a second batch finds it."""
    done(made, store, tasks=[101])
    done(made, store, tasks=[102])
    assert list(made.server.accounts.values()).count(MACHINE_ACCOUNT) == 1
    assert made.server.writes.count("POST /user/signup/") == 1


def test_an_invite_link_that_makes_no_account_is_named(made: InMemoryProject, store: Store) -> None:
    """Nothing is written, and the error says what to do by hand."""
    made.server.faults["POST user/signup"] = httpx.Response(403, text="closed")
    with pytest.raises(LabelStudioError, match="invite that address by hand"):
        perform(made.studio, store, planned(made, store), made.now)
    assert not any(made.annotations(task) for task in made.tasks)


def test_the_same_batch_again_writes_nothing(made: InMemoryProject, store: Store) -> None:
    """The same items with the same options are the same batch."""
    first = done(made, store)
    made.server.requests.clear()
    assert done(made, store)["id"] == first["id"]
    assert made.server.writes == []


def test_what_was_left_can_be_asked_for_again(made: InMemoryProject, store: Store) -> None:
    """Where the person who had annotated the task has taken that back; a key of the caller's stays one batch."""
    made.server.annotate(101, [region("kind", "dog")], completed_by=2)
    assert perform(made.studio, store, planned(made, store, tasks=[101]), made.now).counts == {"left": 1}
    assert made.server.tasks[101]["annotations"].pop()["completed_by"] == 2
    again = planned(made, store, tasks=[101])
    assert perform(made.studio, store, again, made.now).counts == {"written": 1}
    assert made.written(again["id"]) == [101]


def test_what_people_annotated_meanwhile_is_left(made: InMemoryProject, store: Store) -> None:
    """A vote, a skip and a star of a person keep the machine away; a reviewer's batch decides there as well."""
    batch = planned(made, store)
    made.server.annotate(101, [region("kind", "dog")], completed_by=2)
    made.server.annotate(102, completed_by=2, was_cancelled=True)
    made.server.annotate(103, [region("kind", "dog")], completed_by=2, ground_truth=True)
    before = made.state()
    performed = perform(made.studio, store, batch, made.now)
    assert {item["task"]: item["note"] for item in performed.left} == dict.fromkeys(
        (101, 102, 103), "a person has annotated the task"
    )
    assert {task: made.state()[task] for task in (101, 102, 103)} == {
        task: before[task] for task in (101, 102, 103)
    }
    reviewed = done(made, store, tasks=[101], account=3, over_people=True, ground_truth=True, source="review")
    assert made.written(reviewed["id"]) == [101]
    assert store.decisions.standing(PROJECT, [101])[0]["decided_by"] == "rev@example.com"


def test_a_task_is_decided_by_a_machine_once(made: InMemoryProject, store: Store) -> None:
    """Another batch leaves what one has decided, and writes on another control."""
    done(made, store, tasks=[101])
    again = plan(
        store,
        PROJECT,
        "auto",
        [*items_of([101, 102], "dog"), *items_of([101], "fur", "traits")],
        made_by=OWNER,
        now=made.now(),
    )
    performed = perform(made.studio, store, again, made.now)
    assert [(item["task"], item["control"], item["note"]) for item in performed.left] == [
        (101, "kind", "a machine has decided it already")
    ]
    assert made.written(again["id"]) == [101, 102]


def test_faults_of_single_items_do_not_keep_the_others(made: InMemoryProject, store: Store) -> None:
    """A deleted task, a renamed choice and a control that is no more are left, each with its reason."""
    strange = [*items_of([102], "bat"), *items_of([103], control="color"), *items_of([104, 105])]
    batch = plan(store, PROJECT, "accept", [*items_of([101]), *strange], made_by=OWNER, now=made.now())
    del made.server.tasks[101]
    made.server.faults["POST tasks/105/annotations"] = httpx.Response(400, json={"detail": "no good"})
    performed = perform(made.studio, store, batch, made.now)
    notes = {item["task"]: item["note"] for item in performed.left}
    assert notes[101] == "the task was deleted"
    assert "'bat' is no choice of 'kind'" in notes[102]
    assert "no <Choices> 'color'" in notes[103]
    assert "no good" in notes[105]
    assert performed.counts == {"written": 1, "left": 4}


def test_a_task_of_several_annotators_is_closed(store: Store) -> None:
    """Its overlap is what it has, and is put back by an undo."""
    made = InMemoryProject(tasks=2, overlap=3)
    before = made.state()
    batch = done(made, store)
    assert [made.state()[task][:2] for task in made.tasks] == [(1, True)] * 2
    undo(made.studio, store, batch["id"], OWNER, made.now)
    assert made.state() == before
    other = done(made, store, closes=False)
    assert [made.state()[task][:2] for task in made.tasks] == [(3, False)] * 2
    assert made.written(other["id"]) == made.tasks


def test_a_decision_on_several_labels_stands_as_a_whole(made: InMemoryProject, store: Store) -> None:
    """One annotation with the choices of all controls; the log has a row a label."""
    item: Row = {"task": 101, "control": "traits", "labels": ["fur", "wings"], "evidence": None}
    batch = plan(store, PROJECT, "accept", [item, *items_of([101])], made_by=OWNER, now=made.now())
    perform(made.studio, store, batch, made.now)
    (annotation,) = made.annotations(101)
    assert [row["value"]["choices"] for row in annotation["result"]] == [["cat"], ["fur", "wings"]]
    rows = store.decisions.standing(PROJECT, [101])
    assert [(row["control"], row["label"]) for row in rows] == [
        ("kind", "cat"),
        ("traits", "fur"),
        ("traits", "wings"),
    ]


def test_a_decided_task_waits_in_no_queue_until_it_is_taken_back(made: InMemoryProject, store: Store) -> None:
    """Entries of the items that were written are closed, and wait again after an undo."""
    made.server.annotate(102, [region("kind", "dog")], completed_by=2)
    entries = [{"task": task, "control": "kind", "priority": 0.5, "detail": {}} for task in (101, 102)]
    store.decisions.refill(PROJECT, "pending", entries, made.now(), "run")
    batch = done(made, store)
    assert [row["task"] for row in store.decisions.queue(PROJECT)] == [102]
    undo(made.studio, store, batch["id"], OWNER, made.now)
    assert [row["task"] for row in store.decisions.queue(PROJECT)] == [101, 102]


@pytest.mark.parametrize("bulk_from", [1, 100])
@pytest.mark.parametrize("overlap", [1, 3])
@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("how", ["before", "after", "dead", "dies after"])
def test_an_acceptance_that_is_cut_off_anywhere_ends_whole(
    store: Store, monkeypatch: pytest.MonkeyPatch, how: str, seed: int, overlap: int, bulk_from: int
) -> None:
    """Nothing is doubled or lost, in bulk calls and singly, and its undo restores everything."""
    monkeypatch.setattr("consensus.assist.batches.CHUNK", 4)
    monkeypatch.setattr("consensus.assist.batches.BULK_FROM", bulk_from)
    monkeypatch.setattr("consensus.assist.undo.BULK_FROM", bulk_from)
    made = InMemoryProject(overlap=overlap)
    before = made.state()
    batch = planned(made, store)
    requests = 10 * min(overlap, 2) if bulk_from > 10 else 7 + 10 * (overlap > 1)
    cut_off(made, random.Random(seed).randint(1, requests), how)
    carried_through(made, lambda: resume(made.studio, store, PROJECT, made.now))
    assert made.written(batch["id"]) == made.tasks
    assert store.decisions.item_counts(batch["id"]) == {"written": 10}
    assert set(made.server.versions()) == {"m1"}
    assert made.server.project["model_version"] == "m1"
    assert [row["task"] for row in store.decisions.decisions(PROJECT)] == made.tasks
    assert [made.state()[task][:2] for task in made.tasks] == [(1, True)] * 10
    assert undo(made.studio, store, batch["id"], OWNER, made.now).undone == 10
    assert made.state() == before


@pytest.mark.parametrize("bulk_from", [1, 100])
@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("how", ["before", "after", "dead", "dies after"])
def test_an_undo_that_is_cut_off_anywhere_ends_whole(
    store: Store, monkeypatch: pytest.MonkeyPatch, how: str, seed: int, bulk_from: int
) -> None:
    """What was there before is there again, and what a person has changed stays."""
    monkeypatch.setattr("consensus.assist.batches.CHUNK", 4)
    monkeypatch.setattr("consensus.assist.undo.BULK_FROM", bulk_from)
    made = InMemoryProject(overlap=3)
    before = made.state()
    batch = done(made, store)
    made.later()
    touched = made.annotations(105)[0]
    touched.update(result=[region("kind", "dog", meta=decision_meta(DecisionMark(batch["id"], teaches=False)))],
                   updated_at=made.server._time(), updated_by=2)  # fmt: skip
    kept = made.state()[105]
    cut_off(made, random.Random(seed).randint(1, 18 if bulk_from > 1 else 12), how)
    carried_through(made, lambda: undo(made.studio, store, batch["id"], OWNER, made.now))
    assert made.state() == {**before, 105: kept}
    assert store.decisions.item_counts(batch["id"]) == {"undone": 9, "kept": 1}
    verdicts = [row["verdict"] for row in store.decisions.decisions(PROJECT)]
    assert (verdicts.count("accepted"), verdicts.count("undone")) == (10, 9)
    assert [row["task"] for row in store.decisions.standing(PROJECT)] == [105]


def test_what_somebody_has_copied_is_not_taken_for_what_a_batch_wrote(made: InMemoryProject, store: Store) -> None:
    """A copy keeps the batch's mark: it is a person's annotation, and stays as it is."""
    batch = planned(made, store)
    meta = decision_meta(DecisionMark(batch["id"], teaches=False))
    copy = made.server.annotate(101, [region("kind", "cat", meta=meta)], completed_by=2)
    performed = perform(made.studio, store, batch, made.now)
    assert [(item["task"], item["note"]) for item in performed.left] == [(101, BY_A_PERSON)]
    assert made.annotations(101) == [copy]


def carried_through(made: InMemoryProject, work: Callable[[], object]) -> None:
    """Do it, and after a fault or death again in a new process."""
    try:
        work()
    except (SuiteError, _DiedError):
        made.server.faults = {}
        made.studio = made.connected()
        work()


def test_a_batch_that_was_cut_off_is_taken_back_whole(made: InMemoryProject, store: Store) -> None:
    """Also what was written and never noted; what was never sent is written no more."""
    before = made.state()
    batch = planned(made, store)
    cut_off(made, 4, "dies after")
    with pytest.raises(_DiedError):
        perform(made.studio, store, batch, made.now)
    made.server.faults = {}
    assert made.written(batch["id"])
    undo(made.studio, store, batch["id"], OWNER, made.now)
    assert made.state() == before
    assert resume(made.studio, store, PROJECT, made.now) == []
    assert made.state() == before


def test_a_decision_that_was_made_before_a_batch_that_was_cut_off_is_no_later_one(
    made: InMemoryProject, store: Store
) -> None:
    """The batch's own is not in the log yet, and its annotation is taken back all the same."""
    first = done(made, store, tasks=[101])
    made.later()
    before = made.state()
    items = items_of([101])
    options = WriteOptions(account=3, over_people=True, ground_truth=True)
    batch = plan(store, PROJECT, "review", items, made_by=OWNER, now=made.now(), options=options)
    cut_off(made, 1, "dies after")
    with pytest.raises(_DiedError):
        perform(made.studio, store, batch, made.now)
    made.server.faults = {}
    assert made.written(batch["id"]) == [101]
    undone = undo(made.studio, store, batch["id"], OWNER, made.now)
    assert (undone.undone, undone.kept) == (1, [])
    assert made.written(batch["id"]) == []
    assert made.written(first["id"]) == [101]
    assert made.state() == before


def test_an_undo_says_what_it_leaves(made: InMemoryProject, store: Store) -> None:
    """What a person has changed, and what somebody has decided later; a dry run says it before."""
    batch = done(made, store)
    made.later()
    changed_region = region("kind", "dog")  # without the batch's mark, as where somebody has chosen anew
    made.annotations(101)[0].update(result=[changed_region], updated_at=made.server._time(), updated_by=2)
    later = done(made, store, tasks=[102], account=3, over_people=True, ground_truth=True, verdict="corrected")
    made.server.tasks[103]["annotations"].clear()
    state = made.state()
    shown = undo(made.studio, store, batch["id"], OWNER, made.now, dry_run=True)
    assert made.state() == state
    undone = undo(made.studio, store, batch["id"], OWNER, made.now)
    assert undone.undone == shown.undone == 8
    assert [item["note"] for item in undone.kept] == [item["note"] for item in shown.kept]
    changed, decided = (item["note"] for item in undone.kept)
    assert changed.startswith("ann@example.com has changed it at")
    assert decided == "rev@example.com has decided later (corrected cat)"
    undo(made.studio, store, later["id"], OWNER, made.now)
    assert undo(made.studio, store, batch["id"], OWNER, made.now).undone == 9


def test_a_star_that_a_decision_took_is_given_back(made: InMemoryProject, store: Store) -> None:
    """Label Studio keeps one ground truth a task."""
    made.server.annotate(101, [region("kind", "dog")], completed_by=2, ground_truth=True)
    batch = done(made, store, tasks=[101], account=3, over_people=True, ground_truth=True)
    assert [row["ground_truth"] for row in made.annotations(101)] == [False, True]
    undo(made.studio, store, batch["id"], OWNER, made.now)
    assert [(row["completed_by"], row["ground_truth"]) for row in made.annotations(101)] == [(2, True)]


def test_an_undo_is_not_undone(made: InMemoryProject, store: Store) -> None:
    """It says what to do instead."""
    undone = undo(made.studio, store, done(made, store)["id"], OWNER, made.now)
    assert undone.undo is not None
    with pytest.raises(ConfigError, match="decide again"):
        undo(made.studio, store, undone.undo["id"], OWNER, made.now)


def test_a_second_process_does_not_write_beside_the_first(made: InMemoryProject, store: Store) -> None:
    """What a machine decided is written by one at a time."""
    batch = planned(made, store)
    with store.lock_batches(PROJECT, None), pytest.raises(SuiteError, match="another batch"):
        perform(made.studio, store, batch, made.now)


@pytest.mark.parametrize("refused", [False, True])
def test_a_person_who_was_quicker_keeps_the_task(
    made: InMemoryProject, store: Store, monkeypatch: pytest.MonkeyPatch, *, refused: bool
) -> None:
    """Where somebody annotates between the look and the bulk call or its refusal, nothing of the machine stays."""
    monkeypatch.setattr("consensus.assist.batches.BULK_FROM", 1)

    def quicker(_: httpx.Request) -> httpx.Response | None:
        made.server.annotate(103, [region("kind", "dog")], completed_by=2)
        made.later()
        return httpx.Response(400, json={"detail": "a task is gone"}) if refused else None

    made.server.faults["POST import/predictions" if refused else "POST dm/actions"] = quicker
    _person_has(103, made, store)


def test_a_person_who_is_not_counted_yet_keeps_the_task(
    made: InMemoryProject, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Label Studio counts annotations after it has stored them."""
    monkeypatch.setattr("consensus.assist.batches.BULK_FROM", 1)
    uncounted = {"total_annotations": 0, "cancelled_annotations": 0}
    monkeypatch.setattr("in_memory_label_studio._counts_of", lambda _: uncounted)
    made.server.annotate(103, [region("kind", "dog")], completed_by=2)
    made.later()
    _person_has(103, made, store)


def _person_has(task: int, made: InMemoryProject, store: Store) -> None:
    """Write a batch, which leaves a task to the person who has annotated it."""
    performed = perform(made.studio, store, planned(made, store), made.now)
    assert [(item["task"], item["note"]) for item in performed.left] == [(task, "a person has annotated the task")]
    assert [row["completed_by"] for row in made.annotations(task)] == [2]
    assert len(made.written(performed.batch["id"])) == 9


def test_a_machine_that_is_not_let_in_writes_singly(
    made: InMemoryProject, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As where its account was made with another key."""
    monkeypatch.setattr("consensus.assist.batches.BULK_FROM", 1)
    made.server.accounts[9] = MACHINE_ACCOUNT
    batch = done(made, store)
    assert made.written(batch["id"]) == made.tasks
    assert not made.server.bodies("POST", "dm/actions")
