"""Votes in parts are scored like those in memory, a folder like one file of the same rows."""

import os
import subprocess
import sys
from pathlib import Path
from typing import Any, Literal

import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet as pq
import pytest
from made_folders import KINDS, LITTLE, assert_same, rows_of, tables_of_file, write_folder, write_given
from typer.testing import CliRunner

from common.errors import FilesError, SuiteError
from consensus.cli import app
from consensus.core.model import dependence
from consensus.errors import ConfigError, VotesError
from consensus.files import score_files as module
from consensus.files.score_files import Inputs, score_files
from consensus.files.tables import Limits
from consensus.files.votes_files import read_ballot


@pytest.mark.parametrize(
    ("kind", "policy", "given", "all_labels"),
    [
        ("single", "default", True, False),
        ("single", "label-ai", False, True),
        ("many", "default", True, False),
        ("multiple", "default", True, False),
        ("each", "wilson", True, True),
        ("each", "dawid-skene", False, False),
    ],
)
def test_a_folder_is_scored_like_a_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: str, policy: str, *, given: bool, all_labels: bool
) -> None:
    """In 12 parts the result and the annotators are those of the rows in one file, all in memory."""
    monkeypatch.setattr(dependence, "SAMPLE", 2_000)
    choice = "multiple" if kind == "multiple" else "single"
    (tmp_path / "trust.csv").write_text("annotator,trust\n3,0.5\nnobody,0.5\n")
    files = {"trust": tmp_path / "trust.csv"}
    if given:
        files["given"] = write_given(tmp_path / "given.csv", KINDS[kind])
    folder = write_folder(tmp_path / "votes", rows_of(kind))
    expected = tables_of_file(
        tmp_path / "one.parquet", rows_of(kind), policy, choice, all_labels=all_labels, **files
    )
    out = [tmp_path / name for name in ("out.parquet", "people.parquet")]
    inputs = Inputs(folder, policy=policy, choice=choice, all_labels=all_labels, **files)
    outcome = score_files(inputs, *out, limits=LITTLE, part_votes=130)
    for file, table in zip(out, expected, strict=True):
        assert_same(pq.read_table(file), table)
    ballot = read_ballot(tmp_path / "one.parquet", files.get("given"), files["trust"], choice)
    assert (outcome.votes, outcome.tasks, outcome.annotators) == (ballot.rows, ballot.votes.n_tasks, 9)
    assert (outcome.replaced, outcome.unused_trust, outcome.notes) == (ballot.replaced, 1, ballot.notes)
    assert sum(outcome.reports.values()) == len(expected[0])


