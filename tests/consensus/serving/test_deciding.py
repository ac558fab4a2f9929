"""Routes that write into Label Studio: the one in memory."""

import threading
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import pytest
from in_memory_label_studio import region
from made_projects import OWNER, PROJECT, InMemoryProject
from made_service import TOKEN, made_service

from consensus.assist.auto import auto
from consensus.assist.auto_rules import read_auto
from consensus.assist.batches import plan
from consensus.projects.run import run
from consensus.review.queues import refresh
from consensus.serving import schemas
from consensus.serving.app import create_app
from consensus.settings import ProjectConfig
from consensus.store.store import Store

WAIT_S = 20.0
ANA = "ana@example.com"


class Caller:
    """Somebody with the token, at a project with suggestions and votes."""

    def __init__(self, made: InMemoryProject, store: Store, config: ProjectConfig | None = None) -> None:
        self.made, self.store, self.config = made, store, config or ProjectConfig()
        service = made_service(store, studio=lambda: nullcontext(made.connected()), config=self.config)
        self.client = create_app(service).test_client()
        self.client.environ_base["HTTP_AUTHORIZATION"] = f"Bearer {TOKEN}"

    def get(self, path: str, **query: object) -> dict[str, Any]:
        """Ask."""
        answer = self.client.get(f"/api/projects/{PROJECT}{path}", query_string=query)
        assert answer.status_code == 200, answer.json
        return dict(answer.json)

    def post(self, path: str, **body: object) -> dict[str, Any]:
        """Do, and wait for the end of what goes on."""
        answer = self.client.post(f"/api/projects/{PROJECT}{path}", json={"made_by": ANA, **body})
        assert answer.status_code in (200, 202), answer.json
        done = dict(answer.json)
        return done | {"job": self.ended(done["job"])} if done.get("job") else done

    def ended(self, job: dict[str, Any]) -> dict[str, Any]:
        """Wait for the end of work in the background."""
        pause = threading.Event()
        for _ in range(int(WAIT_S * 50)):
            now = self.get(f"/jobs/{job['id']}")
            if now["finished_at"]:
                assert now["state"] == "done", now
                return now
            pause.wait(0.02)
        raise AssertionError("it did not end")


@pytest.fixture
def caller(tmp_path: Path) -> Caller:
    """Twenty tasks that three people have judged, the last two suggestions wrong; ten that wait."""
    store = Store.migrated(f"sqlite:///{tmp_path}/store.db")
    made = InMemoryProject.judged(people=20, waiting=10, wrong=2)
    run(made.studio, store, ProjectConfig(), PROJECT, now=made.now)
    made.later()
    return Caller(made, store)


def test_suggestions_are_pages_of_the_surest_first(caller: Caller) -> None:
    """Of tasks that nobody has annotated; Label Studio is asked once in a while, not for each page."""
    first = caller.get("/suggestions", limit=6)
    schemas.Suggestions.model_validate(first)
    asked = len(caller.made.server.requests)
    rest = caller.get("/suggestions", limit=6, after=first["next"])
    scores = [row["score"] for row in first["items"] + rest["items"]]
    assert (len(scores), scores) == (10, sorted(scores, reverse=True))
    assert rest["next"] is None
    assert {row["labels"][0] for row in caller.get("/suggestions", label="dog")["items"]} == {"dog"}
    assert len(caller.get("/suggestions", annotated=True, limit=100)["items"]) == 30
    assert asked == len(caller.made.server.requests)


