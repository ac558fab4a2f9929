"""The store, on SQLite and on PostgreSQL."""

import os
import sqlite3
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path

import alembic.command
import alembic.config
import pytest
import sqlalchemy
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from old_databases import upgraded
from sqlalchemy.pool import NullPool
from stored_rows import classifications_in, report_in, votes_in

from consensus.errors import StoreError
from consensus.store import database as module
from consensus.store.columns import Row, as_columns
from consensus.store.database import NEWEST
from consensus.store.store import Store
from consensus.store.tables import CLASSIFICATION, METADATA, VOTE
from consensus.store.vote_history import Coverage

ROOT = Path(__file__).parents[3]
START, END = datetime(2026, 1, 1, tzinfo=UTC), datetime(2026, 1, 2, tzinfo=UTC)


@pytest.fixture(params=["sqlite", pytest.param("postgresql", marks=pytest.mark.server)])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """URL of an empty database."""
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path}/store.db"
    return str(request.getfixturevalue("postgres_database_url"))


@pytest.fixture
def tables(url: str) -> Iterator[sqlalchemy.Connection]:
    """A connection of its own to the same database."""
    engine = sqlalchemy.create_engine(url, poolclass=NullPool)
    with engine.connect() as connection:
        yield connection


def facts(project: int = 7, **more: object) -> Row:
    """A row of the history."""
    return {
        "project": project,
        "started_at": START,
        "model_version": "m1",
        "policy": "default",
        "thresholds": {"confirm": 0.9},
        "tasks": 2,
        "votes": 1,
        "problems": 0,
        **more,
    }


def classification(task: int, label: str = "cat", report: str = "Discovered", confidence: float = 0.5) -> Row:
    """A classification with one vote."""
    counts = {"given": False, "yes": 1, "no": 0, "unsure": 0}
    scores = {"confidence": confidence, "upper": 0.875, "posterior": 0.75, "report": report, "model_share": None}
    return {"control": "kind", "task": task, "label": label, **counts, **scores}


def vote(task: int, **more: object) -> Row:
    """A vote."""
    stand = {"control": "kind", "task": task, "annotator": "a1", "label": "cat", "vote": "yes"}
    origin = {"annotation": 1, "voted_at": "2026-01-01", "lead_time": None, "from_prediction": None}
    return {**stand, **origin, **more}


def annotator(name: str, trust: float) -> Row:
    """An annotator."""
    return {"control": "kind", "annotator": name, "votes": 1, "trust": trust}


def save(
    store: Store,
    run: Row,
    classifications: list[Row],
    votes: list[Row],
    *more: list[Row],
    coverage: Coverage | None = None,
) -> int:
    """Save rows."""
    columns = as_columns(CLASSIFICATION, classifications), as_columns(VOTE, votes)
    return store.save(run, *columns, *more, coverage=coverage)


def test_what_was_saved_is_read(url: str) -> None:
    """Reports come most confident first, annotators most trusted first, with letters of any script."""
    store = Store.migrated(url)
    rows = [classification(1, "žirafa 🦒", confidence=0.25), classification(2), classification(3, report="")]
    run = save(store, facts(), rows, [vote(2), vote(1, label="")], [annotator("a1", 0.5), annotator("a2", 0.75)])
    assert report_in(store, 7, "Discovered") == [rows[1], rows[0]]
    assert report_in(store, 7, "NoVotes") == []
    assert [row["annotator"] for row in store.annotators(run)] == ["a2", "a1"]
    assert [(row["task"], row["label"]) for row in votes_in(store, 7)] == [(1, ""), (2, "cat")]


def test_many_rows_are_those_that_were_saved(url: str) -> None:
    """Characters that mean something where rows are sent in one piece are kept; what is missing stays so."""
    store = Store.migrated(url)
    labels = ["tab\there", "line\nbreak", "return\r", "back\\slash", "\\N", "\\.", "", '"quoted",', "žirafa"]
    rows = [classification(task, label, report="") for task in range(300) for label in labels]
    votes = [vote(task, label=label, lead_time=None) for task in range(300) for label in labels]
    save(store, facts(), rows, votes, [])
    assert {(row["task"], row["label"]) for row in classifications_in(store, 7)} == {
        (row["task"], row["label"]) for row in rows
    }
    assert {(row["label"], row["lead_time"]) for row in votes_in(store, 7)} == {(label, None) for label in labels}


