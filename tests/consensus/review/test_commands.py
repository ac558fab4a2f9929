"""`consensus review` on a shell."""

import json
from collections.abc import Callable

import pytest
from reviewed import DOUBTED, WRONG, edge, label_studio, run_at

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
