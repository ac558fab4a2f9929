"""The command line, in one process; whole runs are tested on a real Label Studio."""

import csv
import json
import os
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime
from importlib.metadata import version
from itertools import pairwise
from pathlib import Path
from typing import Any

import httpx
import pytest
from in_memory_label_studio import URL, InMemoryStudio, choices, config
from old_databases import upgraded

from common.contract import REPORT_NAMES
from common.label_studio.label_config import ChoicesTag, LabelConfig
from consensus import cli
from consensus.commands import scheduling
from consensus.core.decide.writeback import Difference, Entry
from consensus.core.votes.collected import Problem
from consensus.core.votes.controls import Control
from consensus.errors import StoreError
from consensus.label_studio import Project, Studio
from consensus.projects.run import Outcome
from consensus.store.columns import as_columns
from consensus.store.database import NEWEST
from consensus.store.store import Store
from consensus.store.tables import CLASSIFICATION, VOTE

TAG = ChoicesTag("kind", "image", multiple=False, labels=("cat", "dog"))
OUTCOME = Outcome(
    project=Project(7, "Cats [and] dogs [/b]", 2, "", LabelConfig((TAG,), {"boxes": "labels regions [/i]"})),
    controls=[Control(TAG, "choices", given="label")],
    reports=dict.fromkeys(REPORT_NAMES, 0) | {"Discovered": 1},
    classifications=4,
    votes=3,
    annotators=[{"control": "kind", "annotator": "a1[/x]@example.com", "votes": 3, "trust": 0.98765}],
    problems=[],
    unused=[],
    changes=Difference([Entry(1, "Discovered", "kind", "dog", 0.9)], [], [5], ["consensus/NoVotes"]),
    tabs=["Discovered"],
    dry_run=False,
)
REFUSED = f"Label Studio at {URL} answered 400 about the list of accounts: no"
Call = Callable[..., tuple[int, str, str]]


@pytest.fixture
def call(shell: Call) -> Call:
    """Calls `consensus` as the shell would; returns exit status, output and errors."""
    return shell


@pytest.fixture
def outcome(monkeypatch: pytest.MonkeyPatch) -> Callable[[Outcome], list[Any]]:
    """Lets `consensus run` have an outcome; what it was asked for is returned."""
    asked: list[Any] = []
    monkeypatch.setenv("LABEL_STUDIO_URL", "http://127.0.0.1:1")
    monkeypatch.setenv("LABEL_STUDIO_API_KEY", "token")

    def _outcome(made: Outcome) -> list[Any]:
        def run(*arguments: Any, **options: Any) -> Outcome:  # noqa: ANN401
            asked.append((arguments[2], arguments[3], options["policy"], options["dry_run"], arguments[1]))
            return made

        monkeypatch.setattr(cli, "run_project", run)
        return asked

    return _outcome


VOTES = "task,annotator,label\nt1,a1,cat\nt1,a2,cat\nt1,a1,cat\nt2,a1,dog\n"


@pytest.fixture
def votes() -> Path:
    """A votes file of three votes and a repeated one."""
    path = Path("votes.csv")
    path.write_text(VOTES)
    return path


