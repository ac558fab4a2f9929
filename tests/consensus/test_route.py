"""`consensus route` and `consensus prompt` on tasks in memory; a real label stream is tested elsewhere."""

import csv
import io
import json
from collections.abc import Callable, Iterable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import httpx
import pytest
from in_memory_label_studio import InMemoryStudio, Json
from meanwhile import after_the_first_question

from consensus.commands import route as command
from consensus.core.routing.overlap import Change, ServedTask
from consensus.core.votes.from_annotations import Annotation
from consensus.errors import ConfigError, LabelStudioError, StoreError
from consensus.label_studio import Studio
from consensus.projects.prompt import prompts
from consensus.projects.route import PATIENCE, Routed, counts
from consensus.projects.route import route as route_project
from consensus.settings import ProjectConfig
from consensus.store.columns import Row, as_columns
from consensus.store.store import Store
from consensus.store.tables import CLASSIFICATION, VOTE

START = datetime(2026, 1, 2, tzinfo=UTC)
BEFORE, AFTER = "2026-01-01T00:00:00.000000Z", "2026-01-03T00:00:00.000000Z"
LABELS = ("cat", "dog", "owl")
ACCOUNTS = {number: f"a{number}" for number in range(1, 6)}
Votes = dict[str, str]


def served(number: int, votes: Votes, overlap: int = 1, *, closed: bool = True, at: str = BEFORE) -> Json:
    """A task with a submitted annotation for each vote, or a skipped one for "skip"."""
    annotations = [
        {"id": number * 10 + position, "completed_by": int(who[1:]), "updated_at": at,
         "was_cancelled": vote == "skip", "ground_truth": vote == "gold"}
        for position, (who, vote) in enumerate(votes.items())
    ]  # fmt: skip
    return {"task_id": number, "annotations": annotations, "overlap": overlap, "is_labeled": closed}


def classifications(number: int, votes: Votes, report: str = "", given: str | None = None) -> list[Row]:
    """The rows of a task of a single choice: the labels' shares are the posterior; the report is the winner's."""
    total = len(votes)
    chosen = [label for label in LABELS if total or label == given]
    rows: list[Row] = []
    for label in chosen:
        yes = list(votes.values()).count(label)
        share = yes / total if total else 0.5
        counts = {
            "yes": yes,
            "no": total - yes,
            "unsure": 0,
            "confidence": share / 2,
            "posterior": share,
            "upper": 1.0,
        }
        rows.append({"control": "kind", "task": number, "label": label, "given": label == given, **counts})
        rows[-1]["report"] = report if yes == max(map(list(votes.values()).count, LABELS)) else ""
    return rows


CONFIRMED = {"a1": "cat", "a2": "cat"}
DISPUTED = {"a1": "cat", "a2": "dog"}
LEANING = {"a1": "cat", "a2": "cat", "a3": "dog", "a4": "cat"}
ROWS = [
    *classifications(1, CONFIRMED, "AllConfirmed", given="cat"),
    *classifications(2, DISPUTED, "Controversial"),
    *classifications(3, {}, "NoVotes", given="cat"),
    *classifications(4, LEANING),
]
VOTES = {1: CONFIRMED, 2: DISPUTED, 4: LEANING}
TRUST = {"a1": 0.9, "a2": 0.5, "a3": 0.7, "a4": 0.1}
TASKS = (
    served(1, CONFIRMED, 3, closed=False),
    served(2, DISPUTED),
    served(3, {}, closed=False),
    served(4, LEANING, 4),
    served(5, {}, closed=False),  # imported since the run
)


@pytest.fixture
def store(monkeypatch: pytest.MonkeyPatch) -> Store:
    """A store with a run on project 7."""
    monkeypatch.setenv("CONSENSUS_DATABASE_URL", f"sqlite:///{Path.cwd()}/store.db")
    made = Store.migrated(f"sqlite:///{Path.cwd()}/store.db")
    save(made)
    return made


