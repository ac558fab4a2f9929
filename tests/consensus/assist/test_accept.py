"""Accepting suggestions, and what to expect of it."""

from datetime import timedelta
from typing import Any

import pytest
from in_memory_label_studio import choices, config, region
from made_projects import OWNER, PROJECT, InMemoryProject

from common.label_studio.annotations import choices_in
from consensus.assist.accept import Offer, Request, accept, offer
from consensus.assist.batches import Performed
from consensus.assist.proposals import accept_proposals, offer_proposals
from consensus.assist.suggestions import Suggested, read_suggestions
from consensus.assist.undo import undo
from consensus.errors import ConfigError
from consensus.projects.run import run
from consensus.settings import ProjectConfig
from consensus.store.store import Store


def judged(store: Store, **shape: int) -> InMemoryProject:
    """A project after a run."""
    made = InMemoryProject.judged(**shape)
    run(made.studio, store, ProjectConfig(), PROJECT, now=made.now)
    made.later()
    return made


def read(made: InMemoryProject, store: Store, **options: Any) -> Suggested:  # noqa: ANN401 - a version
    """Its suggestions."""
    return read_suggestions(made.studio, store, ProjectConfig(), PROJECT, made.now(), **options)


def accepted(made: InMemoryProject, store: Store, **request: Any) -> tuple[Offer, Performed | None]:  # noqa: ANN401
    """What was offered and done."""
    offered = offer(read(made, store), Request(**{"audit_share": 0.0, **request}))
    return offered, accept(made.studio, store, offered, OWNER, made.now)


def test_suggestions_come_in_descending_confidence(store: Store) -> None:
    """Each with its task's state: whether a person has annotated it, and whether a machine has decided it."""
    made = judged(store, people=4, waiting=4, wrong=0)
    accepted(made, store, tasks=(105,))
    suggestions = read(made, store).suggestions
    assert [each.score for each in suggestions] == sorted((each.score for each in suggestions), reverse=True)
    assert {each.task for each in suggestions if each.annotated} == {101, 102, 103, 104}
    assert {each.task for each in suggestions if each.decided} == {105}
    assert [each.task for each in suggestions if each.is_open] == [106, 107, 108]


def test_a_version_that_is_not_there_is_named(store: Store) -> None:
    """Beside those that are, without the reports."""
    made = judged(store, people=4, waiting=1, wrong=0)
    with pytest.raises(ConfigError, match=r"it has m1$"):
        read(made, store, version="m2")
    with pytest.raises(ConfigError, match=r"it has m1$"):
        read(made, store, version="consensus/AllConfirmed")
    made.server.project["model_version"] = ""
    with pytest.raises(ConfigError, match="--version"):
        read(made, store)


def test_what_is_known_comes_from_before_anybody_annotated(store: Store) -> None:
    """A suggestion that was made after its task was annotated may have learned from that, and says nothing."""
    made = judged(store, people=20, waiting=2, wrong=2)
    assert len(read(made, store).judged) == 20
    made.server.tasks[101]["predictions"][0]["created_at"] = f"{made.now():%Y-%m-%dT%H:%M:%S.%fZ}"
    made.server.touch(101)
    known = read(made, store).judged
    assert len(known) == 19
    assert known.wrong.sum() == pytest.approx(2, abs=1)
    assert not known.decided.any()


def test_ground_truth_goes_before_the_votes(store: Store) -> None:
    """What somebody has decided counts as right or wrong, whole."""
    made = judged(store, people=20, waiting=2, wrong=0)
    made.server.annotate(101, [region("kind", "owl")], completed_by=2, ground_truth=True)
    made.server.annotate(102, [region("kind", "dog")], completed_by=2, ground_truth=True)
    known = read(made, store).judged
    assert sorted(known.wrong[known.decided].tolist()) == [0, 1]
    offered = offer(read(made, store), Request(above=0.9))
    assert offered.expected.decided == 2
    assert offered.conformal is not None


def test_gold_of_what_is_asked_for_bounds_what_is_wrong(store: Store) -> None:
    """Not that of another label; with one gold task of two that is none wrong, at most a half is."""
    made = judged(store, people=20, waiting=8, wrong=0)
    made.server.annotate(101, [region("kind", "owl")], completed_by=2, ground_truth=True)
    made.server.annotate(102, [region("kind", "dog")], completed_by=2, ground_truth=True)
    suggested = read(made, store)
    bounds = {label: offer(suggested, Request(above=0.4, label=label)).conformal for label in ("cat", "dog")}
    assert bounds == {"cat": 1.0, "dog": 1 / 2}
    assert offer(suggested, Request(above=0.4)).conformal == 2 / 3
    assert offer(suggested, Request(above=0.4, tasks=(121,))).conformal is None