@pytest.mark.parametrize("command", sorted(command.callback.__name__ for command in cli.app.registered_commands))
def test_help_breaks_lines_where_the_terminal_ends(
    call: Call, command: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """On 80 columns no line of a paragraph has room for the first word of the next."""
    monkeypatch.setenv("COLUMNS", "80")
    monkeypatch.setenv("TERMINAL_WIDTH", "80")
    text = call(command, "--help")[1].partition("\u256d")[0]
    lines = [line.rstrip() for line in text.splitlines()]
    early = [line for line, after in pairwise(lines) if line and after and len(f"{line} {after.split()[0]}") < 80]
    assert early == []


def test_score_writes_the_result_and_says_what_it_did(call: Call, votes: Path) -> None:
    """Votes, replaced votes, reports and trust set in vain are said; both files are there."""
    Path("given.csv").write_text("task,label\nt1,cat\nt9,dog\n")
    Path("trust.csv").write_text("annotator,trust\na1,0.5\na5,1\n")
    status, out, err = call(
        "score",
        votes,
        "--out",
        "out.csv",
        "--given",
        "given.csv",
        "--trust",
        "trust.csv",
        "--annotators",
        "who.csv",
    )
    assert (status, err) == (0, "")
    assert out.splitlines()[:2] == [
        "3 votes of 2 annotators on 3 tasks (1 replaced by a later vote of the same annotator)",
        "1 annotators of trust.csv have no vote; their trust has no effect",
    ]
    assert "NoVotes 1" in out
    assert out.splitlines()[-1] == "3 classifications written to out.csv"
    assert (
        Path("out.csv")
        .read_text()
        .startswith("task,label,given,yes,no,unsure,confidence,posterior,report\nt1,cat,1,2,")
    )
    assert (
        Path("who.csv")
        .read_text()
        .startswith("annotator,votes,trust,trust_low,trust_high\na1,2,0.5,0.5,0.5\na2,1,")
    )


def test_what_score_writes_holds_names_as_they_are(call: Call) -> None:
    """It is for programs: what it says of an item is found under the item's name, formula or not."""
    Path("votes.csv").write_text('task,annotator,label\n=t+1,@a,"-x,1"\nt2,@a,b\n')
    assert call("score", "votes.csv", "--out", "out.csv", "--annotators", "who.csv")[0] == 0
    assert Path("out.csv").read_text().splitlines()[1].startswith('=t+1,"-x,1",')
    assert Path("who.csv").read_text().splitlines()[1].startswith("@a,")


def test_score_by_the_exact_policy(call: Call, votes: Path) -> None:
    """Policy label-ai gives 0.2365895936 where there is no vote."""
    Path("given.csv").write_text("task,label\nt9,dog\n")
    status, _, _ = call("score", votes, "--out", "out.csv", "--given", "given.csv", "--policy", "label-ai")
    row = next(line for line in Path("out.csv").read_text().splitlines() if line.startswith("t9,dog"))
    assert status == 0
    assert float(row.split(",")[6]) == pytest.approx(0.2365895936, abs=1e-10)


@pytest.fixture
def hundred() -> None:
    """A hundred tasks; three annotators agree that every tenth has a wrong given label. Every fourth is gold."""
    lines = [f"t{task},a{who},{'dog' if task % 10 == 0 else 'cat'}" for task in range(100) for who in (1, 2, 3)]
    Path("votes.csv").write_text("task,annotator,label\n" + "\n".join(lines) + "\n")
    Path("given.csv").write_text("task,label\n" + "".join(f"t{task},cat\n" for task in range(100)))
    gold = [f"t{task},{'dog' if task % 10 == 0 else 'cat'}\n" for task in range(0, 100, 4)]
    Path("gold.csv").write_text("task,label\n" + "".join(gold))


@pytest.mark.usefixtures("hundred")
def test_score_with_a_guarantee_says_on_what_grounds(call: Call) -> None:
    """Of 25 gold tasks five are in question where the given label is rejected: too few at .05, enough at .1."""
    files = ("votes.csv", "--out", "out.csv", "--given", "given.csv", "--gold", "gold.csv")
    status, out, err = call("score", *files, "--guarantee", "0.05")
    assert (status, err) == (0, "")
    assert out.splitlines()[1:] == [
        "Guarantee on 25 gold tasks drawn at random: the expected share of a report that is wrong is at most 0.05",
        "  AllConfirmed: 70 tasks; 0 of 20 gold tasks in question would be wrong there, 1 may be",
        "  Discovered: nothing; 5 gold tasks are among the 10 in question, 10 are needed, so about 100 in all",
        "  MisClassified: nothing; 5 gold tasks are among the 10 in question, 10 are needed, so about 100 in all",
        "AllConfirmed 90, MisClassified 0, Discovered 0, Controversial 0, NoVotes 0",
        "110 classifications written to out.csv",
    ]
    _, out, _ = call("score", *files, "--guarantee", "0.1")
    assert "AllConfirmed 90, MisClassified 10, Discovered 10, Controversial 0, NoVotes 0" in out.splitlines()


@pytest.mark.usefixtures("hundred")
def test_gold_without_a_guarantee_teaches(call: Call) -> None:
    """It is said how much; a label that nobody chose teaches nothing, and a task that nobody knows is named."""
    Path("gold.csv").write_text("task,label\nt1,cat\nt2,owl\nt999,cat\n")
    status, out, err = call("score", "votes.csv", "--out", "out.csv", "--gold", "gold.csv")
    assert status == 0
    assert out.splitlines()[1:3] == [
        "1 gold tasks taught trust", "1 gold tasks have a label that nobody chose and taught nothing"
    ]  # fmt: skip
    assert err == "note: gold.csv: 1 gold tasks have no vote and are not listed; they have no effect\n"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("none.csv", "--out", "o.csv"), "error: none.csv cannot be read: No such file or directory\n"),
        (
            ("votes.csv", "--out", "no/o.csv"),
            "error: no/o.csv cannot be written: there is no folder no; make it\n",
        ),
        (("votes.csv", "--out", "."), "error: . cannot be written: it is a folder; name a file\n"),
        (
            ("votes.csv", "--out", "./votes.csv"),
            "error: --out would overwrite the votes (votes.csv); name another file\n",
        ),
        (
            ("votes.csv", "--out", "o.csv", "--annotators", "o.csv"),
            "error: --annotators would overwrite --out (o.csv); name another file\n",
        ),
        (
            ("votes.csv", "--out", "o.csv", "--guarantee", "0.05"),
            "error: --guarantee needs --gold: tasks drawn at random whose truth is known\n",
        ),
        (
            ("votes.csv", "--out", "o.csv", "--guarantee", "5", "--gold", "high.csv"),
            "error: the guarantee is 5; use a share between 0 and 1, as in 0.05\n",
        ),
        (
            ("votes.csv", "--out", "high.csv", "--gold", "high.csv"),
            "error: --out would overwrite --gold (high.csv); name another file\n",
        ),
        (
            ("votes.csv", "--out", "o.csv", "--trust", "high.csv"),
            "error: trust of annotator 'a1' is 2; for policy default it must be between 0 and 1\n",
        ),
    ],
)
def test_score_refuses_in_one_line(call: Call, votes: Path, arguments: tuple[str, ...], message: str) -> None:
    """Exit status 1, the message on standard error, and no file."""
    Path("high.csv").write_text("annotator,trust\na1,2\n")
    assert call("score", *arguments) == (1, "", message)
    assert {path.name for path in Path().iterdir()} == {votes.name, "high.csv"}
    assert votes.read_text() == VOTES