def save(store: Store, rows: list[Row] = ROWS, votes: dict[int, Votes] = VOTES, policy: str = "default") -> None:
    """A run on project 7 that found these rows."""
    run = {"project": 7, "started_at": START, "model_version": "", "policy": policy, "tasks": 4, "votes": 8}
    lines = {"confirm": 0.9, "reject": 0.1, "fewest_votes": 2}
    voted = [
        {
            "control": "kind", "task": task, "annotator": who, "label": label, "vote": "yes", "lead_time": None,
            "annotation": task * 10 + position, "voted_at": BEFORE, "from_prediction": None,
        }
        for task, of_task in votes.items()
        for position, (who, label) in enumerate(of_task.items())
    ]  # fmt: skip
    who = [
        {"control": "kind", "annotator": name, "votes": 2, "trust": trust}
        for name, trust in TRUST.items()
        if any(name in of_task for of_task in votes.values())
    ]
    control = {"kind": "choices", "choice": "single", "labels": LABELS, "learned": None}
    controls = [{**control, "control": name} for name in ("kind", "second")]
    columns = as_columns(CLASSIFICATION, rows), as_columns(VOTE, voted)
    store.save({**run, "thresholds": lines, "problems": 0}, *columns, who, controls)


def label_studio(*tasks: Json, failing: Iterable[int] = ()) -> InMemoryStudio:
    """A Label Studio in memory; tasks that are to fail do."""
    studio = InMemoryStudio(title="Cats [and] dogs [/b]")
    studio.accounts = ACCOUNTS
    for task in tasks:
        studio.add_task({}, **task)
    for number in failing:
        refusal = httpx.Response(400, json={"detail": f"no task {number} [/x]"})
        studio.faults[f"PATCH tasks/{number}/"] = refusal
    return studio


def route(studio: InMemoryStudio, store: Store, project: int, **options: Any) -> Routed:  # noqa: ANN401
    """Route a project of it."""
    return route_project(Studio(studio.client()), store, project, **options)


def sent(studio: InMemoryStudio) -> list[Change]:
    """What was set, task by task."""
    return [
        Change(int(request.url.path.split("/")[3]), body["overlap"], closed=body["is_labeled"])
        for request in studio.requests
        if request.method == "PATCH"
        for body in [json.loads(request.content)]
    ]


def needs(routed: Routed) -> dict[int, str]:
    """What each task needs."""
    return {one.task: one.need for one in routed.advice}


@pytest.mark.parametrize("dry_run", [False, True])
def test_a_project_of_another_label_studio_is_not_routed(store: Store, *, dry_run: bool) -> None:
    """What the store holds is about another one, also where nothing is to be sent."""
    store.recognize(7, "http://there", "2025-01-01T00:00:00+00:00")
    studio = label_studio(*TASKS)
    with pytest.raises(StoreError, match="project 7 of this store is another one"):
        route(studio, store, 7, dry_run=dry_run)
    assert sent(studio) == []


def test_votes_go_to_what_is_undecided_the_most_informative_first(store: Store) -> None:
    """What is confirmed is closed first; evens come before a task three to one; none alike gets two votes."""
    studio = label_studio(*TASKS)
    routed = route(studio, store, 7)
    assert needs(routed) == {1: "none", 2: "vote", 3: "vote", 4: "vote", 5: "vote"}
    assert sent(studio)[0] == Change(1, 2, closed=True)
    overlaps = {2: 3, 3: 2, 4: 5, 5: 2}
    assert set(sent(studio)[1:]) == {Change(task, overlap, closed=False) for task, overlap in overlaps.items()}
    gains = {one.task: one.gain for one in routed.advice}
    assert [one.task for one in sent(studio)[1:]] == sorted(gains, key=lambda task: -gains[task])[:4]
    assert gains[3] > gains[4] > gains[1] == 0
    assert (routed.sent, routed.failures) == (5, [])