def test_all_above_a_score_are_accepted(store: Store) -> None:
    """Strictly above it, of a label where one is named; again with nothing new it is nothing."""
    made = judged(store, people=20, waiting=40, wrong=2)
    offered, performed = accepted(made, store, above=0.75, label="dog")
    assert performed is not None
    assert {each.labels for each in offered.chosen} == {("dog",)}
    assert min(each.score for each in offered.chosen) > 0.75
    assert len(offered.chosen) == 10
    assert made.written(performed.batch["id"]) == [each.task for each in offered.chosen]
    assert offered.expected.n == 5
    assert performed.batch["params"]["model_version"] == "m1"
    made.server.requests.clear()
    assert accepted(made, store, above=0.75, label="dog")[1] is None
    assert made.server.writes == []


def test_a_precision_is_promised_where_the_data_do(store: Store) -> None:
    """The suggestions below which people found wrong ones are left, and the interval keeps the promise."""
    made = judged(store, people=400, waiting=60, wrong=40)
    offered, performed = accepted(made, store, target_precision=0.9)
    assert performed is not None
    assert 20 <= len(offered.chosen) <= 56
    assert all(group.expected.upper <= 0.1 for group in offered.groups)
    assert offered.expected.n > 150


def test_a_precision_that_cannot_be_promised_is_refused_by_name(store: Store) -> None:
    """It says how many judged suggestions it takes, and nothing is accepted."""
    made = judged(store, people=20, waiting=6, wrong=0)
    offered, performed = accepted(made, store, target_precision=0.98)
    assert performed is None
    assert [group.reason for group in offered.groups] == [
        "10 of its suggestions have been judged since; 0.98 takes at least 183, none of them wrong"
    ] * 2


@pytest.mark.parametrize(
    ("request_of", "named"),
    [
        ({}, "--above"),
        ({"above": 2.0}, "--above is 2"),
        ({"target_precision": 1.0}, "--target-precision is 1"),
        ({"above": 0.5, "label": "bat"}, "kind has cat, dog, owl"),
        ({"above": 0.5, "control": "color"}, "it has kind"),
    ],
)
def test_a_request_that_says_nothing_is_refused(store: Store, request_of: dict[str, Any], named: str) -> None:
    """With what to say instead."""
    made = judged(store, people=4, waiting=1, wrong=0)
    with pytest.raises(ConfigError, match=named):
        offer(read(made, store), Request(**request_of))


def test_a_share_of_the_accepted_is_judged_blind(store: Store) -> None:
    """It stays open to one person more, waits in the queue, and shows no suggestion; an undo puts it all back."""
    made = judged(store, people=4, waiting=40, wrong=0)
    before = made.state()
    shown = {row["id"]: row["result"] for row in made.server.predictions}
    offered, performed = accepted(made, store, above=0.0, audit_share=0.25)
    assert performed is not None
    audited = {task for task, _ in offered.audits}
    assert 4 <= len(audited) <= 17
    for task in (each.task for each in offered.chosen):
        overlap, is_labeled, _ = made.state()[task]
        results = [row["result"] for row in made.server.tasks[task]["predictions"]]
        assert (overlap, is_labeled, results == [[]]) == (
            (2, False, True) if task in audited else (1, True, False)
        )
    queued = store.decisions.queue(PROJECT, "audit")
    assert {row["task"] for row in queued} == audited
    assert offer(read(made, store), Request(above=0.0)).chosen == []
    undo(made.studio, store, performed.batch["id"], OWNER, made.now)
    assert made.state() == before
    assert {row["id"]: row["result"] for row in made.server.predictions} == shown
    assert store.decisions.queue(PROJECT, "audit") == []


def test_an_audited_task_still_tells_what_was_suggested(store: Store) -> None:
    """What people then say of it counts among what is known, though its suggestion is no longer shown."""
    made = judged(store, people=4, waiting=8, wrong=0)
    accepted(made, store, above=0.0, audit_share=1.0)
    made.later()
    for account in (5, 6, 7):
        made.server.annotate(105, [region("kind", "owl")], completed_by=account)
    run(made.studio, store, ProjectConfig(), PROJECT, now=made.now)
    known = read(made, store).judged
    assert len(known) == 5
    assert known.wrong.max() > 0.5


def test_a_task_with_something_left_to_ask_stays_open(store: Store) -> None:
    """Where another control has no suggestion, people are asked as before; the machine takes no place."""
    made = judged(store, people=4, waiting=2, wrong=0)
    two = config(choices("kind", "cat", "dog", "owl"), choices("color", "red", "blue"))
    made.server.project["label_config"] = two
    accepted(made, store, above=0.0)
    assert made.state()[105][:2] == (2, False)