@pytest.mark.parametrize(
    ("arguments", "word"),
    [
        (("score", "v.csv", "--out", "o.csv", "--policy", "best"), "best"),
        (("score", "v.csv", "--out", "o.csv", "--choice", "some"), "some"),
        (("score", "v.csv"), "--out"),
        (("run",), "--project"),
        (("run", "--project", "seven"), "--project"),
        (("run", "--project", "7", "--policy", "best"), "best"),
        (("report", "Best", "--project", "7"), "Best"),
        (("report", "NoVotes", "--project", "7", "--format", "xml"), "xml"),
        (("walk",), "walk"),
        *(
            (("score", "v.csv", "--out", "o.csv", option, value), option)
            for option, value in (("--memory", "inf"), ("--memory", "nan"), ("--threads", "99999999"))
        ),
    ],
)
def test_a_command_that_cannot_be_meant_is_refused(call: Call, arguments: tuple[str, ...], word: str) -> None:
    """Exit status 2, and the message names the word."""
    status, out, err = call(*arguments)
    assert (status, out) == (2, "")
    assert word in err


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        ("LABEL_STUDIO_URL", "", "error: LABEL_STUDIO_URL is not set; "),
        ("LABEL_STUDIO_API_KEY", "", "error: LABEL_STUDIO_API_KEY is not set; "),
        (
            "CONSENSUS_DATABASE_URL",
            "nonsense",
            "error: CONSENSUS_DATABASE_URL is no address of a database; use sqlite",
        ),
        (
            "CONSENSUS_DATABASE_URL",
            "mysql://h/x",
            "error: CONSENSUS_DATABASE_URL begins with mysql://; use sqlite",
        ),
        ("CONSENSUS_DATABASE_URL", "postgres://u:sec@ret@h:a/x", "error: CONSENSUS_DATABASE_URL is no address"),
        ("CONSENSUS_CONFIG", "none.toml", "error: settings file none.toml cannot be read"),
    ],
)
def test_run_refuses_settings_that_cannot_be_used(
    call: Call, monkeypatch: pytest.MonkeyPatch, name: str, value: str, message: str
) -> None:
    """One line that names the variable or the file."""
    monkeypatch.setenv("LABEL_STUDIO_URL", "http://127.0.0.1:1")
    monkeypatch.setenv("LABEL_STUDIO_API_KEY", "token")
    monkeypatch.setenv(name, value)
    status, out, err = call("run", "--project", 7)
    assert (status, out) == (1, "")
    *notes, last = err.splitlines()
    assert last.startswith(message)
    assert all(note.startswith("note: there is no store yet") for note in notes)


def test_run_shows_what_was_found_and_sent(call: Call, outcome: Callable[[Outcome], list[Any]]) -> None:
    """Names with brackets are shown as they are."""
    outcome(OUTCOME)
    status, out, err = call("run", "--project", 7)
    assert (status, err) == (0, f"note: there is no store yet: a new one is made at {Path.cwd()}/consensus.db\n")
    assert out.startswith("Cats [and] dogs [/b] (project 7)\n")
    assert "kind: single choice of 2 labels, given label in 'label'" in out
    assert "not counted: boxes: labels regions [/i]" in out
    assert "a1[/x]@example.com" in out
    assert "0.988" in out
    last = "Sent: 1 created, 0 updated, 1 deleted, consensus/NoVotes written anew, tab Discovered made.\n"
    assert out.endswith(last)


