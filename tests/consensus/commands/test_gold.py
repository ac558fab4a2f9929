"""`consensus gold` on a shell."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from in_memory_label_studio import InMemoryStudio, choices, config, region

from consensus.commands import connections, gold
from consensus.label_studio import Studio
from consensus.projects.run import run
from consensus.settings import ProjectConfig
from consensus.store.store import Store

Shell = Callable[..., tuple[int, str, str]]
GOOD, BAD = "good@example.com", "bad@example.com"


@pytest.fixture
def studio(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> InMemoryStudio:
    """Twelve tasks with a star of the administrator, of which one annotator has ten right and another none."""
    made = InMemoryStudio(config(choices("kind", "cat", "dog")))
    made.accounts |= {2: GOOD, 3: BAD}
    for number in range(1, 13):
        made.add_task({"image": "i", "label": "cat"}, task_id=number, is_labeled=True)
        made.annotate(number, [region("kind", "cat")], ground_truth=True)
        for account, label in ((2, "cat"), (3, "dog")) if number <= 10 else ():
            made.annotate(number, [region("kind", label)], completed_by=account)
    edge = Studio(made.client(), "of a test", lambda _: None)
    store = Store.migrated(f"sqlite:///{tmp_path}/consensus.db")
    run(edge, store, ProjectConfig(), 7, now=lambda: made.now)
    monkeypatch.setattr(gold, "studio", lambda: edge)
    monkeypatch.setattr(connections, "studio", lambda: edge)
    return made


def test_known_answers_are_opened_and_shortfalls_named(studio: InMemoryStudio, shell: Shell) -> None:
    """With the remedy, and what takes it back."""
    status, printed, errors = shell("gold", "--project", 7, "--share", 0.4, "--line", 0.7)
    assert status == 0
    assert "12 tasks have a known answer" in printed
    assert "2 opened, to 4 annotators in all" in printed
    assert "consensus undo" in printed
    assert f"{BAD} is right on 0 of 10 known answers of kind (0% to 28%), below the line of 70%" in errors
    assert f'"{BAD}" = 0 under [trust]' in errors
    assert GOOD not in errors
    assert [number for number, task in studio.tasks.items() if not task["is_labeled"]] == [11, 12]


def test_a_dry_run_and_no_share_open_nothing(studio: InMemoryStudio, shell: Shell) -> None:
    """The second says why."""
    shown = json.loads(shell("gold", "--project", 7, "--share", 0.4, "--dry-run", "--json")[1])
    assert [row["task"] for row in shown["served"]["opened"]] == [11, 12]
    assert shown["below"] == []
    assert "nothing is opened without a share" in shell("gold", "--project", 7)[1]
    assert all(task["is_labeled"] for task in studio.tasks.values())


@pytest.mark.usefixtures("studio")
def test_annotators_shows_what_was_right(shell: Shell, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """With the interval; and names who is below the line of the settings."""
    settings = tmp_path / "consensus.toml"
    settings.write_text("[review]\ngold_line = 0.7\n")
    monkeypatch.setenv("CONSENSUS_CONFIG", str(settings))
    _, printed, errors = shell("annotators", "--project", 7)
    assert "10 of 10 (0.72 to 1.00)" in printed
    assert "0 of 10 (0.00 to 0.28)" in printed
    assert "below the line of 70%" in errors
    rows = json.loads(shell("annotators", "--project", 7, "--format", "json")[1])
    assert {row["annotator"]: row["gold_high"] for row in rows}[BAD] == pytest.approx(0.278, abs=0.001)