def test_what_is_counted_is_what_is_accepted(caller: Caller) -> None:
    """The dry run writes nothing; done, the batch has as many items, by the machine account, and is taken back."""
    tasks = caller.made.tasks[-10:]
    request = {"source": "suggestions", "tasks": tasks, "above": 0.7, "audit_share": 0}
    counted = caller.post("/accept", dry_run=True, **request)
    schemas.Offered.model_validate(counted)
    assert (counted["count"], counted["job"]) == (6, None)
    assert counted["detail"].startswith("6 of 10 tasks have a suggestion above 0.7 that nobody has answered; of ")
    assert [row["accepted"] for row in counted["labels"]] == [3, 3]
    assert all(not caller.made.annotations(task) for task in tasks)
    done = caller.post("/accept", **request)
    (batch,) = done["job"]["result"]["batches"]
    assert (done["count"], batch["counts"]) == (6, {"written": 6})
    assert sum(len(caller.made.annotations(task)) for task in tasks) == 6
    described = caller.get(f"/batches/{batch['batch']}")
    assert (described["made_by"], described["items"]) == (ANA, {"written": 6})
    assert caller.post("/accept", dry_run=True, **request)["count"] == 0
    undone = caller.post(f"/batches/{batch['batch']}/undo", dry_run=True)
    assert (undone["count"], undone["detail"]) == (6, "6 would be taken back, 0 stay.")
    assert caller.post(f"/batches/{batch['batch']}/undo")["job"]["result"]["undone"] == 6
    assert all(not caller.made.annotations(task) for task in tasks)


def test_nothing_to_accept_starts_nothing(caller: Caller) -> None:
    """It is an answer, with a count of none."""
    caller.get("/suggestions")
    done = caller.post("/accept", source="suggestions", above=1.0)
    assert (done["count"], done["job"]) == (0, None)
    assert caller.get("/jobs")["items"] == []


def test_what_to_accept_has_to_be_said(caller: Caller) -> None:
    """Neither no request, nor one of a version that is not there, is one for all."""
    for body, message in (
        ({"source": "suggestions"}, "nothing says which suggestions to accept"),
        ({"source": "suggestions", "above": 0.5, "version": "m9", "dry_run": True}, "'m9' has no prediction"),
        ({"source": "guesses", "above": 0.5}, "source: Input should be"),
        ({"source": "suggestions", "above": 0.5, "tasks": []}, "tasks: List should have at least 1 item"),
    ):
        answer = caller.client.post(f"/api/projects/{PROJECT}/accept", json={"made_by": ANA, **body})
        assert (answer.status_code, message in answer.json["error"]) == (400, True), answer.json


def test_one_more_annotator_is_asked(caller: Caller) -> None:
    """The tasks are shown to one more; the batch says who asked and why, and repeated it is one."""
    tasks = caller.made.tasks[:2]
    before = [caller.made.server.tasks[task]["overlap"] for task in tasks]
    assert caller.post("/ask", tasks=tasks, dry_run=True)["detail"] == "One more annotator is asked about 2 tasks."
    done = caller.post("/ask", tasks=tasks, reason="unclear")
    assert done["job"]["result"]["counts"] == {"written": 2}
    rows = [caller.made.server.tasks[task] for task in tasks]
    assert [row["overlap"] > old for row, old in zip(rows, before, strict=True)] == [True, True]
    assert [row["is_labeled"] for row in rows] == [False, False]
    decided = caller.get("/decisions", batch=done["batch"])["items"]
    assert {(row["verdict"], row["decided_by"], row["reason"]) for row in decided} == {("asked", ANA, "unclear")}


def test_a_task_for_which_a_vote_is_asked_waits_again_with_that_vote(caller: Caller) -> None:
    """At a run before it comes, nobody has to look at it."""
    task = caller.made.tasks[0]
    caller.post("/review", tasks=[task])
    caller.post("/ask", tasks=[task])
    assert [run_and_count(caller)] == [0]
    caller.made.server.accounts[99] = "late@example.com"
    caller.made.server.annotate(task, [region("kind", "owl")], completed_by=99)
    assert [run_and_count(caller)] == [1]


def run_and_count(caller: Caller) -> int:
    """Run, and count what waits in the queue of those that were sent to review."""
    caller.made.later()
    run(caller.made.studio, caller.store, caller.config, PROJECT, now=caller.made.now)
    return refresh(caller.store, PROJECT, caller.config.review, caller.made.now()).get("pending", 0)