def test_run_that_left_tasks_out_exits_with_3(call: Call, outcome: Callable[[Outcome], list[Any]]) -> None:
    """Ten problems are shown, the others counted, and so is what had no effect."""
    problems = [Problem(number, f"holds ['kat'] [/x] {number}") for number in range(12)]
    outcome(replace(OUTCOME, problems=problems, unused=["machine 'bot[/x]', who has no account"]))
    status, _, err = call("run", "--project", 7)
    assert status == 3
    assert err.splitlines()[1] == "left out: task 0: holds ['kat'] [/x] 0"
    assert err.splitlines()[11:] == [
        "... and 2 more tasks left out", "without effect: machine 'bot[/x]', who has no account"
    ]  # fmt: skip


def test_run_prints_one_object_for_a_program(call: Call, outcome: Callable[[Outcome], list[Any]]) -> None:
    """With --json the output is JSON and nothing else; the exit status is the same."""
    asked = outcome(replace(OUTCOME, problems=[Problem(1, "é")], dry_run=True))
    status, out, err = call("run", "--project", 7, "--json", "--dry-run", "--policy", "label-ai")
    found = json.loads(out)
    assert (status, err) == (3, "")
    assert asked[0][1:] == (7, "label-ai", True, None)
    assert (found["project"], found["dry_run"], found["problems"]) == (7, True, [{"task": 1, "what": "é"}])
    assert found["writes"] == {"created": 1, "updated": 0, "deleted": 1, "cleared": 1, "tabs": 1}


def test_run_says_when_there_was_nothing_to_send(call: Call, outcome: Callable[[Outcome], list[Any]]) -> None:
    """No changes and no tabs."""
    outcome(replace(OUTCOME, changes=Difference([], [], [], []), tabs=[]))
    assert call("run", "--project", 7)[1].endswith("Label Studio is up to date: nothing to send.\n")


def test_a_dry_run_says_what_would_be_sent(call: Call, outcome: Callable[[Outcome], list[Any]]) -> None:
    """In the conditional."""
    outcome(replace(OUTCOME, dry_run=True))
    assert "Dry run, nothing sent; would be 1 created" in call("run", "--project", 7)[1]


def test_a_dry_run_makes_no_file(call: Call, outcome: Callable[[Outcome], list[Any]]) -> None:
    """No database and no lock; another run makes its database."""
    outcome(OUTCOME)
    assert call("run", "--project", 7, "--dry-run")[0] == 0
    assert list(Path().iterdir()) == []
    assert call("run", "--project", 7)[0] == 0
    assert [path.name for path in Path().iterdir()] == ["consensus.db"]


def test_a_dry_run_starts_from_the_store_that_is_there(
    call: Call, outcome: Callable[[Outcome], list[Any]]
) -> None:
    """As the run would; from one of an older version neither of them does."""
    asked = outcome(OUTCOME)
    upgraded("sqlite:///consensus.db", "0001")
    assert "do `consensus migrate`" in call("run", "--project", 7, "--dry-run")[2]
    Store.migrated("sqlite:///consensus.db")
    assert call("run", "--project", 7, "--dry-run")[0] == 0
    assert isinstance(asked[0][4], Store)


@pytest.fixture
def stored() -> None:
    """A store with one discovered classification."""
    facts = {
        "project": 7,
        "started_at": datetime(2026, 1, 1, tzinfo=UTC),
        "model_version": "",
        "policy": "default",
    }
    counts = {"thresholds": {}, "tasks": 1, "votes": 1, "problems": 0}
    row = {"control": "kind", "task": 3, "label": 'a "b", c', "given": False, "yes": 2, "no": 0, "unsure": 1}
    scores = {"confidence": 0.9375, "posterior": 0.96875, "report": "Discovered"}
    Store.migrated("sqlite:///consensus.db").save(
        {**facts, **counts}, as_columns(CLASSIFICATION, [{**row, **scores}]), as_columns(VOTE, []), []
    )


