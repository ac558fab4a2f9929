"""`consensus review` on a shell."""

import json
import sys
from collections.abc import Callable

import pytest
import typer
from reviewed import ADMIN, DOUBTED, REVIEWER, WRONG, edge, label_studio, run_at

from consensus.commands import review
from consensus.store.store import Store

Shell = Callable[..., tuple[int, str, str]]


@pytest.fixture
def project(store: Store, monkeypatch: pytest.MonkeyPatch) -> Store:
    """A project after a run, and the Label Studio of the commands."""
    studio = label_studio()
    run_at(studio, store)
    monkeypatch.setattr(review, "studio", lambda: edge(studio))
    monkeypatch.setattr(review, "store", lambda: store)
    return store


@pytest.mark.usefixtures("project")
def test_the_queues_are_counted(shell: Shell) -> None:
    """With what is in them, and which to begin with."""
    status, printed, _ = shell("review", "--project", 7)
    assert status == 0
    lines = [line.split() for line in printed.splitlines()]
    assert ["misclassified", "2"] in [line[1:4:2] for line in lines if len(line) > 3]
    assert printed.endswith("Next: --queue misclassified\n")


@pytest.mark.usefixtures("project")
def test_a_queue_is_listed_in_pages(shell: Shell) -> None:
    """Each begins where the one before ended, as JSON with all that is known of an item."""
    pages = [
        json.loads(
            shell(
                "review", "--project", 7, "--queue", "misclassified", "-n", 1, "--page", page, "--format", "json"
            )[1]
        )
        for page in (1, 2, 3)
    ]
    assert [[item["task"] for item in page] for page in pages] == [[WRONG], [DOUBTED], []]
    assert pages[0][0]["given"] == ["cat"]


@pytest.mark.usefixtures("project")
def test_blind_items_show_nothing_that_others_say(shell: Shell) -> None:
    """Only where they are and what can be chosen."""
    _, printed, _ = shell("review", "--project", 7, "--queue", "spot", "-n", 1, "--format", "csv")
    assert "(judged blind)" in printed
    assert "cat" not in printed


def test_without_a_run_nothing_can_wait(store: Store, shell: Shell, monkeypatch: pytest.MonkeyPatch) -> None:
    """That is said."""
    monkeypatch.setattr(review, "studio", lambda: edge(label_studio()))
    monkeypatch.setattr(review, "store", lambda: store)
    for words in ((), ("--queue", "spot")):
        status, _, errors = shell("review", "--project", 7, *words)
        assert status == 1
        assert "consensus run --project 7" in errors


@pytest.fixture
def keys(monkeypatch: pytest.MonkeyPatch) -> Callable[[str], None]:
    """Lets somebody press keys on a terminal."""

    def press(pressed: str) -> None:
        rest = iter(pressed)
        monkeypatch.setattr(typer, "getchar", lambda: next(rest))
        monkeypatch.setattr(sys.stdin, "isatty", lambda: True)

    return press


def test_a_reviewer_decides_with_keys(project: Store, shell: Shell, keys: Callable[[str], None]) -> None:
    """One item after the other; the last decision is taken back and made again; others are skipped."""
    keys("?wsz" + "2x")
    status, printed, errors = shell(
        "review", "--project", 7, "--interactive", "--as", REVIEWER, "--queue", "misclassified"
    )
    assert (status, errors) == (0, "")
    assert printed.endswith("1 decided.\n")
    verdicts = [(row["task"], row["verdict"], row["label"]) for row in project.decisions.decisions(7)]
    assert verdicts == [(WRONG, "accepted", "dog"), (WRONG, "undone", "dog"), (WRONG, "corrected", "dog")]


def test_blind_items_are_decided_by_a_label(project: Store, shell: Shell, keys: Callable[[str], None]) -> None:
    """Nothing that could be kept or accepted is shown."""
    keys("qw1x")
    _, printed, _ = shell("review", "--project", 7, "--interactive", "--as", REVIEWER, "--queue", "spot")
    assert printed.count("judged blind: choose a label") == 2
    assert "given:" not in printed
    assert [row["label"] for row in project.decisions.decisions(7)] == ["cat"]


def test_keys_need_a_terminal(project: Store, shell: Shell) -> None:
    """What else can be done is said."""
    status, _, errors = shell("review", "--project", 7, "--interactive")
    assert status == 1
    assert "consensus decide" in errors
    assert not project.decisions.decisions(7)


def test_a_decision_on_the_command_line(project: Store, shell: Shell) -> None:
    """It names the batch that takes it back; the second is told who was first, which is status 3."""
    words = ("decide", "--project", 7, "--task", WRONG, "--reason", "a dog")
    status, printed, _ = shell(*words, "--verdict", "accept", "--as", REVIEWER)
    [row] = project.decisions.decisions(7)
    assert status == 0
    assert printed == f"1 decided; `consensus undo {row['batch']}` takes it back\n"
    assert row["reason"] == "a dog"
    status, _, errors = shell(*words, "--verdict", "correct", "--label", "owl")
    assert status == 3
    assert f"{REVIEWER} has decided" in errors
    status, printed, _ = shell(*words, "--verdict", "ask", "--task", DOUBTED, "--override", "--json")
    assert json.loads(printed)["batches"][0]["written"] == 2


def test_work_is_spread_on_the_command_line(project: Store, shell: Shell, keys: Callable[[str], None]) -> None:
    """Reviewers are then shown what is theirs or nobody's."""
    status, printed, _ = shell("assign", "--project", 7, "--to", f"{ADMIN}, {REVIEWER}", "--json")
    assert status == 0
    assert json.loads(printed)["new"] == 23
    theirs = [row["task"] for row in project.decisions.queue(7) if row["assigned_to"] == REVIEWER]
    keys("s" * len(theirs))
    _, printed, _ = shell("review", "--project", 7, "--interactive", "--as", REVIEWER)
    assert sorted(int(line.split()[1]) for line in printed.splitlines() if line.startswith("task ")) == sorted(
        theirs
    )