def test_nobody_who_is_gone_is_asked(store: Store) -> None:
    """Neither a deleted account, whose name only the store knows, nor one whose name nobody knows any more."""
    save(store, votes=VOTES | {4: {**LEANING, "account unknown of annotation 157": "dog"}})
    studio = label_studio(*TASKS)
    studio.accounts = {number: name for number, name in ACCOUNTS.items() if name != "a1"}
    asked = {name for advice in route(studio, store, 7, dry_run=True).advice for name, _ in advice.annotators}
    assert asked == {"a2", "a3", "a4"}


def test_votes_are_asked_for_where_ground_truth_is_the_given_label(store: Store) -> None:
    """A star is no vote there, and leaves no task aside; of another control it says what is right."""
    starred = [served(2, {**DISPUTED, "a5": "gold"}), served(3, {"a5": "gold"})]
    assert needs(route(label_studio(*starred), store, 7, dry_run=True)) == {2: "gold", 3: "gold"}
    for control, needed in (("kind", "vote"), ("second", "none")):
        config = ProjectConfig.model_validate({"controls": {control: {"given_annotations": True}}})
        studio = label_studio(*starred)
        routed = route(studio, store, 7, config=config)
        assert needs(routed) == {2: needed, 3: needed}
        assert [advice.votes for advice in sorted(routed.advice, key=lambda each: each.task)] == [2, 0]
        opened = [] if needed == "none" else [Change(2, 4, closed=False), Change(3, 3, closed=False)]
        assert sorted(sent(studio), key=lambda change: change.task) == opened


def test_a_run_that_ends_meanwhile_is_not_seen(store: Store) -> None:
    """Neither advice nor prompts mix the votes of a new run with the classifications of the one before."""
    studio = label_studio(*TASKS)
    advice, asked = route(studio, store, 7, dry_run=True).advice, prompts(store, 7, "a1").rows

    def ends() -> None:
        save(store, ROWS[:3], {1: CONFIRMED, 2: {"a5": "cat"}})

    with after_the_first_question(ends):
        assert route(studio, store, 7, dry_run=True).advice == advice
    save(store)
    with after_the_first_question(ends):
        assert prompts(store, 7, "a1").rows == asked
    assert prompts(store, 7, "a1").rows != asked


def test_a_second_call_without_new_votes_sends_nothing(store: Store) -> None:
    """Nor does a dry run, which says the same."""
    studio = label_studio(*TASKS)
    planned = route(studio, store, 7, dry_run=True)
    assert (sent(studio), planned.sent, len(planned.changes)) == ([], 0, 5)
    assert route(studio, store, 7).changes == planned.changes
    studio.requests.clear()
    assert (route(studio, store, 7).changes, sent(studio)) == ([], [])


def test_those_are_asked_who_have_not_had_the_task_the_most_trusted_first(store: Store) -> None:
    """A vote that only Label Studio knows of counts, too; where nobody is left somebody new is wanted."""
    routed = route(label_studio(*TASKS[:3], served(4, {**LEANING, "a5": "owl"})), store, 7, dry_run=True)
    asked = {one.task: [name for name, _ in one.annotators] for one in routed.advice}
    assert asked == {1: [], 2: ["a3", "a4"], 3: ["a1", "a3", "a2", "a4"], 4: []}
    disputed = next(one for one in routed.advice if one.task == 2)
    assert disputed.gain == pytest.approx(sum(gain for _, gain in disputed.annotators) / 2)
    assert disputed.annotators[0][1] > disputed.annotators[1][1]
    assert disputed.reports == ["Controversial"]


def test_a_task_at_its_limit_is_said_to_be_and_shown_no_more(store: Store) -> None:
    """Four people had the last one; the second run leaves it so."""
    studio = label_studio(*TASKS[:3], served(4, LEANING, 9, closed=False))
    assert needs(route(studio, store, 7, max_votes=4))[4] == "limit"
    assert (studio.tasks[4]["overlap"], studio.tasks[4]["is_labeled"]) == (4, True)
    assert dict(counts(route(studio, store, 7, max_votes=4))) == {
        "vote": 2,
        "none": 1,
        "limit": 1,
        "gold": 0,
        "decided": 0,
        "run": 0,
    }
    assert [change.task for change in route(studio, store, 7, max_votes=5).changes] == [4]


