"""`consensus auto`, on demand and in a schedule."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from made_projects import PROJECT, InMemoryProject

from consensus.commands import auto as commands
from consensus.commands import scheduling
from consensus.commands.connections import store
from consensus.projects.run import run
from consensus.settings import ProjectConfig, settings

Shell = Callable[..., tuple[int, str, str]]


@pytest.fixture
def made(monkeypatch: pytest.MonkeyPatch) -> InMemoryProject:
    """A project with six open tasks, and rules beside the settings that name them."""
    made = InMemoryProject.judged(people=10, waiting=6, wrong=0)
    monkeypatch.setattr(commands, "studio", made.connected)
    monkeypatch.setattr(commands, "_now", made.now)
    monkeypatch.setattr(scheduling, "_now", made.now)
    Path("rules.toml").write_text("accept_above = 0.8\naudit_share = 0.0\n")
    Path("settings.toml").write_text('[projects.7]\nauto = "rules.toml"\n')
    monkeypatch.setenv("CONSENSUS_CONFIG", str(Path("settings.toml").absolute()))
    run(made.studio, store(make=True), ProjectConfig(), PROJECT, now=made.now)
    made.later()
    return made


def test_rules_are_followed_on_demand(made: InMemoryProject, shell: Shell) -> None:
    """A dry run tells what would be done, gaps by label; then it is done, once."""
    before = len(made.server.writes)
    status, out, _ = shell("auto", "--project", PROJECT, "--config", "rules.toml", "--dry-run")
    assert (status, len(made.server.writes)) == (0, before)
    assert "would be 3 accepted, 3 waiting for people" in out
    assert "kind: cat: 1 between 0 and 0.8 are neither accepted nor refused" in out
    shown = json.loads(shell("auto", "--project", PROJECT, "--json")[1])
    assert made.written(shown["batches"][0]["batch"]) == [111, 112, 113]
    assert json.loads(shell("auto", "--project", PROJECT, "--json")[1])["batches"] == []


def test_without_rules_it_says_where_to_name_them(
    made: InMemoryProject, shell: Shell, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nothing is decided by default."""
    before = len(made.server.writes)
    monkeypatch.delenv("CONSENSUS_CONFIG")
    settings.cache_clear()
    status, _, err = shell("auto", "--project", PROJECT)
    assert status == 1
    assert "--config" in err
    assert len(made.server.writes) == before


def test_a_schedule_follows_the_rules(made: InMemoryProject) -> None:
    """After each run, and it goes on with what was cut off."""
    opened = store()
    scheduling._run_each(made.studio, opened, Path("settings.toml").absolute())
    assert [row["state"] for row in opened.decisions.items(opened.decisions.batches(PROJECT)[0]["id"])] == [
        "written"
    ] * 3
    assert [row["task"] for row in opened.decisions.queue(PROJECT, "pending")] == [114, 115, 116]
    made.later()
    scheduling._run_each(made.studio, opened, Path("settings.toml").absolute())
    assert len(opened.decisions.batches(PROJECT)) == 1
