"""Where the store lies."""

import re
from pathlib import Path

import pytest
from in_memory_label_studio import NOW, InMemoryStudio, choices, config, region

from common.errors import LabelStudioError, SettingsError
from consensus.commands import connections
from consensus.label_studio import Studio
from consensus.settings import ProjectConfig, default_store, settings
from consensus.store.store import Store


def test_the_store_is_the_same_wherever_the_command_is_run(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """One of the account, and a word where it is made: else another folder would begin another pay ledger."""
    monkeypatch.delenv("CONSENSUS_DATABASE_URL")
    connections.store(make=True)
    assert capsys.readouterr().err.replace("\n", "").endswith(f"a new one is made at {default_store()}")
    other = tmp_path / "other"
    other.mkdir()
    monkeypatch.chdir(other)
    connections.store(make=True)
    assert (list(other.iterdir()), capsys.readouterr().err) == ([], "")


def test_a_store_of_an_earlier_version_is_not_passed_over(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """It was made where the command was run; what is to be done is said, and no second one is begun."""
    monkeypatch.delenv("CONSENSUS_DATABASE_URL")
    Path("consensus.db").touch()
    with pytest.raises(SettingsError, match=f"set CONSENSUS_DATABASE_URL=sqlite:///{tmp_path}/consensus.db"):
        connections.store(make=True)
    assert not default_store().exists()


@pytest.mark.parametrize("make", [True, False])
def test_a_folder_that_cannot_be_made_is_named(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, *, make: bool
) -> None:
    """Also by a command that only reads: what to do is said, without a traceback."""
    (tmp_path / "file").touch()
    monkeypatch.setenv("XDG_DATA_HOME", f"{tmp_path}/file")
    monkeypatch.delenv("CONSENSUS_DATABASE_URL")
    settings.cache_clear()
    with pytest.raises(SettingsError, match=r"file/consensus cannot be made: Not a directory; let this account"):
        connections.store(make=make)


def test_a_relative_file_is_relative_to_the_file_that_names_it(monkeypatch: pytest.MonkeyPatch) -> None:
    """In `.env` it means the folder of `.env`; exported, it would be another store in each folder."""
    monkeypatch.setenv("CONSENSUS_DATABASE_URL", "sqlite:///mine.db")
    with pytest.raises(SettingsError, match="which is another file in each folder; name it from the root"):
        connections.store()
    monkeypatch.delenv("CONSENSUS_DATABASE_URL")
    Path(".env").write_text("CONSENSUS_DATABASE_URL=sqlite:///mine.db\n")
    settings.cache_clear()
    connections.store(make=True)
    assert Path("mine.db").exists()


@pytest.mark.parametrize("scheme", ["postgresql", "postgres", "postgresql+psycopg", "postgresql+psycopg2"])
def test_any_address_of_postgresql_is_understood(monkeypatch: pytest.MonkeyPatch, scheme: str) -> None:
    """The driver is the one that is installed, whichever an address names."""
    monkeypatch.setenv("CONSENSUS_DATABASE_URL", f"{scheme}://me@127.0.0.1:1/consensus")
    with pytest.raises(Exception, match=re.escape("the database postgresql+psycopg2://me@127.0.0.1:1/consensus")):
        connections.store()


@pytest.mark.parametrize(
    "url", ["postgresql://u:p@/votes?host=/run/postgresql", "postgresql+psycopg2://u:p@db/votes?sslmode=require"]
)
def test_a_server_with_options_is_no_file(monkeypatch: pytest.MonkeyPatch, url: str) -> None:
    """What follows a question mark makes no path of an address."""
    monkeypatch.setenv("CONSENSUS_DATABASE_URL", url)
    assert connections.store_file() is None


def test_what_fails_after_a_run_is_named(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """The run is stored by then, and each of the other steps is done."""

    def refused(*_: object) -> None:
        raise LabelStudioError("Label Studio is away")

    for place in ("consensus.assist.unvoted.fill_unvoted", "consensus.review.tabs.show_queues"):
        monkeypatch.setattr(place, refused)
    made = InMemoryStudio(config(choices("kind", "cat", "dog")))
    made.add_task({"image": "i"}, task_id=1)
    for account, label in enumerate(("cat", "dog"), start=1):
        made.annotate(1, [region("kind", label)], completed_by=account)
    store = Store.migrated(f"sqlite:///{tmp_path}/store.db")
    outcome = connections.run_project(
        Studio(made.client(), "of a test"), store, ProjectConfig(), 7, now=lambda: NOW
    )
    assert outcome.failures == (
        "the queue unvoted was not filled: Label Studio is away",
        "the tabs of the queues were not changed: Label Studio is away",
    )
    assert store.last_run(7) is not None
    assert store.decisions.queue_counts(7)["controversial"] == 1