def test_a_limit_of_one_vote_is_kept(store: Store) -> None:
    """Though two votes are the fewest that decide."""
    studio = label_studio(*TASKS)
    route(studio, store, 7, max_votes=1)
    assert studio.tasks[3]["overlap"] == 1


def test_votes_that_no_run_has_seen_wait_for_it(store: Store) -> None:
    """The task stays as it is, whatever the last run said of it; ground truth stays, too."""
    late = served(2, {**DISPUTED, "a3": "cat"}, 3, at=AFTER)
    studio = label_studio(late, served(3, {"a1": "gold"}), served(1, CONFIRMED))
    routed = route(studio, store, 7)
    assert (needs(routed), sent(studio)) == ({1: "none", 2: "run", 3: "gold"}, [])


def test_a_task_that_fails_does_not_keep_the_others(store: Store) -> None:
    """It is named; after some refusals in a row the rest is not tried."""
    studio = label_studio(*TASKS, failing=(2,))
    routed = route(studio, store, 7)
    [failure] = routed.failures
    assert (failure.task, failure.what.endswith("no task 2 [/x]"), routed.sent) == (2, True, 4)
    many = [served(number, {}, closed=False) for number in range(10, 30)]
    routed = route(label_studio(*many, failing=tuple(range(10, 30))), store, 7)
    assert [one.what for one in routed.failures].count(f"not tried after {PATIENCE} refusals in a row") == 15


def test_progress_is_told(store: Store) -> None:
    """Of the tasks that are set, to the last."""
    told: list[tuple[str, int, int]] = []
    route(label_studio(*TASKS), store, 7, progress=lambda *step: told.append(step))
    assert told == [("reading tasks", 5, 5), *(("setting overlap", done, 5) for done in range(1, 6))]


def test_a_project_is_held_while_it_is_set(store: Store) -> None:
    """A run at the same time would change what is decided; a dry run waits for nobody."""
    with store.lock(7):
        with pytest.raises(StoreError, match="another run is at work on project 7"):
            route(label_studio(*TASKS), store, 7)
        assert route(label_studio(*TASKS), store, 7, dry_run=True).advice


def test_a_task_of_two_controls_is_finished_when_both_are(store: Store) -> None:
    """What is open on the second one keeps it; the gains add up."""
    before = {one.task: one.gain for one in route(label_studio(*TASKS), store, 7, dry_run=True).advice}
    second = [{**row, "control": "second", "report": ""} for row in classifications(1, DISPUTED)]
    second += [{**row, "control": "second"} for row in classifications(2, DISPUTED)]
    save(store, [*ROWS, *second])
    routed = route(label_studio(*TASKS), store, 7, dry_run=True)
    assert needs(routed)[1] == "vote"
    assert {one.task: one.gain for one in routed.advice}[2] > before[2]


def test_a_store_without_votes_asks_for_all(store: Store) -> None:
    """Nobody is known yet; somebody new is wanted everywhere."""
    save(store, classifications(3, {}, "NoVotes", given="cat"), {})
    routed = route(label_studio(served(3, {}, closed=False), served(9, {}, closed=False)), store, 7, dry_run=True)
    assert needs(routed) == {3: "vote", 9: "vote"}
    assert all(one.gain > 0 and not one.annotators for one in routed.advice)
    save(store, [], {})
    assert needs(route(label_studio(served(9, {}, closed=False)), store, 7, dry_run=True)) == {9: "vote"}


def test_without_a_run_there_is_nothing_to_go_by(store: Store) -> None:
    """The message holds the command."""
    with pytest.raises(
        ConfigError, match=r"project 8 has no run yet in this store; do `consensus run --project 8`"
    ):
        route(label_studio(), store, 8)


def test_prompts_are_open_unvoted_and_informative(store: Store) -> None:
    """Somebody who voted on a task is not asked of it again; the likeliest label of a question comes first."""
    found = prompts(store, 7, "a3")
    assert [(row["task"], row["label"]) for row in found.rows] == [(3, "cat"), (2, "cat"), (2, "dog")]
    assert found.rows[0]["gain"] > found.rows[1]["gain"] == found.rows[2]["gain"] > 0
    assert [row["task"] for row in prompts(store, 7, "a1").rows] == [3]
    assert found.known