def test_what_a_run_learned_is_there_for_the_next(url: str) -> None:
    """Each control's bytes come back as they were, one without any is left out, the next run replaces them."""
    store = Store.migrated(url)
    controls = [
        {"control": name, "kind": "choices", "choice": "single", "labels": ["cat"], "learned": written}
        for name, written in (("kind", b"\x00\xffbytes"), ("colour", None))
    ]
    save(store, facts(), [], [], [], controls)
    assert store.learned(7) == {"kind": b"\x00\xffbytes"}
    save(store, facts(), [], [], [], [{**controls[0], "learned": b"new"}])
    assert (store.learned(7), store.learned(8)) == ({"kind": b"new"}, {})


def test_a_later_run_replaces_votes_and_classifications_of_its_project_alone(url: str) -> None:
    """The other project keeps its own, and the history keeps the earlier run with its trust."""
    store = Store.migrated(url)
    first = save(store, facts(), [classification(1)], [vote(1)], [annotator("a1", 0.5)])
    save(store, facts(8), [classification(1)], [vote(1)], [])
    second = save(store, facts(votes=0), [classification(2)], [], [annotator("a1", 0.25)])
    assert [row["task"] for row in report_in(store, 7, "Discovered")] == [2]
    assert (votes_in(store, 7), len(votes_in(store, 8)), len(report_in(store, 8, "Discovered"))) == ([], 1, 1)
    assert [store.annotators(run)[0]["trust"] for run in (first, second)] == [0.5, 0.25]
    assert second > first


def test_the_history_knows_the_latest_run_and_whether_it_was_finished(url: str) -> None:
    """No run, an unfinished one, a finished one."""
    store = Store.migrated(url)
    assert store.last_run(7) is None
    run = save(store, facts(), [], [], [])
    unfinished = store.last_run(7)
    assert unfinished is not None
    assert (unfinished["finished_at"], unfinished["model_version"]) == (None, "m1")
    store.finish(run, END)
    last = store.last_run(7)
    assert last is not None
    assert (last["id"], last["finished_at"].replace(tzinfo=UTC)) == (run, END)
    assert last["thresholds"] == {"confirm": 0.9}


def test_a_save_that_fails_changes_nothing(url: str) -> None:
    """All or nothing: a broken row leaves the votes, the classifications and the history of before."""
    store = Store.migrated(url)
    run = save(store, facts(), [classification(1)], [vote(1)], [annotator("a1", 0.5)])
    for broken in (
        ([classification(2), classification(2)], [], []),
        ([classification(2)], [vote(2, vote=None)], []),
        ([classification(2)], [vote(2)], [annotator("a1", 0.5), annotator("a1", 0.25)]),
    ):
        with pytest.raises(StoreError, match="cannot be used"):
            save(store, facts(), *broken)
    last = store.last_run(7)
    assert last is not None
    assert last["id"] == run
    assert [row["task"] for row in report_in(store, 7, "Discovered")] == [1]
    assert [row["task"] for row in votes_in(store, 7)] == [1]


@pytest.mark.filterwarnings("ignore:Skipped unsupported reflection of expression-based index")
@pytest.mark.filterwarnings("ignore:autogenerate skipping metadata-specified expression-based index")
def test_migrations_lead_to_the_tables_that_the_code_knows(url: str, tables: sqlalchemy.Connection) -> None:
    """Nothing is left for another migration, also when the database is opened again."""
    Store.migrated(url)
    Store.migrated(url)
    options = {"compare_type": True, "compare_server_default": True}
    assert compare_metadata(MigrationContext.configure(tables, opts=options), METADATA) == []


def test_the_newest_version_is_the_last_of_the_migrations() -> None:
    """A database that is up to date by its number is so by its tables."""
    assert ScriptDirectory(str(ROOT / "consensus" / "store" / "migrations")).get_heads() == [NEWEST]