def test_many_labels_of_a_multiple_choice_are_asked_where_chosen(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where all pairs of submissions and labels are too many, the folder leaves out what the file leaves out."""
    monkeypatch.setattr("consensus.core.votes.classifications.FEW_LABELS", 3)
    monkeypatch.setattr("consensus.core.votes.classifications.MANY_ROWS", 1_000)
    folder = write_folder(tmp_path / "votes", rows_of("multiple"))
    expected, _ = tables_of_file(
        tmp_path / "one.parquet", rows_of("multiple"), "default", "multiple", all_labels=True
    )
    outcome = score_files(
        Inputs(folder, choice="multiple", all_labels=True), tmp_path / "out.parquet", limits=LITTLE, part_votes=200
    )
    assert_same(pq.read_table(tmp_path / "out.parquet"), expected)
    assert "there are 4 labels: one that nobody chose for a task" in outcome.notes[0]


@pytest.mark.parametrize("name", ["out.csv", "out.csv.gz"])
def test_csv_is_written_in_parts(tmp_path: Path, name: str) -> None:
    """One header, then all rows; quotes where a value needs them."""
    rows = pa.table({"task": ["a", "b,c"] * 2, "annotator": ["a1", "a1", "a2", "a2"], "label": ["x", "y"] * 2})
    folder = write_folder(tmp_path / "votes", rows, 2)
    score_files(Inputs(folder, all_labels=True), tmp_path / name, limits=Limits(1, 2), part_votes=1)
    found = pyarrow.csv.read_csv(tmp_path / name)
    assert found["task"].to_pylist() == ["a", "a", "b,c", "b,c"]
    assert found["yes"].to_pylist() == [2, 0, 0, 2]


@pytest.mark.parametrize("choice", ["single", "multiple"])
def test_labels_that_nobody_chose_have_no_row_unless_they_are_listed(
    tmp_path: Path, choice: Literal["single", "multiple"]
) -> None:
    """Of three labels and two tasks three pairs were chosen, one is listed, and there are six."""
    rows = "task,annotator,label\na,a1,x\na,a2,y\nb,a1,z\nb,a2,z\n"
    (tmp_path / "votes.csv").write_text(rows)
    (tmp_path / "given.csv").write_text("task,label\nb,x\n")
    tables = []
    for all_labels in (False, True):
        out = tmp_path / f"{all_labels}.parquet"
        inputs = Inputs(tmp_path / "votes.csv", tmp_path / "given.csv", choice=choice, all_labels=all_labels)
        score_files(inputs, out)
        tables.append(pq.read_table(out).to_pylist())
    assert {(row["task"], row["label"]) for row in tables[0]} == {("a", "x"), ("a", "y"), ("b", "z"), ("b", "x")}
    assert len(tables[1]) == 6
    assert all(row in tables[1] for row in tables[0])


def test_the_command_scores_a_folder(tmp_path: Path) -> None:
    """The command says what was read and written, as of a file, and leaves nothing behind."""
    folder = write_folder(tmp_path / "votes", rows_of("single"))
    room = tmp_path / "room"
    room.mkdir()
    result = subprocess.run(
        [sys.executable, "-m", "consensus.cli", "score", folder, "--out", tmp_path / "out.csv", "--all-labels"],
        env={**os.environ, "TMPDIR": str(room)},
        capture_output=True,
        text=True,
        check=True,
    )
    assert "votes of 9 annotators on 200 tasks (" in result.stdout
    assert f"800 classifications written to {tmp_path / 'out.csv'}" in result.stdout
    assert list(room.iterdir()) == []


def broken(folder: Path, case: str) -> Path:
    """A folder of two files, the second of which is spoilt."""
    rows = {"task": ["a", "b"], "annotator": ["a1", "a2"], "label": ["x", "y"]}
    folder.mkdir()
    pq.write_table(pa.table(rows), folder / "1.parquet")
    bad: dict[str, dict[str, list[Any]]] = {
        "empty": {**rows, "task": ["a", " "]},
        "missing": {**rows, "annotator": [None, "a1"]},
        "line break": {**rows, "label": ["x", "y\nz"]},
        "columns": {"task": ["a"], "label": ["x"]},
        "kind": {**rows, "task": [[1], [2]]},
        "other header": {**rows, "vote": ["yes", "no"]},
    }
    if case == "truncated":
        (folder / "2.parquet").write_bytes((folder / "1.parquet").read_bytes()[:60])
    else:
        pq.write_table(pa.table(bad[case]), folder / "2.parquet")
    return folder


@pytest.mark.parametrize(
    ("case", "message"),
    [
        ("empty", r"2\.parquet, row 2: column 'task' is empty"),
        ("missing", r"2\.parquet, row 1: column 'annotator' is empty"),
        ("line break", r"2\.parquet, row 2: column 'label' holds a line break"),
        ("columns", r"2\.parquet has the columns task, label; expected"),
        ("kind", r"2\.parquet: column 'task' holds BIGINT.*; use text or numbers"),
        ("other header", r"2\.parquet has the columns task,label,annotator,vote, and .*1\.parquet"),
        ("truncated", r"2\.parquet is no whole Parquet file"),
    ],
)
def test_a_spoilt_file_is_named(tmp_path: Path, case: str, message: str) -> None:
    """The error names the file, the row where there is one, and the remedy; nothing is written."""
    with pytest.raises(VotesError, match=message):
        score_files(Inputs(broken(tmp_path / "votes", case)), tmp_path / "out.csv")
    assert not (tmp_path / "out.csv").exists()


def test_an_unknown_vote_is_named(tmp_path: Path) -> None:
    """A vote that is neither yes, no nor unsure is refused with its place."""
    columns = {
        "task": ["a"] * 3,
        "label": ["x"] * 3,
        "annotator": ["a1", "a2", "a3"],
        "vote": ["yes", "no", "maybe"],
    }
    folder = write_folder(tmp_path / "votes", pa.table(columns), 3)
    with pytest.raises(
        VotesError, match=r"votes-2\.parquet, row 1: vote 'maybe' is unknown; use yes, no or unsure"
    ):
        score_files(Inputs(folder), tmp_path / "out.csv")


def test_no_votes_are_no_error(tmp_path: Path) -> None:
    """Of a folder without rows only what is given is in the result, in NoVotes."""
    folder = write_folder(tmp_path / "votes", rows_of("single").slice(0, 0), 1)
    (tmp_path / "given.csv").write_text("task,label\na,x\n")
    outcome = score_files(Inputs(folder, given=tmp_path / "given.csv"), tmp_path / "out.csv", limits=Limits(-1, 2))
    assert (outcome.votes, outcome.reports) == (0, {"NoVotes": 1})
    assert outcome.notes == (f"{folder} holds no votes",)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--gold", "gold.csv"], "--gold needs all votes in memory, and 1500 votes take about 1500.0 GB"),
        (["--model", "model.csv"], "--model needs all votes in memory"),
        (["--state", "state.npz"], "--state needs all votes in memory"),
        (["--choice", "multiple"], "spells its votes out in column 'vote'"),
    ],
)
def test_what_cannot_be_done_in_parts_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, options: list[str], message: str
) -> None:
    """An option without effect on votes larger than memory is an error, which says how large they are."""
    monkeypatch.setattr(module, "MEMORY", 10**9)
    folder = write_folder(tmp_path / "votes", rows_of("each"))
    result = CliRunner().invoke(app, ["score", str(folder), "--out", str(tmp_path / "out.csv"), *options])
    assert isinstance(result.exception, SuiteError)
    assert message in str(result.exception)


@pytest.mark.parametrize(
    ("choice", "all_labels", "needed"),
    [
        ("single", False, 1_500 * 200 + 800 * 30),
        ("single", True, 1_500 * 200 + 800 * 150),
        ("multiple", False, 1_500 * 200 + 800 * 150 + 1_500 * 4 * 25),
    ],
)
def test_memory_is_counted_by_what_scoring_lays_out(
    tmp_path: Path, choice: Literal["single", "multiple"], needed: int, *, all_labels: bool
) -> None:
    """Votes, labels of 200 tasks, and what a multiple choice implies: with a byte less gold is refused."""
    (tmp_path / "gold.csv").write_text("task,label\nt1,l1\n")
    folder = write_folder(tmp_path / "votes", rows_of("single"))
    inputs = Inputs(folder, gold=tmp_path / "gold.csv", choice=choice, all_labels=all_labels)
    score_files(inputs, tmp_path / "out.csv", limits=Limits(needed, 2))
    with pytest.raises(ConfigError, match="--gold needs all votes in memory"):
        score_files(inputs, tmp_path / "out.csv", limits=Limits(needed - 1, 2))


def test_a_folder_without_parquet_is_refused(tmp_path: Path) -> None:
    """Other files of a folder are not read."""
    (tmp_path / "votes.csv").write_text("task,annotator,label\n")
    with pytest.raises(VotesError, match="is a folder without a Parquet file"):
        score_files(Inputs(tmp_path), tmp_path / "out.csv")


def test_a_folder_that_fits_into_memory_takes_all_options(tmp_path: Path) -> None:
    """Gold teaches, a state is written, and the result is that of one file."""
    gold, state = tmp_path / "gold.csv", tmp_path / "state.npz"
    gold.write_text("task,label\nt1,l1\nt2,l2\n")
    folder = write_folder(tmp_path / "votes", rows_of("single"))
    file = write_folder(tmp_path / "file", rows_of("single"), 1) / "z" / "votes-0.parquet"
    outs = [tmp_path / "folder.parquet", tmp_path / "file.parquet"]
    for votes, out in zip((folder, file), outs, strict=True):
        assert score_files(Inputs(votes, gold=gold), out).lines == ("2 gold tasks taught trust",)
    assert_same(*map(pq.read_table, outs))
    score_files(Inputs(folder, state=state), outs[0])
    assert state.exists()


def test_a_csv_larger_than_memory_is_scored_in_parts(tmp_path: Path) -> None:
    """Any kind of file can be; the result is that of memory."""
    rows = rows_of("each")
    pyarrow.csv.write_csv(rows, tmp_path / "votes.csv")
    for limits, name in (LITTLE, "parts.parquet"), (None, "memory.parquet"):
        score_files(Inputs(tmp_path / "votes.csv"), tmp_path / name, limits=limits, part_votes=130)
    assert_same(*(pq.read_table(tmp_path / name) for name in ("parts.parquet", "memory.parquet")))


def test_a_single_choice_of_one_label_is_refused(tmp_path: Path) -> None:
    """As in a file, a choice of one label decides nothing."""
    rows = pa.table({"task": ["a"], "annotator": ["a1"], "label": ["x"]})
    with pytest.raises(VotesError, match="all votes are for the label 'x'"):
        score_files(Inputs(write_folder(tmp_path / "votes", rows, 1)), tmp_path / "out.csv", limits=LITTLE)


def test_too_little_room_is_said_before_the_work(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where the disk is too small, the error says how much is needed and where."""
    monkeypatch.setattr(module, "DISK", 10**12)
    with pytest.raises(FilesError, match=r"are needed for a while in .* let the environment variable TMPDIR"):
        score_files(
            Inputs(write_folder(tmp_path / "votes", rows_of("single"))), tmp_path / "out.csv", limits=LITTLE
        )
