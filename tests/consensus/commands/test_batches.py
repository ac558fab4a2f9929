"""`consensus batches`, `consensus undo` and `consensus audit`."""

import json
from collections.abc import Callable
from datetime import timedelta

import pytest
from in_memory_label_studio import region
from made_projects import OWNER, PROJECT, InMemoryProject, items_of

from consensus.assist.batches import perform, plan
from consensus.commands import batches as commands
from consensus.commands.connections import store
from consensus.projects.run import run
from consensus.settings import ProjectConfig

Shell = Callable[..., tuple[int, str, str]]


@pytest.fixture
def made(monkeypatch: pytest.MonkeyPatch) -> InMemoryProject:
    """Three tasks; the commands speak to their Label Studio."""
    made = InMemoryProject(tasks=3)
    monkeypatch.setattr(commands, "studio", made.connected)
    return made


def test_a_batch_is_listed_and_taken_back(made: InMemoryProject, shell: Shell) -> None:
    """A dry run says what would be done; what somebody has changed stays, with exit status 3."""
    opened = store(make=True)
    batch = plan(opened, PROJECT, "accept", items_of(made.tasks), made_by=OWNER, now=made.now())
    perform(made.studio, opened, batch, made.now)
    made.later()
    made.annotations(102)[0].update(updated_at=made.now().isoformat(), updated_by=2)
    status, out, err = shell("undo", batch["id"][:6], "--dry-run")
    assert (status, out.strip()) == (3, f"batch {batch['id']}: 2 would be taken back, 1 stay")
    assert "ann@example.com has changed it" in err
    listed = json.loads(shell("batches", "--project", PROJECT, "--format", "json")[1])
    assert [(row["state"], row["written"]) for row in listed] == [("done", 3)]
    status, out, _ = shell("undo", batch["id"], "--json")
    assert (status, json.loads(out)["undone"]) == (3, 2)
    listed = json.loads(shell("batches", "--project", PROJECT, "--format", "json")[1])
    states = {row["kind"]: (row["state"], row["undone"], row["kept"]) for row in listed}
    assert states["accept"] == ("taken back", 2, 1)


def test_a_batch_that_is_none_is_refused(made: InMemoryProject, shell: Shell) -> None:
    """In one sentence that names the remedy."""
    store(make=True)
    status, _, err = shell("undo", "nothing")
    assert status == 1
    assert "consensus batches" in err
    assert made.server.writes == []


def test_the_story_of_a_task_is_told_in_order(made: InMemoryProject, shell: Shell) -> None:
    """Votes, runs and what was changed between them, decisions, queues and what was taken back."""
    opened = store(make=True)
    vote = made.server.annotate(101, [region("kind", "cat")], completed_by=2)
    made.later()
    run(made.studio, opened, ProjectConfig(), PROJECT, now=made.now)
    made.later()
    vote.update(result=[region("kind", "dog")], updated_at=f"{made.now():%Y-%m-%dT%H:%M:%S.%fZ}")
    made.server.touch(101)
    made.later()
    run(made.studio, opened, ProjectConfig(), PROJECT, now=made.now)
    made.later()
    batch = plan(opened, PROJECT, "accept", items_of([102]), made_by=OWNER, now=made.now())
    entry = {"task": 102, "control": "kind", "priority": 0.5, "detail": {}}
    opened.decisions.refill(PROJECT, "pending", [entry], made.now() - timedelta(minutes=5), "run")
    perform(made.studio, opened, batch, made.now)
    made.later()
    shell("undo", batch["id"])
    words = shell("audit", "--project", PROJECT, "--task", 101)[1]
    first, changed, now = (words.index(text) for text in (
        "ann@example.com says yes to 'cat'",
        "ann@example.com has changed or withdrawn the vote on 'cat'",
        "run 2: 'dog' is in",
    ))  # fmt: skip
    assert first < changed < now
    assert "'owl'" not in words  # that nobody has named
    events = json.loads(shell("audit", "--project", PROJECT, "--task", 102, "--json")[1])["events"]
    assert [event["kind"] for event in events if event["kind"] != "run"] == ["queue", "decision", "decision"]
    assert "accepts 'cat' (suggestion, score 0.900, batch" in events[-2]["words"]
    assert events[-1]["words"].startswith("admin@example.com takes back 'cat' (undo")
    assert "nothing is stored" in shell("audit", "--project", PROJECT, "--task", 999)[1]


def test_a_precision_below_its_target_is_an_exit_status(made: InMemoryProject, shell: Shell) -> None:
    """4, as nothing else; where all is as it was promised, or nothing was judged, it is 0."""
    opened = store(make=True)
    items = [{**item, "evidence": {"score": 0.9, "audit": True}} for item in items_of(made.tasks)]
    params = {"target_precision": 0.9}
    batch = plan(opened, PROJECT, "accept", items, made_by=OWNER, now=made.now(), params=params)
    perform(made.studio, opened, batch, made.now)
    made.later()
    assert shell("audits", "--project", PROJECT)[0] == 0
    for task, label in zip(made.tasks, ("cat", "owl", "cat"), strict=True):
        made.server.annotate(task, [region("kind", label)], completed_by=3, ground_truth=True)
    made.later()
    status, out, _ = shell("audits", "--project", PROJECT, "--format", "json")
    whole = json.loads(out)[0]
    assert (status, whole["judged"], round(whole["precision"], 3), whole["below"]) == (4, 3, 0.667, True)


def test_what_nobody_has_judged_has_no_precision(made: InMemoryProject, shell: Shell) -> None:
    """An empty cell, as the target of a batch that had none."""
    opened = store(make=True)
    items = [{**each, "evidence": {"score": 0.9, "audit": True}} for each in items_of(made.tasks)]
    batch = plan(opened, PROJECT, "accept", items, made_by=OWNER, now=made.now())
    perform(made.studio, opened, batch, made.now)
    status, out, _ = shell("audits", "--project", PROJECT)
    assert (status, batch["id"] in out, "None" in out) == (0, True, False)