@pytest.mark.usefixtures("stored")
def test_report_in_three_forms(call: Call) -> None:
    """A table for a person, CSV and JSON for programs; an empty report is no error."""
    status, out, _ = call("report", "Discovered", "--project", 7)
    assert status == 0
    assert all(word in out for word in ("confidence", "0.938", 'a "b", c', "no"))
    head = "task,control,label,given,yes,no,unsure,confidence,posterior\n"
    line = '3,kind,"a ""b"", c",0,2,0,1,0.9375,0.96875\n'
    assert call("report", "Discovered", "--project", 7, "--format", "csv") == (0, head + line, "")
    status, out, _ = call("report", "Discovered", "--project", 7, "--format", "json")
    assert json.loads(out)[0] | {"label": ""} == {
        "task": 3, "control": "kind", "label": "", "given": False, "yes": 2, "no": 0, "unsure": 1,
        "confidence": 0.9375, "posterior": 0.96875,
    }  # fmt: skip
    assert call("report", "NoVotes", "--project", 7, "--format", "csv") == (0, head, "")
    assert call("report", "NoVotes", "--project", 7, "--format", "json") == (0, "[]\n", "")
    assert call("report", "NoVotes", "--project", 7)[0] == 0


@pytest.mark.parametrize(
    ("name", "tasks"),
    [("MisClassified", [2, 4, 1, 3]), ("Controversial", [3, 1, 4, 2]), ("Discovered", [3, 4, 1, 2])],
)
@pytest.mark.parametrize("limit", [None, 2])
def test_what_is_best_looked_at_comes_first(call: Call, name: str, tasks: list[int], limit: int | None) -> None:
    """The strongest accusations, what is nearest to one half, or the most confident; all of them or so many."""
    counts = {"control": "kind", "label": "cat", "given": True, "yes": 1, "no": 3, "unsure": 0, "report": name}
    scores = [(1, 0.10, 0.15), (2, 0.09, 0.11), (3, 0.13, 0.16), (4, 0.12, 0.14)]
    rows = [{**counts, "task": number, "confidence": low, "posterior": share} for number, low, share in scores]
    Store.migrated("sqlite:///consensus.db").save(
        {"project": 7, "started_at": datetime(2026, 1, 1, tzinfo=UTC), "model_version": "", "policy": "default",
         "thresholds": {}, "tasks": 4, "votes": 16, "problems": 0},
        as_columns(CLASSIFICATION, rows), as_columns(VOTE, []), [],
    )  # fmt: skip
    chosen = () if limit is None else ("--limit", limit)
    out = call("report", name, "--project", 7, "--format", "json", *chosen)[1]
    assert [row["task"] for row in json.loads(out)] == tasks[:limit]
    lines = call("report", name, "--project", 7, "--format", "csv", *chosen)[1].splitlines()
    assert [int(line.split(",")[0]) for line in lines[1:]] == tasks[:limit]


def test_a_table_into_a_pipe_is_not_cut_short() -> None:
    """Where no terminal says how wide it is, 200 columns are there; on 80 the label would be in pieces."""
    label = "x" * 100
    program = f"from consensus.commands.output import show_rows; show_rows([{{'task': 3, 'label': '{label}'}}])"
    environment = {key: value for key, value in os.environ.items() if key != "COLUMNS"}
    environment |= {"PYTHONPATH": str(Path(__file__).parents[2]), "TERM": "dumb"}
    done = subprocess.run(
        [sys.executable, "-c", program], env=environment, capture_output=True, text=True, check=True
    )
    assert label in done.stdout


def test_report_of_a_project_without_a_run_says_what_to_do(call: Call) -> None:
    """The message holds the command."""
    message = "error: project 7 has no run yet in this store; do `consensus run --project 7`\n"
    Store.migrated("sqlite:///consensus.db")
    assert call("report", "NoVotes", "--project", 7) == (1, "", message)


@pytest.mark.parametrize("command", [("report", "NoVotes"), ("annotators",), ("route", "--dry-run")])
@pytest.mark.parametrize(
    ("project", "status", "message"),
    [(10**20, 1, "holds no number of that size: is an id misspelt?"), (0, 2, "greater than or equal to 1")],
)
def test_a_number_that_is_no_project_is_refused(
    call: Call, monkeypatch: pytest.MonkeyPatch, command: tuple[str, ...], project: int, status: int, message: str
) -> None:
    """One that no database holds, and one that Label Studio never gives: without a traceback."""
    monkeypatch.setenv("LABEL_STUDIO_URL", "http://127.0.0.1:1")
    monkeypatch.setenv("LABEL_STUDIO_API_KEY", "token")
    Store.migrated("sqlite:///consensus.db")
    ended, _, err = call(*command, "--project", project)
    assert (ended, message in " ".join(err.split())) == (status, True)


@pytest.mark.parametrize(
    "command", [("report", "NoVotes"), ("annotators",), ("agreement",), ("prompt", "--annotator", "a1")]
)
def test_who_only_reads_makes_no_database(call: Call, command: tuple[str, ...]) -> None:
    """In another folder there is none, and that is said; nothing is made there."""
    status, out, err = call(*command, "--project", 7)
    assert (status, out) == (1, "")
    assert "/consensus.db has no tables yet" in err
    assert "is this the same folder?" in err
    assert list(Path().iterdir()) == []