def test_what_was_taken_back_can_be_accepted_again(store: Store) -> None:
    """It is another batch."""
    made = judged(store, people=4, waiting=2, wrong=0)
    _, first = accepted(made, store, above=0.0)
    assert first is not None
    undo(made.studio, store, first.batch["id"], OWNER, made.now)
    _, second = accepted(made, store, above=0.0)
    assert second is not None
    assert second.batch["id"] != first.batch["id"]
    assert made.written(second.batch["id"]) == [105, 106]


def test_the_proposed_label_becomes_ground_truth_that_teaches_nothing(store: Store) -> None:
    """Of what is in MisClassified; the run after it reports what was decided, and trust stays."""
    made = InMemoryProject.judged(people=40, waiting=0, wrong=3)
    for number, task in enumerate(made.tasks):
        made.server.tasks[task]["data"]["label"] = ("cat", "dog")[number % 2]
    settings = ProjectConfig.model_validate({"controls": {"kind": {"given": "label"}}})
    run(made.studio, store, settings, PROJECT, now=made.now)
    trust = [row["trust"] for row in store.annotators(store.needed_run(PROJECT)["id"])]
    offered = offer_proposals(store, PROJECT, Request())
    proposed = sorted((each.given, *each.labels) for each in offered.proposals)
    assert proposed == [("cat", "owl"), ("dog", "owl"), ("dog", "owl")]
    assert 0 < offered.wrong < 1
    surest = offered.proposals[0].posterior
    assert len(offer_proposals(store, PROJECT, Request(target_precision=surest - 1e-9)).proposals) in (1, 2)
    assert offer_proposals(store, PROJECT, Request(target_precision=(1 + surest) / 2)).proposals == []
    with pytest.raises(ConfigError, match="--above is 3"):
        offer_proposals(store, PROJECT, Request(above=3.0))
    made.later()
    performed = accept_proposals(made.studio, store, PROJECT, offered, settings, made.now)
    assert performed is not None
    assert performed.counts == {"written": 3}
    made.later()
    run(made.studio, store, settings, PROJECT, now=made.now)
    assert [row["trust"] for row in store.annotators(store.needed_run(PROJECT)["id"])] == trust
    assert set(store.report(PROJECT, "MisClassified")["posterior"].tolist()) == {0.0}
    assert offer_proposals(store, PROJECT, Request()).proposals == []
    made.server.now += timedelta(minutes=1)
    undo(made.studio, store, performed.batch["id"], OWNER, made.now)
    assert len(made.annotations(made.tasks[-1])) == 3


def test_a_proposal_leaves_what_somebody_has_starred(store: Store) -> None:
    """On the same control it is the answer already; on another it goes along, and the star with it."""
    made = InMemoryProject.judged(people=40, waiting=0, wrong=3)
    for number, task in enumerate(made.tasks):
        made.server.tasks[task]["data"]["label"] = ("cat", "dog")[number % 2]
    settings = ProjectConfig.model_validate({"controls": {"kind": {"given": "label"}}})
    run(made.studio, store, settings, PROJECT, now=made.now)
    offered = offer_proposals(store, PROJECT, Request())
    first, second, third = (each.task for each in offered.proposals)
    own = made.server.annotate(first, [region("kind", "cat")], completed_by=2, ground_truth=True)
    made.server.annotate(second, [region("traits", "fur")], completed_by=2, ground_truth=True)
    made.later()
    performed = accept_proposals(made.studio, store, PROJECT, offered, settings, made.now)
    assert performed is not None
    assert performed.counts == {"written": 2}
    starred = {
        task: [choices_in(each["result"]).made for each in made.annotations(task) if each["ground_truth"]]
        for task in (first, second, third)
    }
    label = {each.task: each.labels for each in offered.proposals}
    assert starred == {
        first: [{"kind": ("cat",)}],
        second: [{"kind": label[second], "traits": ("fur",)}],
        third: [{"kind": label[third]}],
    }
    assert own["ground_truth"]
    made.server.now += timedelta(minutes=1)
    undo(made.studio, store, performed.batch["id"], OWNER, made.now)
    [given_back] = [each for each in made.annotations(second) if each["ground_truth"]]
    assert choices_in(given_back["result"]).made == {"traits": ("fur",)}


def test_what_is_expected_rests_on_what_the_promise_does(store: Store) -> None:
    """Where enough is decided, on that alone, however the votes are."""
    made = judged(store, people=120, waiting=10, wrong=0)
    for number, task in enumerate(made.tasks[:100]):
        label = ("cat", "dog")[number % 2]
        made.server.annotate(task, [region("kind", label)], completed_by=2, ground_truth=True)
    offered = offer(read(made, store), Request(target_precision=0.9))
    assert (offered.expected.n, offered.expected.decided, offered.expected.wrong) == (100, 100, 0)
    assert offered.expected.upper < 0.1
    assert offered.chosen