def test_a_key_from_before_the_service_began_is_for_the_same_tasks(caller: Caller) -> None:
    """The store knows it: the same tasks are asked about once, and others need a key of their own."""
    first, second = caller.made.tasks[:2]
    key = {"Idempotency-Key": "once"}
    answers = [
        Caller(caller.made, caller.store).client.post(
            f"/api/projects/{PROJECT}/ask", json={"made_by": ANA, "tasks": [task]}, headers=key
        )
        for task in (first, first, second)
    ]
    assert [answer.status_code for answer in answers] == [202, 202, 422]
    assert answers[0].json["batch"] == answers[1].json["batch"]
    assert "another body" in answers[2].json["error"]


def test_what_was_cut_off_is_gone_on_with(caller: Caller) -> None:
    """A wish for votes that was stored and not sent is done before the next one."""
    first, second = caller.made.tasks[:2]
    item = {"task": first, "control": "kind", "labels": [], "evidence": {"verdict": "asked", "more": 1}}
    batch = plan(caller.store, PROJECT, "ask", [item], made_by=ANA, now=caller.made.now(), key="before")
    caller.post("/ask", tasks=[second])
    assert caller.get(f"/batches/{batch['id']}")["items"] == {"written": 1}
    assert [caller.made.server.tasks[task]["is_labeled"] for task in (first, second)] == [False, False]


def test_tasks_are_sent_to_review_and_decided(caller: Caller) -> None:
    """They come first, with their votes; a decision takes them off, and a second one is refused."""
    task = caller.made.tasks[0]
    sent = caller.post("/review", tasks=[task], reason="look again")
    assert (sent["count"], sent["detail"]) == (1, "1 task waits for a reviewer.")
    (item,) = caller.get("/queues/pending/items")["items"]
    schemas.ReviewItem.model_validate(item)
    assert (item["task"], {vote["label"] for vote in item["votes"] if vote["vote"] == "yes"}) == (task, {"cat"})
    ruling = {"task": task, "control": "kind", "name": "correct", "labels": ["owl"], "reason": "a beak"}
    decided = caller.post("/decisions", made_by=OWNER, rulings=[ruling])
    schemas.DecidedLabels.model_validate(decided)
    assert decided["batches"][0]["counts"] == {"written": 1}
    assert caller.get("/queues")["queues"].get("pending", 0) == 0
    again = caller.post("/decisions", made_by=OWNER, rulings=[ruling])
    assert "has decided" in again["refused"][0]["why"]
    starred = [each for each in caller.made.annotations(task) if each["ground_truth"]]
    assert [each["result"][0]["value"]["choices"] for each in starred] == [["owl"]]


@pytest.mark.parametrize("member", ["made_by", "reason"])
def test_text_that_no_database_keeps_is_refused(caller: Caller, member: str) -> None:
    """PostgreSQL has no NUL: as an address, a name or a reason it would be a fault of ours."""
    body = {"made_by": ANA, "tasks": [caller.made.tasks[0]], member: "a\0b"}
    answer = caller.client.post(f"/api/projects/{PROJECT}/review", json=body)
    assert (answer.status_code, f"{member}: String should match" in answer.json["error"]) == (400, True)
    answer = caller.client.get(f"/api/projects/{PROJECT}/submissions?annotator=a%00b")
    assert answer.status_code == 400


def test_proposals_are_counted_and_accepted(tmp_path: Path) -> None:
    """Where the given label is wrong, the one that the votes prefer becomes ground truth of the key's account."""
    store = Store.migrated(f"sqlite:///{tmp_path}/store.db")
    made = InMemoryProject.judged(people=20, waiting=1, wrong=0)
    for number, task in enumerate(made.tasks[:20]):
        right = ("cat", "dog")[number % 2]
        made.server.tasks[task]["data"]["label"] = "owl" if number < 2 else right
        made.server.touch(task)
    config = ProjectConfig.model_validate({"controls": {"kind": {"given": "label"}}})
    run(made.studio, store, config, PROJECT, now=made.now)
    made.later()
    caller = Caller(made, store)
    accused = caller.get("/images/mislabelled")["items"]
    assert {row["task"] for row in accused} == {*made.tasks[:2]}
    counted = caller.post("/accept", source="proposals", tasks=made.tasks, dry_run=True)
    assert (counted["count"], "2 of 21 tasks have a wrong given label" in counted["detail"]) == (2, True)
    done = caller.post("/accept", source="proposals", tasks=made.tasks)
    (batch,) = done["job"]["result"]["batches"]
    assert (batch["counts"], caller.get(f"/batches/{batch['batch']}")["made_by"]) == ({"written": 2}, ANA)
    assert [
        each["result"][0]["value"]["choices"] for each in made.annotations(made.tasks[1]) if each["ground_truth"]
    ]