def test_a_database_of_an_older_version_is_migrated_by_a_command(
    call: Call, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A run refuses it and names the command; the command says what it did, and has nothing to do again."""
    old = upgraded("sqlite:///consensus.db", "0002")
    monkeypatch.setenv("LABEL_STUDIO_URL", "http://127.0.0.1:1")
    monkeypatch.setenv("LABEL_STUDIO_API_KEY", "key")
    status, _, err = call("run", "--project", 7)
    assert (
        status,
        "are of an older version (0002); make a copy of the database and do `consensus migrate`" in err,
    ) == (1, True)
    assert call("migrate") == (0, f"sqlite:///{Path.cwd()}/consensus.db: brought to version {NEWEST}\n", "")
    assert call("migrate") == (0, f"sqlite:///{Path.cwd()}/consensus.db: is of version {NEWEST}\n", "")
    old.dispose()


@pytest.mark.parametrize(
    ("variables", "message"),
    [
        ({"CONSENSUS_CRON": "often"}, "error: cron expression 'often' cannot be understood"),
        ({"CONSENSUS_PROJECTS": "1,two"}, "error: CONSENSUS_PROJECTS is '1,two'; use ids with commas"),
        (
            {"CONSENSUS_DATABASE_URL": "sqlite:////no/where.db"},
            "error: the database sqlite:////no/where.db cannot",
        ),
    ],
)
def test_schedule_refuses_at_its_start(
    call: Call, monkeypatch: pytest.MonkeyPatch, variables: dict[str, str], message: str
) -> None:
    """What cannot work is known before the first run."""
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    status, _, err = call("schedule")
    err = err.splitlines()[-1]
    assert status == 1
    assert err.startswith(message)


def test_a_run_after_which_something_failed_exits_with_three(
    call: Call, outcome: Callable[[Outcome], list[Any]]
) -> None:
    """It is stored: what failed is said, and that it is tried again."""
    outcome(replace(OUTCOME, failures=("the queues of review were not filled: no room",)))
    status, _, err = call("run", "--project", "7")
    assert (status, err.splitlines()[-1]) == (
        3, "the run is stored, but the queues of review were not filled: no room; the next run tries again"
    )  # fmt: skip
    status, out, _ = call("run", "--project", "7", "--json")
    assert (status, json.loads(out)["failures"]) == (3, ["the queues of review were not filled: no room"])


def test_a_schedule_warns_once(call: Call, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of nine annotations with an old choice, and of one more later, it says so once; another choice is new."""
    monkeypatch.setenv("CONSENSUS_PROJECTS", "7")
    monkeypatch.setattr(scheduling, "studio", _projects)
    monkeypatch.setattr(scheduling, "_WARNED", {})
    problems = [Problem(task, f"annotation {task} chose 'dog', which is no choice") for task in range(9)]
    more = [Problem(9, "annotation 9 chose 'dog', which is no choice")]
    other = [Problem(1, "annotation 10 chose 'cow', which is no choice")]
    at_ticks = iter([problems, problems + more, problems + more + other])
    monkeypatch.setattr(scheduling, "run_project", lambda *_, **__: replace(OUTCOME, problems=next(at_ticks)))
    monkeypatch.setattr(scheduling, "run_by_cron", lambda _cron, work: (work(), work(), work()))
    status, _, err = call("schedule")
    lines = [json.loads(line) for line in err.splitlines() if line.startswith("{")]
    warned = [
        (line["reason"], line["tasks"], line["first"]) for line in lines if line["event"] == "tasks left out"
    ]
    assert (status, warned) == (
        0,
        [
            ("an annotation chose 'dog', which is no choice", 9, [0, 1, 2, 3, 4]),
            ("an annotation chose 'cow', which is no choice", 1, [1]),
        ],
    )


def _projects(_timeout: float | None = None) -> Studio:
    """A Label Studio of five projects: 1 cannot be read, 3 has nothing to count."""
    label_studio, asking = InMemoryStudio(), config(choices("kind", "cat", "dog"))
    label_studio.projects.clear()
    for number, label_config in enumerate(("<View", asking, "<View/>", asking, asking), start=1):
        label_studio.add_project(label_config, number)
    return Studio(label_studio.client())


@pytest.mark.parametrize(("wanted", "done"), [("", [2, 4, 5]), ("5,2", [5, 2])])
def test_a_project_that_fails_does_not_keep_the_others_from_running(
    call: Call,
    monkeypatch: pytest.MonkeyPatch,
    wanted: str,
    done: list[int],
) -> None:
    """Whatever goes wrong with a project, the next is run, and the reason is logged without a traceback."""
    ran: list[int] = []

    def run(*arguments: Any, **_: object) -> Outcome:  # noqa: ANN401
        ran.append(arguments[3])
        if arguments[3] == 4:
            raise ZeroDivisionError("secret")
        return replace(OUTCOME, problems=[Problem(1, "broken")], unused=["nobody"])

    monkeypatch.setenv("CONSENSUS_PROJECTS", wanted)
    monkeypatch.setattr(scheduling, "studio", _projects)
    monkeypatch.setattr(scheduling, "_WARNED", {})
    monkeypatch.setattr(scheduling, "run_project", run)
    monkeypatch.setattr(scheduling, "run_by_cron", lambda _cron, work: (work(), work()))
    status, _, err = call("schedule")
    lines = [json.loads(line) for line in err.splitlines() if line.startswith("{")]
    events = [line["event"] for line in lines]
    assert (status, ran) == (0, [*done, *done])
    assert events.count("project done") == 4
    assert (
        events.count("tasks left out") == events.count("setting without effect") == 2
    )  # not again while the same
    assert [line["about"] for line in lines if line["event"] == "control"] == [OUTCOME.controls[0].about] * 4
    places = [line["place"].split(":")[1] for line in lines if line.get("error") == "ZeroDivisionError"]
    assert places == (["run"] * 2 if 4 in done else [])
    assert ("the label config cannot be read" in err) == (not wanted)
    assert "secret" not in err


def test_a_schedule_goes_on_after_an_error_that_nobody_expected(
    call: Call, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What goes wrong outside of any project is logged without its text, and the next time comes."""

    def broken() -> None:
        raise ZeroDivisionError("secret")

    monkeypatch.setattr(scheduling, "studio", broken)
    monkeypatch.setattr(scheduling, "run_by_cron", lambda _cron, work: (work(), work()))
    status, _, err = call("schedule")
    assert (status, err.count('"error": "ZeroDivisionError"'), "secret" in err) == (0, 2, False)


def test_a_schedule_refuses_a_settings_file_that_cannot_be_used(call: Call) -> None:
    """At its start, not at the first run."""
    status, _, err = call("schedule", "--config", "nowhere.toml")
    assert (status, "settings file nowhere.toml cannot be read" in err) == (1, True)


def test_the_version_is_shown(call: Call) -> None:
    """That of the package."""
    assert call("--version")[:2] == (0, f"{version('label-studio-consensus')}\n")


@pytest.mark.parametrize(("tasks", "lines"), [(2, 1), (0, 0)])
def test_run_says_what_ground_truth_does(
    call: Call, outcome: Callable[[Outcome], list[Any]], tasks: int, lines: int
) -> None:
    """How many tasks have it, and that it measures trust; where there is none, not a word."""
    outcome(replace(OUTCOME, gold_tasks=tasks))
    out = call("run", "--project", "7")[1]
    assert out.count("2 tasks have ground truth: no vote, but the measure of everybody's trust") == lines
    assert out.count("ground truth") == 2 * lines
    assert out.count("given_annotations") == lines
    outcome(replace(OUTCOME, gold_tasks=tasks, guarantees=("kind: Guarantee on 2 gold tasks",)))
    assert call("run", "--project", "7")[1].count("no vote, but what the guarantee rests on") == lines


def test_run_says_what_is_settled_and_what_is_open(call: Call, outcome: Callable[[Outcome], list[Any]]) -> None:
    """Tasks that decisions settle, tasks with something undecided and the next step, and one vote a task."""
    outcome(replace(OUTCOME, gold_tasks=2, settled_tasks=5, undecided_tasks=3, one_vote_a_task=True))
    out = call("run", "--project", "7")[1]
    assert "3 more tasks are settled by decisions that are no vote and teach nothing" in out
    assert "3 tasks have something undecided: `consensus route --project 7` asks for one more vote" in out
    assert "every task has one vote at most, and Label Studio asks for no more (an overlap of 1)" in out
    assert json.loads(call("run", "--project", "7", "--json")[1])["settled_tasks"] == 5


@pytest.mark.parametrize(
    ("faults", "status", "out", "err"),
    [
        (("", ""), 0, "database: answers\nLabel Studio: answers\n", ""),
        (("no database", ""), 1, "Label Studio: answers\n", "error: no database\n"),
        (("", "no"), 1, "database: answers\n", f"error: {REFUSED}\n"),
        (("no database", "no"), 1, "", f"error: no database; {REFUSED}\n"),
    ],
)
def test_ping_asks_both_and_names_each_that_fails(
    call: Call, monkeypatch: pytest.MonkeyPatch, faults: tuple[str, str], status: int, out: str, err: str
) -> None:
    """One that fails does not hide the other; Label Studio has a few seconds to answer, and is let go of."""
    label_studio, asked = InMemoryStudio(), []
    if faults[1]:
        label_studio.faults["GET users"] = httpx.Response(400, json={"detail": faults[1]})

    class Database:
        def revision(self) -> None:
            if faults[0]:
                raise StoreError(faults[0])

    def made(timeout: float | None = None) -> Studio:
        asked.append(timeout)
        return Studio(label_studio.client())

    monkeypatch.setattr(cli, "database", Database)
    monkeypatch.setattr(cli, "_studio", made)
    assert call("ping") == (status, out, err)
    assert (asked, label_studio.closed) == ([cli.PING_SECONDS], True)


def test_ping_without_settings_says_what_is_missing(call: Call, monkeypatch: pytest.MonkeyPatch) -> None:
    """The variables that are not set are named, and the database that cannot be used."""
    monkeypatch.setenv("CONSENSUS_DATABASE_URL", "sqlite:////no/where.db")
    status, out, err = call("ping")
    assert (status, out) == (1, "")
    assert "the database sqlite:////no/where.db cannot be used" in err
    assert "LABEL_STUDIO_URL and LABEL_STUDIO_API_KEY are not set" in err


def test_ping_says_once_what_is_wrong_with_the_settings(call: Call, monkeypatch: pytest.MonkeyPatch) -> None:
    """Though neither the database nor Label Studio can be asked with them."""
    monkeypatch.setenv("CONSENSUS_HISTORY_DAYS", "-1")
    assert call("ping")[2].count("CONSENSUS_HISTORY_DAYS") == 1


def _votes_of_two(tasks: int) -> None:
    """A votes file of two annotators who agree on most tasks."""
    rows = [f"t{task},{who},{'cat' if task % 3 else 'dog'}" for task in range(tasks) for who in ("a1", "a2")]
    Path("votes.csv").write_text("task,annotator,label\n" + "\n".join(rows) + "\n")


def test_score_hears_a_model_and_says_how_much(call: Call) -> None:
    """The last column is the model's share, at most one voter's in three; with too few tasks it is not heard."""
    _votes_of_two(60)
    rows = [f"t{task},{'cat' if task % 3 else 'dog'},0.{9 - task % 5}" for task in range(60)]
    Path("model.csv").write_text("task,label,score\n" + "\n".join([*rows, "t99,cat,0.5"]) + "\n")
    status, _, err = call("score", "votes.csv", "--out", "out.csv", "--model", "model.csv")
    assert (status, "1 suggestions are for tasks or labels that no vote has" in err) == (0, True)
    with Path("out.csv").open() as file:
        found = list(csv.DictReader(file))
    assert list(found[0])[-1] == "model_share"
    assert all(0 < float(row["model_share"]) < 0.34 for row in found)
    assert {int(row["yes"]) + int(row["no"]) for row in found} == {2}
    _votes_of_two(40)
    status, _, err = call("score", "votes.csv", "--out", "out.csv", "--model", "model.csv")
    assert (status, "the model is not heard" in err) == (0, True)
    assert "model_share" not in Path("out.csv").read_text()


@pytest.mark.parametrize("score", ["1.5", "nan", "-0.1", "high", "1_0"])
def test_a_score_that_is_none_is_refused(call: Call, score: str) -> None:
    """Naming the file, the line and the value."""
    _votes_of_two(2)
    Path("model.csv").write_text(f"task,label,score\nt0,cat,0.5\nt1,cat,{score}\n")
    status, _, err = call("score", "votes.csv", "--out", "out.csv", "--model", "model.csv")
    assert (status, f"model.csv, line 3: score is '{score}'; use a number from 0 to 1" in err) == (1, True)
    assert not Path("out.csv").exists()


def test_score_starts_from_what_it_learned(call: Call) -> None:
    """The state file is made, read again, and gives the same result to the last digit; another file is refused."""
    _votes_of_two(30)
    assert call("score", "votes.csv", "--out", "first.csv", "--state", "state.npz")[0] == 0
    assert call("score", "votes.csv", "--out", "second.csv", "--state", "state.npz")[0] == 0
    assert Path("first.csv").read_text() == Path("second.csv").read_text()
    Path("state.npz").write_text("something else")
    status, _, err = call("score", "votes.csv", "--out", "third.csv", "--state", "state.npz")
    assert (status, "state.npz cannot be read as what an earlier run learned" in err) == (1, True)
    assert (Path("third.csv").exists(), Path("state.npz").read_text()) == (False, "something else")