def test_votes_of_the_first_version_are_in_the_ledger_since_their_run(url: str) -> None:
    """Once each, as answers or unsure, and of their project's last run; the next run enters none of them again."""
    engine = upgraded(url, "0001")
    with engine.begin() as connection:
        old = sqlalchemy.MetaData()
        old.reflect(connection)
        runs = [{**facts(project), "started_at": at} for project, at in ((7, START), (7, END), (8, START))]
        connection.execute(old.tables["run"].insert(), runs)
        votes = [
            {**vote(task, label=label, vote=stand), "project": project}
            for project, task, label, stand in (
                (7, 1, "fur", "yes"), (7, 1, "tail", "yes"), (7, 2, "", "unsure"), (8, 1, "", "no"),
            )
        ]  # fmt: skip
        connection.execute(old.tables["vote"].insert(), votes)
    store = Store.migrated(url)
    entries = store.ledger(7, START, END.replace(year=2027))
    found = {(row["task"], row["kind"], row["since"].replace(tzinfo=UTC), row["until"]) for row in entries}
    assert found == {(1, "answer", END, None), (2, "unsure", END, None)}
    assert len(store.ledger(8, START, END)) == 1
    again = [vote(1, label="fur"), vote(2, label="", vote="unsure")]
    save(
        store,
        facts(started_at=END.replace(day=9)),
        [],
        again,
        [],
        coverage=Coverage(frozenset({1, 2}), frozenset({"kind"})),
    )
    assert len(store.ledger(7, START, END.replace(year=2027))) == 2


def test_a_migration_can_be_taken_back(url: str, tables: sqlalchemy.Connection) -> None:
    """Down to the first version and up again, with a vote in it."""
    save(Store.migrated(url), facts(), [], [vote(1)], [annotator("a1", 0.5)])
    config = alembic.config.Config()
    config.set_main_option("script_location", str(ROOT / "consensus" / "store" / "migrations"))
    config.attributes["connection"] = tables
    alembic.command.downgrade(config, "0001")
    tables.commit()
    assert not {"ledger", "control"} & set(sqlalchemy.inspect(tables).get_table_names())
    tables.rollback()
    assert [row["task"] for row in votes_in(Store.migrated(url), 7)] == [1]


def test_the_ledger_notes_when_a_vote_came_and_went(url: str) -> None:
    """Seen by the first run, missed by the second, there again in the third; the other vote stands throughout."""
    store = Store.migrated(url)
    coverage = Coverage(frozenset({1, 2}), frozenset({"kind"}))
    days = [START.replace(day=day) for day in (1, 2, 3)]
    for day, votes in zip(days, ([vote(1), vote(2)], [vote(2)], [vote(1), vote(2)]), strict=True):
        save(store, facts(started_at=day), [], votes, [], coverage=coverage)
    rows = store.ledger(7, START, START.replace(year=2027))
    found = {
        (row["task"], row["since"].replace(tzinfo=UTC), row["until"] and row["until"].replace(tzinfo=UTC))
        for row in rows
    }
    assert found == {(1, days[0], days[1]), (1, days[2], None), (2, days[0], None)}
    assert [row["task"] for row in store.ended_before(7, days[2])] == [1]
    assert store.runs_between(7, days[0], days[2]) == 2


def test_a_run_does_not_start_before_the_one_before_it(url: str) -> None:
    """Where the clock goes back, the history and the ledger do not; what was read of a past day stays true."""
    store = Store.migrated(url)
    coverage = Coverage(frozenset({1, 2}), frozenset({"kind"}))
    save(store, facts(started_at=END), [], [vote(1)], [annotator("a1", 0.5)], coverage=coverage)
    save(store, facts(started_at=START), [], [vote(1), vote(2)], [annotator("a1", 0.25)], coverage=coverage)
    assert [row["task"] for row in store.ledger(7, START, END)] == []
    assert len(store.ledger(7, END, END.replace(day=3))) == 2
    assert store.annotators_before(7, END) == []
    assert store.annotators_before(7, END.replace(day=3))[0]["trust"] == 0.25


def test_trust_before_a_moment_is_that_of_the_last_run_that_knows_the_annotator(url: str) -> None:
    """Somebody whose votes are all gone keeps the trust of before; later runs do not count."""
    store = Store.migrated(url)
    days = [START.replace(day=day) for day in (1, 2, 3)]
    save(store, facts(started_at=days[0]), [], [], [annotator("a1", 0.1), annotator("a2", 0.2)])
    save(store, facts(started_at=days[1]), [], [], [annotator("a1", 0.3)])
    save(store, facts(started_at=days[2]), [], [], [annotator("a1", 0.9)])
    found = {row["annotator"]: row["trust"] for row in store.annotators_before(7, days[2])}
    assert found == {"a1": 0.3, "a2": 0.2}
    assert [row["trust"] for row in store.trust_history(7) if row["annotator"] == "a1"] == [0.1, 0.3, 0.9]


