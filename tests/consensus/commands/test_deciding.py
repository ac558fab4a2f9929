"""`consensus suggestions` and `consensus accept`."""

import io
import json
from collections.abc import Callable

import httpx
import pytest
from made_projects import PROJECT, InMemoryProject

from consensus.commands import deciding as commands
from consensus.commands.connections import store
from consensus.projects.run import run
from consensus.settings import ProjectConfig

Shell = Callable[..., tuple[int, str, str]]


@pytest.fixture
def made(monkeypatch: pytest.MonkeyPatch) -> InMemoryProject:
    """A project that had a run; the commands speak to its Label Studio."""
    made = InMemoryProject.judged(people=10, waiting=6, wrong=1)
    monkeypatch.setattr(commands, "studio", made.connected)
    monkeypatch.setattr(commands, "_now", made.now)
    run(made.studio, store(make=True), ProjectConfig(), PROJECT, now=made.now)
    made.later()
    return made


def test_suggestions_are_listed(made: InMemoryProject, shell: Shell) -> None:
    """Those of tasks that nobody has annotated, the surest first; others after them where they are asked for."""
    assert made.tasks
    rows = json.loads(shell("suggestions", "--project", PROJECT, "--format", "json")[1])
    assert [row["task"] for row in rows] == [111, 112, 113, 114, 115, 116]
    rows = json.loads(shell("suggestions", "--project", PROJECT, "--annotated", "--format", "json")[1])
    assert ([row["annotated"] for row in rows].index(True), len(rows)) == (6, 16)
    chosen = shell("suggestions", "--project", PROJECT, "--label", "dog", "--min-score", 0.7, "--format", "csv")[1]
    assert [line.split(",")[:3] for line in chosen.split()[1:]] == [["112", "kind", "dog"], ["114", "kind", "dog"]]


def test_a_dry_run_tells_what_to_expect(made: InMemoryProject, shell: Shell) -> None:
    """How many, what share is wrong with its interval and grounds, and a sample; nothing is sent."""
    before = len(made.server.writes)
    status, out, _ = shell("accept", "--project", PROJECT, "--suggestions", "--above", 0.6, "--dry-run")
    assert status == 0
    assert "5 would be accepted" in out
    assert "from 8 suggestions that were made before people judged their task: 0 decided, 8 by" in out
    assert "A sample" in out
    assert len(made.server.writes) == before


def test_what_is_accepted_can_be_taken_back(made: InMemoryProject, shell: Shell) -> None:
    """The batch and how to undo it are named; a second time there is nothing to accept."""
    words = ("accept", "--project", PROJECT, "--suggestions", "--above", 0.6, "--audit-share", 0)
    shown = json.loads(shell(*words, "--yes", "--json")[1])
    assert [batch["counts"] for batch in shown["batches"]] == [{"written": 5}]
    assert made.written(shown["batches"][0]["batch"]) == [111, 112, 113, 114, 115]
    assert "Nothing to accept" in shell(*words, "--yes")[1]


@pytest.mark.parametrize("answer", ["", "n\n"])
def test_nothing_is_accepted_without_a_yes(
    made: InMemoryProject, shell: Shell, monkeypatch: pytest.MonkeyPatch, answer: str
) -> None:
    """Where the answer is no, or nobody answers, nothing is sent."""
    before = len(made.server.writes)
    monkeypatch.setattr("sys.stdin", io.StringIO(answer))
    status, out, _ = shell("accept", "--project", PROJECT, "--suggestions", "--above", 0.6)
    assert status == (0 if answer else 1)
    assert "written" not in out
    assert len(made.server.writes) == before


def test_a_precision_that_cannot_be_promised_is_told(made: InMemoryProject, shell: Shell) -> None:
    """By label, with what it would take."""
    assert made.tasks
    status, out, err = shell(
        "accept", "--project", PROJECT, "--suggestions", "--target-precision", 0.9, "--dry-run"
    )
    assert status == 0
    assert "0 would be accepted" in out
    assert "not promised: kind: cat: 5 of its suggestions have been judged since; 0.9 takes at least 36" in err


@pytest.mark.parametrize(
    ("words", "named"),
    [
        ((), "--suggestions or --proposals"),
        (("--suggestions", "--json"), "add --yes"),
        (("--suggestions",), "--above"),
    ],
)
def test_a_call_that_says_nothing_is_refused(
    made: InMemoryProject, shell: Shell, words: tuple[str, ...], named: str
) -> None:
    """In one sentence that says what to add."""
    before = len(made.server.writes)
    status, _, err = shell("accept", "--project", PROJECT, *words)
    assert status == 1
    assert named in " ".join(err.split())
    assert len(made.server.writes) == before


def test_a_batch_that_was_cut_off_goes_on(made: InMemoryProject, shell: Shell) -> None:
    """Before anything else is accepted, and it is told."""
    made.server.faults["POST tasks/114/annotations"] = KeyboardInterrupt()
    words = (
        "accept",
        "--project",
        PROJECT,
        "--suggestions",
        "--above",
        0.6,
        "--audit-share",
        0,
        "--yes",
        "--json",
    )
    shell(*words)
    del made.server.faults["POST tasks/114/annotations"]
    shown = json.loads(shell(*words)[1])
    assert [batch["counts"] for batch in shown["batches"]] == [{"written": 5}]
    assert made.written(shown["batches"][0]["batch"]) == [111, 112, 113, 114, 115]


@pytest.mark.parametrize("take", ["--suggestions", "--proposals"])
@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (("--label", "bird"), "'bird' is a label of no control of project 7: kind has cat, dog, owl"),
        (("--control", "mood"), "project 7 has no control 'mood'; it has kind"),
        (("--audit-share", "nan"), "Invalid value for '--audit-share'"),
        (("--above", "nan"), "--above is nan; use a number between 0 and 1"),
        (("--target-precision", "nan"), "--target-precision is nan"),
    ],
)
def test_names_and_numbers_that_are_none_are_refused(
    made: InMemoryProject, shell: Shell, take: str, words: tuple[str, str], sentence: str
) -> None:
    """Of suggestions and of proposals, also where nothing would be accepted."""
    assert made.tasks
    above = () if "--target-precision" in words else ("--above", 0.6)
    status, _, err = shell("accept", "--project", PROJECT, take, *above, *words, "--dry-run")
    assert status in (1, 2)
    assert sentence in " ".join(err.split())


def test_suggestions_of_a_label_that_is_not_there(made: InMemoryProject, shell: Shell) -> None:
    """Are not none: the labels that are there are named."""
    assert made.tasks
    status, _, err = shell("suggestions", "--project", PROJECT, "--label", "bird")
    assert (status, "kind has cat, dog, owl" in err) == (1, True)
    assert shell("suggestions", "--project", PROJECT, "--min-score", "nan")[0] == 2


def test_what_was_accepted_is_told_where_the_tabs_cannot_be_changed(made: InMemoryProject, shell: Shell) -> None:
    """With the batch, by which it is taken back."""
    made.server.faults["GET dm/views"] = httpx.Response(503, json={"detail": "busy"})
    status, out, err = shell("accept", "--project", PROJECT, "--suggestions", "--above", 0.6, "--yes")
    assert status == 0
    assert "5 written, 0 left; `consensus undo" in out
    assert "note: the tabs of the queues were not changed: " in err