@pytest.fixture
def ruled(tmp_path: Path) -> Caller:
    """The same, where the settings name rules: above 0.9 it is annotated."""
    rules = tmp_path / "auto.toml"
    rules.write_text('source = "suggestions"\naccept_above = 0.9\nreview_below = 0.6\naudit_share = 0.0\n')
    store = Store.migrated(f"sqlite:///{tmp_path}/store.db")
    made = InMemoryProject.judged(people=20, waiting=10, wrong=2)
    run(made.studio, store, ProjectConfig(), PROJECT, now=made.now)
    made.later()
    return Caller(made, store, ProjectConfig(auto=rules))


def event(caller: Caller, **body: object) -> dict[str, Any]:
    """What Label Studio's webhook sends, and the answer."""
    answer = caller.client.post("/webhook", json=body)
    assert answer.status_code == 200, answer.json
    return dict(answer.json)


def test_tasks_that_come_are_annotated_by_the_rules(ruled: Caller) -> None:
    """The answer comes at once, the work after it; of the tasks that came alone."""
    came = ruled.made.tasks[-10:-2]
    body = {"project": {"id": PROJECT, "title": "Made"}, "tasks": [{"id": task, "data": {}} for task in came]}
    assert event(ruled, action="TASKS_CREATED", **body) == {"status": "noted"}
    (job,) = ruled.get("/jobs")["items"]
    done = ruled.ended(job)
    assert (done["kind"], done["made_by"]) == ("auto", "webhook")
    assert done["result"] | {"batches": []} == {"tasks": 8, "accepted": 2, "pending": 6, "batches": []}
    assert [len(ruled.made.annotations(task)) for task in ruled.made.tasks[-10:]] == [1, 1, *[0] * 8]
    assert event(ruled, action="TASKS_CREATED", **body) == {"status": "noted"}
    assert ruled.ended(ruled.get("/jobs")["items"][0])["result"]["accepted"] == 0


def test_other_events_lead_to_nothing(ruled: Caller, caller: Caller) -> None:
    """Nor do tasks of a project without rules; what is no event is refused, and so is who has no token."""
    task = {"id": ruled.made.tasks[-1]}
    for sender, body in (
        (ruled, {"action": "ANNOTATION_CREATED", "project": {"id": PROJECT}, "tasks": [task]}),
        (ruled, {"action": "TASKS_CREATED", "tasks": [task]}),
        (ruled, {"action": "TASKS_CREATED", "project": {"id": PROJECT}, "tasks": []}),
        (caller, {"action": "TASKS_CREATED", "project": {"id": PROJECT}, "tasks": [task]}),
    ):
        assert event(sender, **body) == {"status": "ignored"}
        assert sender.get("/jobs")["items"] == []
    assert ruled.client.post("/webhook", json={"tasks": 1}).status_code == 400
    refused = ruled.client.post("/webhook", json={"action": "x"}, headers={"Authorization": "Bearer guessed"})
    assert refused.status_code == 401


def test_what_a_person_sent_stays_in_the_queue(ruled: Caller) -> None:
    """A look of the rules at all tasks leaves it there, at its place."""
    task = ruled.made.tasks[0]
    ruled.post("/review", tasks=[task])
    auto(ruled.made.studio, ruled.store, ProjectConfig(), read_auto(ruled.config.auto), PROJECT, ruled.made.now)
    assert ruled.get("/queues/pending")["items"][0]["task"] == task