def test_a_store_is_read_while_another_writes(tmp_path: Path) -> None:
    """Opening a database that is up to date takes no lock of writers, and neither does a report."""
    url = f"sqlite:///{tmp_path}/store.db"
    save(Store.migrated(url), facts(), [classification(1)], [], [])
    with closing(sqlite3.connect(tmp_path / "store.db", isolation_level=None)) as writer:
        writer.execute("BEGIN IMMEDIATE")
        writer.execute("DELETE FROM classification")
        assert [row["task"] for row in report_in(Store.migrated(url), 7, "Discovered")] == [1]
        writer.execute("ROLLBACK")


def test_a_writer_that_does_not_end_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Who has to write, as a database without tables makes necessary, waits for a while and then says why."""
    monkeypatch.setattr(module, "CONNECT_SECONDS", 0.1)
    with closing(sqlite3.connect(tmp_path / "store.db", isolation_level=None)) as writer:
        writer.execute("BEGIN IMMEDIATE")
        with pytest.raises(StoreError, match=r"store.db cannot be used: database is locked"):
            Store.migrated(f"sqlite:///{tmp_path}/store.db")


@pytest.mark.server
def test_a_statement_does_not_wait_for_ever(postgres_database_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """A table that somebody holds, and a server that does not get done, end a statement."""
    monkeypatch.setattr(module, "LOCK_SECONDS", 1)
    store = Store.migrated(postgres_database_url)
    engine = sqlalchemy.create_engine(postgres_database_url, poolclass=NullPool)
    with engine.connect() as other:
        other.execute(sqlalchemy.text("LOCK TABLE run IN ACCESS EXCLUSIVE MODE"))
        with pytest.raises(StoreError, match="lock timeout"):
            save(store, facts(), [], [], [])
    assert save(store, facts(), [], [], []) == 1
    monkeypatch.setattr(module, "STATEMENT_SECONDS", 1)
    with (
        pytest.raises(StoreError, match="statement timeout"),
        module.Database(postgres_database_url).reading() as connection,
    ):
        connection.execute(sqlalchemy.select(sqlalchemy.func.pg_sleep(30)))


@pytest.mark.server
def test_options_of_the_url_are_kept(postgres_database_url: str) -> None:
    """A schema that the URL names is where the tables are."""
    engine = sqlalchemy.create_engine(postgres_database_url, poolclass=NullPool)
    with engine.begin() as connection:
        connection.execute(sqlalchemy.text("CREATE SCHEMA votes"))
    url = sqlalchemy.make_url(postgres_database_url).update_query_dict({"options": "-c search_path=votes"})
    save(Store.migrated(url.render_as_string(hide_password=False)), facts(), [], [], [])
    with engine.connect() as connection:
        assert connection.execute(sqlalchemy.text("SELECT count(*) FROM votes.run")).scalar() == 1
        assert sqlalchemy.inspect(connection).get_table_names() == []


def test_a_migration_that_fails_leaves_no_table(url: str, tables: sqlalchemy.Connection) -> None:
    """A process that ends while it makes the tables leaves an empty database, which the next one can use."""

    def cut(_connection: object, clause: object, *_: object) -> None:
        if isinstance(clause, sqlalchemy.schema.CreateTable) and clause.element.name == "vote":
            raise sqlalchemy.exc.OperationalError("", {}, Exception("cut"))

    sqlalchemy.event.listen(sqlalchemy.Engine, "before_execute", cut)
    try:
        with pytest.raises(StoreError, match="cut"):
            Store.migrated(url)
    finally:
        sqlalchemy.event.remove(sqlalchemy.Engine, "before_execute", cut)
    assert sqlalchemy.inspect(tables).get_table_names() == []
    tables.rollback()
    assert Store.migrated(url).last_run(7) is None


def test_processes_that_start_together_take_turns(url: str) -> None:
    """Of several that make the tables at once none fails."""
    faults: list[Exception] = []

    def start() -> None:
        try:
            Store.migrated(url)
        except StoreError as error:
            faults.append(error)

    threads = [threading.Thread(target=start) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert faults == []


def test_a_project_is_held_by_one_run_at_a_time(url: str) -> None:
    """The same project is refused meanwhile, another is not; afterwards it is free, also after a failure."""
    store, other = Store.migrated(url), Store.migrated(url)
    with store.lock(7):
        with pytest.raises(
            StoreError, match="another run is at work on project 7; wait for it to end, or stop it"
        ):
            other.lock(7).__enter__()
        with other.lock(8):
            pass
    with pytest.raises(ZeroDivisionError), other.lock(7):
        raise ZeroDivisionError
    with store.lock(7):
        pass


def test_a_project_is_free_once_its_holder_is_dead(url: str) -> None:
    """A process that is killed gives the lock back by that."""
    program = (
        "import sys, time; from consensus.store.store import Store\n"
        f"with Store.migrated({url!r}).lock(7):\n    print('held', flush=True); time.sleep(600)"
    )
    store = Store.migrated(url)
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    with subprocess.Popen([sys.executable, "-c", program], env=environment, stdout=subprocess.PIPE) as holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == b"held\n"
        with pytest.raises(StoreError, match="another run is at work"), store.lock(7):
            pass
        holder.kill()
        holder.wait()
    for attempt in range(50):
        try:
            with store.lock(7):
                break
        except StoreError:  # a server notices a moment later
            assert attempt < 49
            threading.Event().wait(0.1)


def test_one_database_by_two_paths_is_one_lock(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A relative path, an absolute one and a link to the file."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "link.db").symlink_to("store.db")
    urls = ["sqlite:///store.db", f"sqlite:///{tmp_path}/store.db", "sqlite:///link.db"]
    stores = [Store.migrated(url) for url in urls]
    with stores[0].lock(7):
        for store in stores[1:]:
            with pytest.raises(StoreError, match="another run is at work"):
                store.lock(7).__enter__()


def test_a_run_that_lost_its_lock_stores_nothing(url: str, tmp_path: Path, tables: sqlalchemy.Connection) -> None:
    """Somebody else holds the project now: the one of before is refused before each write."""
    first, second = Store.migrated(url), Store.migrated(url)
    with first.lock(7):
        first.check(7)
        if "sqlite" in url:
            (tmp_path / "store.db.project-7.lock").unlink()
        else:
            end = "SELECT pg_terminate_backend(pid) FROM pg_locks WHERE locktype = 'advisory'"
            tables.execute(sqlalchemy.text(end))
            tables.rollback()
            with pytest.raises(StoreError, match="cannot be used"):
                first.check(7)
        with second.lock(7):
            with pytest.raises(
                StoreError, match="another run has taken over project 7" if "sqlite" in url else "cannot"
            ):
                first.check(7)
            with pytest.raises(StoreError, match="another run has taken over project 7"):
                save(first, facts(), [], [], [])
            second.check(7)
            save(second, facts(), [], [], [])


def test_a_project_of_another_label_studio_is_refused(url: str) -> None:
    """Its number is the same, but it was made at another time; a server that moved is the same one."""
    store = Store.migrated(url)
    store.recognize(1, "http://here", "2026-01-01")
    store.recognize(1, "http://moved", "2026-01-01")
    store.recognize(2, "http://here", "2026-01-05")
    with pytest.raises(StoreError, match=r"made at another time, by .* at http://moved.* CONSENSUS_DATABASE_URL"):
        store.recognize(1, "http://reset", "2026-02-01")
    with store.lock(1):
        store.recognize(1, "http://moved", "2026-01-01")


def test_a_store_that_knows_only_the_second_of_a_project_learns_the_moment(url: str) -> None:
    """As a version of consensus kept it; from then on another project of the same second is refused."""
    store = Store.migrated(url)
    store.recognize(1, "http://here", "1793491200")
    store.recognize(1, "http://here", "2026-11-01T00:00:00.25+00:00")
    with pytest.raises(StoreError, match="made at another time"):
        store.recognize(1, "http://here", "2026-11-01T00:00:00.5+00:00")


def test_the_store_knows_whose_annotation_it_was(url: str) -> None:
    """The account is gone, its vote withdrawn or under a made-up name: the name that was known counts."""
    store = Store.migrated(url)
    coverage = Coverage(frozenset({1, 2}), frozenset({"kind"}))
    save(store, facts(), [], [vote(1, annotation=5), vote(2, annotation=6, annotator="a2")], [], coverage=coverage)
    gone = vote(1, annotation=5, annotator="account unknown of annotation 5")
    save(store, facts(), [], [gone], [], coverage=coverage)
    assert store.annotators_of(7, {5, 6, 7}) == {5: "a1", 6: "a2"}
    assert store.annotators_of(8, {5}) == {}


@pytest.mark.server
def test_the_holder_of_a_project_is_in_no_transaction(postgres_database_url: str) -> None:
    """A server that ends idle transactions would end the lock with it."""
    query = sqlalchemy.text(
        "SELECT state FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()"
    )
    engine = sqlalchemy.create_engine(postgres_database_url, poolclass=NullPool)
    with Store.migrated(postgres_database_url).lock(7), engine.connect() as watching:
        assert watching.execute(query).scalars().all() == ["idle"]


def test_a_database_of_a_newer_version_is_refused(url: str, tables: sqlalchemy.Connection) -> None:
    """The message says what to use instead."""
    Store.migrated(url)
    tables.execute(sqlalchemy.text("UPDATE alembic_version SET version_num = '9999'"))
    tables.commit()
    with pytest.raises(
        StoreError, match=r"are of another version .*9999.*; use the version of consensus that made"
    ):
        Store.migrated(url)


@pytest.mark.parametrize(
    "url",
    [
        "postgresql+psycopg2://a1:s3cret@127.0.0.1:1/votes",
        "postgresql+psycopg2://a1@127.0.0.1:1/votes?password=s3cret",
        "postgresql+psycopg2://a1:s3cret@127.0.0.1:port/votes",
        "postgresql+psycopg2://a1:s3cret@/votes?host=/nowhere&nonsense=s3cret",
        "mysql+nodriver://a1:s3cret@h/votes",
        "s3cret",
        "",
    ],
)
def test_no_password_is_in_an_error(url: str) -> None:
    """A database that cannot be used is refused in one line that holds no password."""
    with pytest.raises(StoreError) as error:
        Store.migrated(url)
    assert "s3cret" not in str(error.value)
    assert "\n" not in str(error.value)
    assert any(words in str(error.value) for words in ("cannot be used", "; use sqlite:////"))
    assert error.value.__cause__ is None
    assert error.value.__suppress_context__ or error.value.__context__ is None


@pytest.mark.server
def test_a_wrong_password_is_refused_without_it(postgres_database_url: str) -> None:
    """Neither the right nor the wrong one is in the message of a real server."""
    wrong = sqlalchemy.make_url(postgres_database_url).set(username="nobody", password="s3cret")
    with pytest.raises(StoreError, match="nobody") as error:
        Store.migrated(wrong.render_as_string(hide_password=False))
    assert "s3cret" not in str(error.value)


@pytest.mark.parametrize("url", ["sqlite://", "sqlite:///:memory:"])
def test_a_database_in_memory_is_refused(url: str) -> None:
    """It would be forgotten between two connections."""
    with pytest.raises(StoreError, match="in memory is forgotten at once; name a file"):
        Store.migrated(url)
    assert list(Path().iterdir()) == []


def test_a_file_that_cannot_be_used_is_named(tmp_path: Path) -> None:
    """A missing folder, a folder and a file that is no database are refused by their name, with the remedy."""
    with pytest.raises(
        StoreError, match=r"missing/store.db cannot be used: there is no folder .*missing; make it"
    ):
        Store(f"sqlite:///{tmp_path}/missing/store.db")
    with pytest.raises(StoreError, match="cannot be used: it is a folder; name a file"):
        Store(f"sqlite:///{tmp_path}")
    (tmp_path / "text.db").write_text("this is no database, but a text of some length\n" * 50)
    with pytest.raises(StoreError, match=r"text.db cannot be used: file is not a database"):
        Store(f"sqlite:///{tmp_path}/text.db")


def test_an_at_in_the_password_is_refused_and_not_shown() -> None:
    """What comes after it would be taken for the host, and shown in errors."""
    with pytest.raises(StoreError, match="an @ in its password; write it as %40") as caught:
        Store("postgresql+psycopg2://user:s3@cret@127.0.0.1/name")
    assert "cret" not in str(caught.value)