def test_an_annotator_is_known_in_any_case_of_the_letters(store: Store) -> None:
    """Somebody who is written in another way is not asked for a second vote."""
    found = prompts(store, 7, "A1")
    assert found.known
    assert found.rows == prompts(store, 7, "a1").rows


def test_somebody_new_is_taken_for_the_average(store: Store) -> None:
    """The mean trust is 0.55: between those of a2 and a3."""
    new = prompts(store, 7, "a9")
    assert not new.known
    assert {row["task"] for row in new.rows} == {2, 3, 4}
    gain = {who: prompts(store, 7, who, label="cat").rows[0]["gain"] for who in ("a2", "a3", "a9")}
    assert gain["a2"] < gain["a9"] < gain["a3"]


def test_prompts_of_one_label_or_control(store: Store) -> None:
    """A name that is not there is answered with those that are."""
    assert {row["label"] for row in prompts(store, 7, "a9", label="dog").rows} == {"dog"}
    assert prompts(store, 7, "a9", control="kind").rows == prompts(store, 7, "a9").rows
    with pytest.raises(ConfigError, match=r"the last run has no label 'cow'; it has cat, dog, owl$"):
        prompts(store, 7, "a9", label="cow")
    with pytest.raises(ConfigError, match=r"the last run has no control 'kin'; it has kind$"):
        prompts(store, 7, "a9", control="kin")


Call = Callable[..., tuple[int, str, str]]


@pytest.fixture
def call(monkeypatch: pytest.MonkeyPatch, shell: Call) -> Call:
    """Calls `consensus` as the shell would, with a Label Studio in memory; returns status, output and errors."""

    def _call(*arguments: object, studio: InMemoryStudio | None = None) -> tuple[int, str, str]:
        monkeypatch.setattr(command, "studio", lambda: Studio((studio or label_studio(*TASKS)).client()))
        return shell(*arguments)

    return _call


@pytest.mark.usefixtures("store")
def test_route_shows_what_it_found_and_sent(call: Call) -> None:
    """How many tasks need what, the best of them, and what was sent; names with brackets as they are."""
    status, out, err = call("route", "--project", 7)
    assert (status, err) == (0, "")
    assert out.startswith(
        "Cats [and] dogs [/b] (project 7)\n  4 tasks need one more vote\n  1 tasks are finished\n"
    )
    assert "Controversial" in out
    assert "a3, a4" in out
    assert "1 -> 3" in out
    assert out.endswith("Sent: 4 tasks opened or shown to more, 1 shown to nobody more.\n")


@pytest.mark.usefixtures("store")
def test_route_says_when_nothing_is_sent(call: Call) -> None:
    """In a dry run in the conditional, and where all is as it should be."""
    out = call("route", "--project", 7, "--dry-run")[1]
    assert "Dry run, nothing sent; would be 4 tasks opened or shown to more, 1 shown to nobody more." in out
    studio = label_studio(served(1, CONFIRMED))
    assert call("route", "--project", 7, studio=studio)[1].endswith(
        "  1 tasks are finished\nLabel Studio is up to date: nothing to send.\n"
    )


@pytest.mark.usefixtures("store")
def test_route_prints_one_object_for_a_program(call: Call) -> None:
    """All tasks but those that are finished and stay as they are."""
    status, out, err = call("route", "--project", 7, "--json", "--dry-run", "--max-votes", 3)
    found = json.loads(out)
    assert (status, err, found["sent"], found["changes"], found["max_votes"]) == (0, "", 0, 4, 3)
    assert found["tasks"] == {"vote": 3, "none": 1, "limit": 1, "gold": 0, "decided": 0, "run": 0}
    by_task = {one["task"]: one for one in found["advice"]}
    assert by_task[1]["change"] == {"overlap": 2, "closed": True}
    assert (by_task[4]["need"], by_task[4]["change"]) == ("limit", None)
    assert [one["annotator"] for one in by_task[2]["annotators"]] == ["a3", "a4"]


@pytest.mark.usefixtures("store")
def test_route_that_failed_for_some_exits_with_3(call: Call) -> None:
    """They are named on standard error."""
    status, out, err = call("route", "--project", 7, studio=label_studio(*TASKS, failing=(2, 3)))
    assert status == 3
    assert [line.split(": ", 2)[1] for line in sorted(err.splitlines())] == ["task 2", "task 3"]
    assert all(line.endswith(" [/x]") for line in err.splitlines())
    assert out.endswith("1 shown to nobody more (2 of them failed).\n")
    many = [served(number, {}, closed=False) for number in range(10, 35)]
    status, out, err = call("route", "--project", 7, studio=label_studio(*many, failing=tuple(range(10, 35))))
    assert err.endswith("... and 15 more tasks not set\n")
    assert "... and 5 more; --json prints all" in out


@pytest.mark.usefixtures("store")
def test_prompt_in_three_forms(call: Call) -> None:
    """At most as many as asked for; somebody new is said to be on standard error alone."""
    status, out, err = call("prompt", "--project", 7, "--annotator", "a3", "-n", 2, "--format", "json")
    assert (status, err, [row["task"] for row in json.loads(out)]) == (0, "", [3, 2])
    status, out, err = call(
        "prompt", "--project", 7, "--annotator", "new[/x]", "--label", "dog", "--format", "csv"
    )
    rows = list(csv.DictReader(io.StringIO(out)))
    assert [(row["task"], row["label"], row["yes"]) for row in rows] == [("2", "dog", "1"), ("4", "dog", "1")]
    assert err == "'new[/x]' has no vote in the last run and is taken for the average annotator\n"
    assert "Controversial" in call("prompt", "--project", 7, "--annotator", "a3")[1]


@pytest.mark.usefixtures("store")
@pytest.mark.parametrize(
    ("arguments", "status", "message"),
    [
        (("route", "--project", 8), 1, "error: project 8 has no run yet in this store; do `consensus run"),
        (("route", "--project", 7, "--max-votes", 0), 2, "--max-votes"),
        (("prompt", "--project", 8, "--annotator", "a1"), 1, "error: project 8 has no run yet"),
        (
            ("prompt", "--project", 7, "--annotator", "a1", "--label", "cow"),
            1,
            "error: the last run has no label 'cow'",
        ),
        (("prompt", "--project", 7, "--annotator", "a1", "-n", 0), 2, "-n"),
        (("prompt", "--project", 7), 2, "--annotator"),
    ],
)
def test_what_cannot_be_meant_is_refused(
    call: Call, arguments: tuple[object, ...], status: int, message: str
) -> None:
    """By its name, and nothing is printed for a program."""
    got, out, err = call(*arguments)
    assert (got, out) == (status, "")
    assert message in err


@pytest.mark.parametrize(
    ("queue", "count"), [("IGNORE_SKIPPED", True), ("REQUEUE_FOR_ME", True), ("REQUEUE_FOR_OTHERS", False)]
)
def test_skips_may_take_a_place(queue: str, *, count: bool) -> None:
    """The project's skip queue says so; of a task only who had it is asked for."""
    studio = label_studio(served(3, {"a1": "skip"}, 2))
    studio.project["skip_queue"] = queue
    found = Studio(studio.client()).served(7, ACCOUNTS)
    assert found.skips_count == count
    assert found.tasks == (ServedTask(3, 2, True, (Annotation(30, "a1", BEFORE, True, False, []),)),)  # noqa: FBT003
    [asked] = [request for request in studio.requests if request.url.path == "/api/tasks/"]
    assert "result" not in asked.url.params["include"]


def test_an_overlap_that_is_refused_names_the_task() -> None:
    """The task may be gone meanwhile."""
    with pytest.raises(LabelStudioError, match="has no task 3, or the account may not see it"):
        Studio(label_studio().client()).set_overlap(Change(3, 2, closed=False))
