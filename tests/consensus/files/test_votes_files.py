"""Votes, given labels and trust from files, and results into them."""

import csv
import gzip
import math
import shutil
from pathlib import Path
from typing import IO, Any, Literal

import numpy as np
import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet
import pytest

from consensus.core.decide.scoring import Scored, score
from consensus.core.votes.classifications import FEW_LABELS, MANY_ROWS
from consensus.core.votes.votes import NO, NO_LABEL, UNSURE, YES
from consensus.errors import VotesError
from consensus.files.result_files import annotators_table, result_table, write, writing
from consensus.files.votes_files import Ballot, read_ballot

CHOSEN = "task,annotator,label\nt1,a1,cat\nt1,a2,dog\nt2,a1,cat\n"
SPOKEN = "task,label,annotator,vote\nt1,cat,a1,yes\nt1,cat,a2,No\nt2,dog,a1, UNSURE \n"
COLUMNS = ["task", "label", "given", "yes", "no", "unsure", "confidence", "posterior", "report"]


def file(folder: Path, content: str | bytes, name: str = "votes.csv") -> Path:
    """A file with a content."""
    path = folder / name
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    return path


def read(
    folder: Path,
    votes: str | bytes,
    given: str | None = None,
    trust: str | None = None,
    choice: Literal["single", "multiple"] = "single",
    gold: str | None = None,
) -> Ballot:
    """What files of these contents say."""
    return read_ballot(
        file(folder, votes),
        file(folder, given, "given.csv") if given is not None else None,
        file(folder, trust, "trust.csv") if trust is not None else None,
        choice,
        file(folder, gold, "gold.csv") if gold is not None else None,
    )


def rows(ballot: Ballot) -> list[tuple[str, str, str, int]]:
    """The votes by name: task, annotator, label, stand."""
    votes = ballot.votes
    return [
        (
            str(votes.task_names[votes.task[row]]),
            str(votes.annotator_names[votes.annotator[row]]),
            str(votes.label_names[votes.label[row]]),
            int(votes.vote[row]),
        )
        for row in range(len(votes))
    ]


def scored(ballot: Ballot, policy: str = "default") -> Scored:
    """The ballot's score."""
    return score(ballot.votes, ballot.listed, ballot.gold, ballot.fixed_trust, policy)


OLD, NEW = ({"a": np.array([word], dtype=object)} for word in ("old", "new"))

IN_CHOSEN = [("t1", "a1", "cat", YES), ("t1", "a2", "dog", YES), ("t2", "a1", "cat", YES)]


def test_rows_of_chosen_labels(tmp_path: Path) -> None:
    """Each row is a chosen label; the kind of choice is the option's."""
    ballot = read(tmp_path, CHOSEN)
    assert (rows(ballot), ballot.votes.choice, ballot.replaced) == (IN_CHOSEN, "single", 0)
    assert read(tmp_path, CHOSEN, choice="multiple").votes.choice == "multiple"


def test_rows_of_yes_no_and_unsure(tmp_path: Path) -> None:
    """Votes are words in any case."""
    ballot = read(tmp_path, SPOKEN)
    assert rows(ballot) == [("t1", "a1", "cat", YES), ("t1", "a2", "cat", NO), ("t2", "a1", "dog", UNSURE)]
    assert ballot.votes.choice == "each"


@pytest.mark.parametrize(
    "content",
    [
        CHOSEN.replace("\n", "\r\n"),
        "\ufeff" + CHOSEN,
        CHOSEN.replace("task,annotator,label", '"task", "annotator" ,label'),
        CHOSEN.rstrip("\n"),
        CHOSEN.replace("\nt2", "\n\nt2"),
        "extra,label,x,annotator,task\n1,cat,,a1,t1\n2,dog,,a2,t1\n3,cat,,a1,t2\n",
        '"a,b",task,annotator,label\n0,t1,a1,cat\n0,t1,a2,dog\n0,t2,a1,cat\n',
        'task,annotator,label\n t1,a1,cat\t\nt1 , a2,dog\n" t2\n", a1 ,"cat "\n',
        'x,task,annotator,label\n"two\nlines",t1,a1,cat\n,t1,a2,dog\n,t2,a1,cat\n',
        CHOSEN.replace("\n", "\r\n", 2),
        CHOSEN.replace("task", "Task").replace("label", "LABEL"),
        CHOSEN.replace(",", ";"),
        CHOSEN.replace(",", "\t"),
        "sep=;\r\n" + CHOSEN.replace(",", ";"),
    ],
    ids=[
        "CRLF",
        "BOM",
        "quoted header",
        "no last newline",
        "empty line",
        "extra columns",
        "comma in header",
        "spaces around values",
        "a line break in a column of no interest",
        "line ends of two kinds",
        "header in any case",
        "semicolons",
        "tabs",
        "Excel's line on the separator",
    ],
)
def test_spellings_of_the_same_file(tmp_path: Path, content: str) -> None:
    """Line ends, marks, quotes, spaces, empty lines, order of columns and those of no interest change nothing."""
    assert rows(read(tmp_path, content)) == IN_CHOSEN


def test_a_column_of_votes_makes_the_rows_votes(tmp_path: Path) -> None:
    """Where both kinds of columns are there, the rows are votes of yes, no and unsure."""
    assert read(tmp_path, "task,annotator,label,vote\nt1,a1,cat,no\n").votes.vote.tolist() == [NO]


@pytest.mark.parametrize("name", ["votes.csv.gz", "votes.GZ"])
def test_gzip_by_extension(tmp_path: Path, name: str) -> None:
    """A compressed file is the same."""
    path = file(tmp_path, gzip.compress(CHOSEN.encode(), mtime=0), name)
    assert rows(read_ballot(path, None, None, "single")) == IN_CHOSEN


@pytest.mark.parametrize("name", ["votes.parquet", "votes.pq", "votes.PARQUET"])
def test_parquet_by_extension(tmp_path: Path, name: str) -> None:
    """Numbers and dictionaries in a Parquet file are names; the same numbers in another file match them."""
    table = pa.table(
        {
            "task": pa.array([1, 1, 20]),
            "annotator": pa.array(["a1", "a2", "a1"]).dictionary_encode(),
            "label": pa.array(["cat", "dog", "cat"], pa.large_string()),
        }
    )
    pyarrow.parquet.write_table(table, tmp_path / name)
    given = file(tmp_path, "task,label\n20,cat\n", "given.csv")
    ballot = read_ballot(tmp_path / name, given, None, "single")
    assert [(task, who, label) for task, who, label, _ in rows(ballot)] == [
        ("1", "a1", "cat"), ("1", "a2", "dog"), ("20", "a1", "cat")
    ]  # fmt: skip
    assert ballot.votes.n_tasks == 2


def test_names_may_hold_anything(tmp_path: Path) -> None:
    """Commas, quotes, spaces within, letters of any script and words for nothing are names, in and out."""
    names = ["a,b", 'say "x"', "two  words", "žirafa 🦒", "NA", "null", "nan", "0012"]
    with (tmp_path / "votes.csv").open("w", newline="", encoding="utf-8") as handle:
        writer = csv.writer(handle)
        writer.writerow(["task", "annotator", "label"])
        writer.writerows([name, name, name] for name in names)
    ballot = read_ballot(tmp_path / "votes.csv", None, None, "multiple")
    assert [row[0] for row in rows(ballot)] == names
    result = scored(ballot)
    for name in ("out.csv", "out.csv.gz"):
        write(result_table(ballot.votes, result), tmp_path / name)
        opened = gzip.open if name.endswith("gz") else open
        with opened(tmp_path / name, "rt", newline="", encoding="utf-8") as handle:
            written = list(csv.DictReader(handle))
        assert [row["task"] for row in written if row["yes"] == "1"] == names
        assert [row["label"] for row in written if row["yes"] == "1"] == names


def test_repeated_votes_are_counted_and_the_last_one_counts(tmp_path: Path) -> None:
    """Of a single choice a later label replaces the earlier, of several labels only the same one is repeated."""
    content = "task,annotator,label\nt1,a1,cat\nt1,a2,cat\nt1,a1,dog\nt1,a1,dog\n"
    single, multiple = read(tmp_path, content), read(tmp_path, content, choice="multiple")
    assert (rows(single), single.replaced) == ([("t1", "a2", "cat", YES), ("t1", "a1", "dog", YES)], 2)
    assert (len(rows(multiple)), multiple.replaced) == (3, 1)
    spoken = read(tmp_path, "task,label,annotator,vote\nt1,cat,a1,yes\nt1,cat,a1,no\n")
    assert (rows(spoken), spoken.replaced) == ([("t1", "a1", "cat", NO)], 1)


def test_given_labels_and_candidates(tmp_path: Path) -> None:
    """Without a column they are all given; 0 makes a candidate; tasks and labels need no vote."""
    ballot = read(tmp_path, CHOSEN, given="task,label,given\nt1,cat,1\nt9,emu,0\nt2,dog,True\n")
    names = ballot.votes
    listed = [
        (str(names.task_names[task]), str(names.label_names[label]), bool(flag))
        for task, label, flag in zip(ballot.listed.task, ballot.listed.label, ballot.listed.given, strict=True)
    ]
    assert listed == [("t1", "cat", True), ("t9", "emu", False), ("t2", "dog", True)]
    assert read(tmp_path, CHOSEN, given="task,label\nt1,cat\n").listed.given.tolist() == [True]


def test_trust_set_by_hand(tmp_path: Path) -> None:
    """It is put to the annotators by name; who is not named is learned, who has no vote is counted."""
    ballot = read(tmp_path, CHOSEN, trust="annotator,trust\na5,0.1\na2,0.5\na6,1\na5,0.2\n")
    assert ballot.votes.annotator_names.tolist() == ["a1", "a2"]
    assert math.isnan(ballot.fixed_trust[0])
    assert (ballot.fixed_trust[1], ballot.unused_trust) == (0.5, 2)
    assert read(tmp_path, CHOSEN).unused_trust == 0


@pytest.mark.parametrize(
    ("votes", "given", "trust", "message"),
    [
        ("task,annotator\nt1,a1\n", None, None, "votes.csv has the columns task, annotator; expected task,annot"),
        ("", None, None, "votes.csv has the columns none; expected"),
        ("\n\n", None, None, "votes.csv has the columns none; expected"),
        ("task,task,annotator,label\n1,2,a1,cat\n", None, None, "has two columns 'task'; take one out"),
        (
            "task,label,annotator,vote\nt1,cat,a1,yes\nt1,cat,a2,jein\n",
            None,
            None,
            "line 3: vote 'jein' is unknown",
        ),
        (
            "task,label,annotator,vote\n\nt1,cat,a1,yes\n\nt1,cat,a2,1\n",
            None,
            None,
            "line 5: vote '1' is unknown",
        ),
        (
            'x,task,label,annotator,vote\n"t\n1",t1,cat,a1,yes\n,t1,cat,a2,1\n',
            None,
            None,
            "line 4: vote '1' is unknown",
        ),
        (
            'task,annotator,label\nt1,a1,cat\nt2,"a1,cat\nt3,a2",dog\n',
            None,
            None,
            "votes.csv, line 4: column 'annotator' holds a line break; is a quotation mark missing or too much",
        ),
        (CHOSEN, 'task,label\nt1,"c\rat"\n', None, "given.csv, line 3: column 'label' holds a line break"),
        ("task,annotator,label\nt1, \t,cat\n", None, None, "line 2: column 'annotator' is empty; fill it"),
        (
            "task,annotator,label\nt1,a1,cat\nt2,a2,cat\n",
            "task,label\nt1,cat\n",
            None,
            "votes.csv: all votes are for the label 'cat', .*; name the other labels in --given with given=0",
        ),
        (
            CHOSEN,
            None,
            "annotator,trust\na1,1\na2,0.5\n a1,1\n",
            "trust.csv, line 4: trust of annotator 'a1' is set twice; take one out",
        ),
        (
            "task,annotator,label\nt1,a1,cat\nt1,,cat\n",
            None,
            None,
            "line 3: column 'annotator' is empty; fill it",
        ),
        (
            "task,annotator,label\nt1,a1,cat\n\nt1,a1,cat,dog\n",
            None,
            None,
            "line 4: 4 columns where the header has 3",
        ),
        ("task,annotator,label\nt1,a1\n", None, None, "line 2: 2 columns where the header has 3"),
        (
            b"task,annotator,label\nt1,a1,caf\xe9\n",
            None,
            None,
            "votes.csv, line 2: the byte 0xe9 is no UTF-8 text; save the file as UTF-8",
        ),
        (
            b"task,annotator,label\nt1,a1,c\x00t\n",
            None,
            None,
            "votes.csv, line 2: column 'label' holds a NUL char",
        ),
        (CHOSEN.encode("utf-16"), None, None, "votes.csv is UTF-16 text; save it as UTF-8"),
        (
            gzip.compress(CHOSEN.encode(), mtime=0),
            None,
            None,
            r"votes.csv is compressed with gzip; give it a name .* \.gz",
        ),
        (b"PAR1abc", None, None, r"votes.csv is a Parquet file; give it a name that ends in \.parquet"),
        (b"PK\x03\x04abc", None, None, "votes.csv is a zip file or a spreadsheet; save it as CSV"),
        (CHOSEN.replace("\n", "\r"), None, None, "votes.csv ends its lines with a carriage return alone"),
        (CHOSEN.replace(",", "|"), None, None, "its columns are separated by bars: use commas"),
        ("task,Task,annotator,label\n1,2,a1,cat\n", None, None, "has two columns 'task'; take one out"),
        ("# votes\n" + CHOSEN, None, None, "votes.csv has the columns # votes; expected task,annotator,label"),
        ('"a\nb",' + CHOSEN, None, None, "line 1: a quotation mark of the header is not closed"),
        (
            CHOSEN + 't3,"a1,cat\n',
            None,
            None,
            "line 5: 2 columns where the header has 3; .* close those that are op",
        ),
        (CHOSEN + "t" * 200_000 + ",a1\n", None, None, "line 5: 2 columns where the header has 3"),
        (
            CHOSEN,
            "task,label,given\nt1,cat,1\nt2,cat,1\nt1,cat,0\n",
            None,
            "given.csv, line 4: given is another than in an earlier row of the same task and label; take one out",
        ),
        (CHOSEN, None, "annotator,trust\na1,1_0\n", "trust.csv, line 2: trust of annotator 'a1' is '1_0'"),
        (CHOSEN, None, "annotator,trust\na1,inf\n", "trust.csv, line 2: trust of annotator 'a1' is 'inf'"),
        (CHOSEN, "task\nt1\n", None, "given.csv has the columns task; expected task,label"),
        (
            CHOSEN,
            "task,label,given\nt1,cat,1\nt2,cat,maybe\n",
            None,
            "given.csv, line 3: given is 'maybe'; use 1, or 0",
        ),
        (CHOSEN, "task,label,given\nt1,cat,\n", None, "given.csv, line 2: column 'given' is empty"),
        (CHOSEN, None, "annotator\na1\n", "trust.csv has the columns annotator; expected annotator,trust"),
        (
            CHOSEN,
            None,
            "annotator,trust\na1,nan\n",
            "trust.csv, line 2: trust of annotator 'a1' is 'nan'; use a num",
        ),
        (
            CHOSEN,
            None,
            "annotator,trust\na2,1\na1,-0.1\n",
            "trust.csv, line 3: trust of annotator 'a1' is '-0.1'",
        ),
        (CHOSEN, None, "annotator,trust\na1,high\n", "trust.csv, line 2: trust of annotator 'a1' is 'high'"),
        (CHOSEN, None, "annotator,trust\na1,1e999\n", "trust.csv, line 2: trust of annotator 'a1' is '1e999'"),
        (CHOSEN, None, "annotator,trust\nnobody,-1\n", "trust.csv, line 2: trust of annotator 'nobody' is '-1'"),
        (CHOSEN, None, "annotator,trust\na1,\n", "trust.csv, line 2: column 'trust' is empty"),
    ],
)
def test_what_cannot_be_used_is_refused_by_its_place(
    tmp_path: Path, votes: str | bytes, given: str | None, trust: str | None, message: str
) -> None:
    """The message names the file, the line and the remedy."""
    with pytest.raises(VotesError, match=message):
        read(tmp_path, votes, given, trust)


def test_several_choices_are_refused_where_votes_are_spelled_out(tmp_path: Path) -> None:
    """The option would say nothing there."""
    with pytest.raises(VotesError, match="column 'vote', so --choice multiple says nothing; leave it out"):
        read(tmp_path, SPOKEN, choice="multiple")


def test_one_label_is_enough_where_it_can_be_turned_down(tmp_path: Path) -> None:
    """By a candidate beside it, by one choice of several, by a no, or where there is no vote yet."""
    one = "task,annotator,label\nt1,a1,cat\n"
    assert len(rows(read(tmp_path, one, given="task,label,given\nt1,dog,0\n"))) == 1
    assert len(rows(read(tmp_path, one, choice="multiple"))) == 1
    assert len(rows(read(tmp_path, "task,label,annotator,vote\nt1,cat,a1,no\n"))) == 1
    empty = read(tmp_path, "task,annotator,label\n", given="task,label\nt1,cat\n")
    assert scored(empty).report.tolist() == ["NoVotes"]


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("votes.csv.gz", gzip.compress(CHOSEN.encode() * 50, mtime=0)[:-9], "is no whole gzip file"),
        ("votes.csv.gz", CHOSEN.encode(), "is no whole gzip file"),
        ("votes.csv.gz", b"", "has the columns none"),
        ("votes.parquet", CHOSEN.encode(), "votes.parquet is no whole Parquet file .*; write it again"),
        ("votes.parquet", b"", "votes.parquet is no whole Parquet file .*; write it again"),
    ],
)
def test_a_broken_file_is_refused(tmp_path: Path, name: str, content: bytes, message: str) -> None:
    """What is cut off or of another kind than its extension says is refused in one sentence."""
    with pytest.raises(VotesError, match=message):
        read_ballot(file(tmp_path, content, name), None, None, "single")


def test_an_open_quotation_mark_is_named_where_it_stands(tmp_path: Path) -> None:
    """The rest of the file belongs to it, so its last line would say nothing."""
    lines = [f"t{number},a1,cat" for number in range(5_000)]
    lines[9] = 't9,"a1,cat'
    with pytest.raises(VotesError, match="line 11: 2 columns where the header has 3"):
        read(tmp_path, "task,annotator,label\n" + "\n".join(lines) + "\n")


@pytest.mark.parametrize("name", ["votes[1].csv", "vo*es.csv", "what's ?.csv", 'a "b".csv'])
def test_a_name_is_no_pattern(tmp_path: Path, name: str) -> None:
    """A file is read, whatever letters its name has, and no other."""
    (tmp_path / "votes1.csv").write_text("task,annotator,label\n")
    assert rows(read_ballot(file(tmp_path, CHOSEN, name), None, None, "single")) == IN_CHOSEN
    parquet = (tmp_path / name).with_suffix(".parquet")
    pyarrow.parquet.write_table(pyarrow.csv.read_csv(tmp_path / name), parquet)
    assert rows(read_ballot(parquet, None, None, "single")) == IN_CHOSEN


def test_rows_of_parquet_are_named(tmp_path: Path) -> None:
    """Parquet has rows, not lines; a column that is no text is refused by its type."""
    path = tmp_path / "votes.parquet"
    pyarrow.parquet.write_table(
        pa.table({"task": ["t", None], "annotator": ["a", "b"], "label": ["x", "y"]}), path
    )
    with pytest.raises(VotesError, match=r"votes.parquet, row 2: column 'task' is empty"):
        read_ballot(path, None, None, "single")
    pyarrow.parquet.write_table(pa.table({"task": [[1]], "annotator": ["a"], "label": ["x"]}), path)
    with pytest.raises(VotesError, match=r"column 'task' holds BIGINT.*; use text or numbers"):
        read_ballot(path, None, None, "single")


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    """The message names the path; a folder is no file."""
    with pytest.raises(VotesError, match=r"none.csv cannot be read: No such file"):
        read_ballot(tmp_path / "none.csv", None, None, "single")
    with pytest.raises(VotesError, match="is a folder without a Parquet file; name another, or a file"):
        read_ballot(tmp_path, None, None, "single")


@pytest.mark.parametrize("header", ["task,annotator,label\n", "task,label,annotator,vote\n"])
def test_a_file_without_rows_has_an_empty_result(tmp_path: Path, header: str) -> None:
    """No votes are no classifications; with given labels they are all without a vote."""
    empty = read(tmp_path, header)
    assert len(result_table(empty.votes, scored(empty))["task"]) == 0
    listed = read(tmp_path, header, given="task,label\nt1,cat\nt2,dog\n")
    assert scored(listed).report.tolist() == ["NoVotes", "NoVotes"]


def test_the_result_has_exactly_its_columns(tmp_path: Path) -> None:
    """The columns are in their order, and the counts are the hand-counted ones."""
    ballot = read(tmp_path, CHOSEN, given="task,label\nt1,cat\nt3,cat\n")
    write(result_table(ballot.votes, scored(ballot)), tmp_path / "out.csv")
    lines = (tmp_path / "out.csv").read_text(encoding="utf-8").splitlines()
    assert lines[0] == ",".join(COLUMNS)
    assert [line.split(",")[:6] for line in lines[1:]] == [
        ["t1", "cat", "1", "1", "1", "0"],
        ["t1", "dog", "0", "1", "1", "0"],
        ["t2", "cat", "0", "1", "0", "0"],
        ["t2", "dog", "0", "0", "1", "0"],
        ["t3", "cat", "1", "0", "0", "0"],
    ]
    assert [line.split(",")[8] for line in lines[1:]][-1] == "NoVotes"


def test_the_annotators_have_votes_and_trust(tmp_path: Path) -> None:
    """A row per annotator with the number of tasks, and the trust set by hand where it is."""
    ballot = read(tmp_path, CHOSEN, trust="annotator,trust\na2,0.25\n")
    table = annotators_table(ballot.votes, scored(ballot))
    assert list(table) == ["annotator", "votes", "trust", "trust_low", "trust_high"]
    assert table["annotator"].tolist() == ["a1", "a2"]
    assert table["votes"].tolist() == [2, 1]
    assert table["trust"][1] == 0.25


def test_all_forms_of_output_hold_the_same(tmp_path: Path) -> None:
    """CSV, gzip and Parquet read back equal; a CSV has ten digits of a probability."""
    ballot = read(tmp_path, CHOSEN)
    table = result_table(ballot.votes, scored(ballot))
    for name in ("out.csv", "out.csv.gz", "out.parquet"):
        write(table, tmp_path / name)
    plain = (tmp_path / "out.csv").read_bytes()
    assert gzip.decompress((tmp_path / "out.csv.gz").read_bytes()) == plain
    assert pyarrow.parquet.read_table(tmp_path / "out.parquet").to_pydict() == {
        name: column.tolist() for name, column in table.items()
    }
    again = pyarrow.csv.read_csv(tmp_path / "out.csv")
    assert again["confidence"].to_pylist() == table["confidence"].round(10).tolist()


@pytest.mark.parametrize("target", ["missing/out.csv", ".", ""])
def test_a_place_that_cannot_be_written_is_refused(tmp_path: Path, target: str) -> None:
    """A missing folder and a folder itself are named, and nothing is left behind."""
    with pytest.raises(VotesError, match="cannot be written: "):
        write({"a": np.array([1])}, tmp_path / target)
    assert list(tmp_path.iterdir()) == []


def test_a_write_that_fails_leaves_the_old_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Half a result is never seen: the old file stays, and no part of the new one."""
    write(OLD, tmp_path / "out.csv")

    def full(_piece: object, whole: IO[bytes]) -> None:
        whole.write(b"half")
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(shutil, "copyfileobj", full)
    failing = pytest.raises(VotesError, match=r"out.csv cannot be written: No space left on device")
    with failing, writing(tmp_path / "out.csv") as put:
        put(NEW)
        put(NEW)
    assert [(path.name, path.read_text()) for path in tmp_path.iterdir()] == [("out.csv", "a\nold\n")]


def test_a_file_is_replaced_at_once(tmp_path: Path) -> None:
    """Who is reading the old file goes on reading the old one."""
    path = tmp_path / "out.csv"
    write(OLD, path)
    with path.open() as reading:
        write(NEW, path)
        assert reading.read() == "a\nold\n"
    assert path.read_text() == "a\nnew\n"


@pytest.mark.parametrize("name", ["t" * 200_000, "ž" * 2_000_000])
def test_names_may_be_as_long_as_they_like(tmp_path: Path, name: str) -> None:
    """Longer than a field of Python's reader and than a block of Arrow's."""
    ballot = read(tmp_path, CHOSEN + f"{name},a1,cat\n")
    assert ballot.votes.task_names.tolist() == ["t1", "t2", name]


@pytest.mark.parametrize("end", ["", "\n", "\r\n\r\n"])
def test_a_header_alone_is_a_file_without_votes(tmp_path: Path, end: str) -> None:
    """With or without a line feed behind it; it is said."""
    ballot = read(tmp_path, "task,annotator,label" + end)
    assert len(ballot.votes) == 0
    assert [note.split("/")[-1] for note in ballot.notes] == ["votes.csv holds no votes"]


@pytest.mark.parametrize("what", ["given", "gold"])
def test_rows_that_repeat_are_said(tmp_path: Path, what: str) -> None:
    """The same word twice is no contradiction, and no secret."""
    repeated = "task,label\nt1,cat\nt1,cat\n"
    ballot = read(tmp_path, CHOSEN, **{what: repeated})  # type: ignore[arg-type]
    assert [note.split("/")[-1] for note in ballot.notes] == [f"{what}.csv: 1 rows repeat an earlier one"]


@pytest.mark.parametrize(
    ("votes", "note"),
    [
        ("task,annotator,label\nt1,a1,cat\nt2,a1,dog\n", "all votes are those of 'a1'; nobody checks them"),
        ("task,label,annotator,vote\nt1,cat,a1,unsure\nt1,cat,a2,unsure\n", "all votes are unsure"),
        (CHOSEN.replace("dog", "CAT"), "the labels 'cat' and 'CAT' look alike"),
        (CHOSEN.replace("dog", "ca\u200bt"), r"the labels 'cat' and 'ca\u200bt' look alike"),
        (
            CHOSEN.replace("cat", "\u00e9").replace("dog", "e\u0301"),
            r"the labels '\xe9' and 'e\u0301' look alike",
        ),
        (CHOSEN.replace("a2", "A1"), "the annotators 'a1' and 'A1' look alike"),
        (CHOSEN.replace("cat", "1").replace("dog", "1.0"), "the labels '1' and '1.0' look alike"),
        (CHOSEN.replace("cat", "big cat").replace("dog", "big  cat"), "the labels 'big cat' and 'big  cat' look"),
        (
            CHOSEN.replace("dog", "-1"),
            "'-1' counts as a label; where it stands for no vote (as -1 does in snork",
        ),
        (CHOSEN.replace("dog", "None"), "'None' counts as a label; where it stands for no vote"),
        (CHOSEN + "t3,a1,cat#dog\n", "'cat#dog' counts as one label; if it is several, write a row for each"),
        (CHOSEN + "t3,a1,\nt3,a2,nan\n,,\n", "3 rows have nothing in column 'label' and are no votes"),
        (SPOKEN + "t3,cat,a1,\n", "1 rows have nothing in column 'vote' and are no votes"),
    ],
)
def test_what_makes_a_result_poor_is_said(tmp_path: Path, votes: str, note: str) -> None:
    """One annotator, unsure votes only, and names that differ by a slip of the pen."""
    assert [note in found for found in read(tmp_path, votes).notes] == [True]
    assert read(tmp_path, CHOSEN).notes == ()


def test_a_file_that_may_not_be_read_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Root may read anything, so the refusal is made."""
    path = file(tmp_path, CHOSEN)

    opened = Path.open

    def refuse(self: Path, *args: Any, **options: Any) -> IO[Any]:  # noqa: ANN401  # whatever open takes
        if self == path:
            raise PermissionError(13, "Permission denied")
        return opened(self, *args, **options)

    monkeypatch.setattr(Path, "open", refuse)
    with pytest.raises(VotesError, match=r"votes.csv cannot be read: Permission denied"):
        read_ballot(path, None, None, "single")


def test_a_folder_without_a_parquet_file_is_refused(tmp_path: Path) -> None:
    """Whatever its name ends in."""
    (tmp_path / "votes.parquet").mkdir()
    with pytest.raises(
        VotesError, match=r"votes.parquet is a folder without a Parquet file; name another, or a file"
    ):
        read_ballot(tmp_path / "votes.parquet", None, None, "single")


@pytest.mark.parametrize(
    ("column", "names"),
    [
        (pa.array([1.0, 2.5]), ["1", "2.5"]),
        (pa.array([True, False]), ["true", "false"]),
        (pa.array([7, 8], pa.uint8()).dictionary_encode(), ["7", "8"]),
        (pa.array([b"x", b"\xc3\xa9"]), ["x", "é"]),
    ],
    ids=["numbers", "flags", "dictionary", "bytes"],
)
def test_parquet_of_odd_types_is_text(tmp_path: Path, column: pa.Array, names: list[str]) -> None:
    """What has a plain spelling is read as it is spelled."""
    path = tmp_path / "votes.parquet"
    pyarrow.parquet.write_table(pa.table({"task": column, "annotator": ["a1", "a2"], "label": ["x", "y"]}), path)
    assert read_ballot(path, None, None, "single").votes.task_names.tolist() == names


@pytest.mark.parametrize("column", [pa.array([b"\xff", b"a"]), pa.array([{"a": 1}, {"a": 2}]), pa.nulls(2)])
def test_parquet_that_has_no_spelling_is_refused(tmp_path: Path, column: pa.Array) -> None:
    """Bytes that are no text, records and columns of nothing."""
    path = tmp_path / "votes.parquet"
    pyarrow.parquet.write_table(pa.table({"task": column, "annotator": ["a1", "a2"], "label": ["x", "y"]}), path)
    with pytest.raises(VotesError, match=r"column 'task' (holds .*; use text or numbers|is empty)"):
        read_ballot(path, None, None, "single")


def gold_rows(ballot: Ballot) -> list[tuple[str, str, bool]]:
    """The gold by name: task, label, right."""
    gold, names = ballot.gold, ballot.votes
    return [
        (
            str(names.task_names[task]),
            "?" if label == NO_LABEL else str(names.label_names[label]),
            bool(right),
        )
        for task, label, right in zip(gold.task, gold.label, gold.right, strict=True)
    ]


def test_gold_of_a_single_choice(tmp_path: Path) -> None:
    """The right labels; one that nobody chose says that all others are wrong, and cannot teach."""
    ballot = read(tmp_path, CHOSEN, gold="task,label\nt2,owl\nt1,dog\nt9,cat\nt8,cat\n")
    assert gold_rows(ballot) == [("t2", "?", True), ("t1", "dog", True)]
    assert (ballot.gold_tasks, ballot.lesson.label.tolist()) == (2, [1])
    assert [note.split("/")[-1] for note in ballot.notes] == [
        "gold.csv: 2 gold tasks have no vote and are not listed; they have no effect"
    ]
    assert "owl" not in ballot.votes.label_names.tolist()
    assert read(tmp_path, CHOSEN).gold_tasks == 0


def test_gold_without_a_column_right_names_all_right_labels(tmp_path: Path) -> None:
    """Of several choices and of yes and no the others are wrong; with the column only the named are known."""
    of_several = read(tmp_path, CHOSEN, choice="multiple", gold="task,label\nt1,dog\n")
    assert gold_rows(of_several) == [("t1", "cat", False), ("t1", "dog", True)]
    spoken = read(tmp_path, SPOKEN, given="task,label\nt1,emu\n", gold="task,label\nt1,emu\nt2,owl\n")
    assert gold_rows(spoken) == [("t1", "cat", False), ("t1", "emu", True), ("t2", "dog", False)]
    named = read(tmp_path, SPOKEN, gold="task,label,right\nt1,cat,0\nt2,owl,1\n")
    assert gold_rows(named) == [("t1", "cat", False)]


def test_gold_teaches_trust(tmp_path: Path) -> None:
    """Whom gold contradicts is trusted less."""
    votes = "task,annotator,label\n" + "".join(f"t{n},a1,cat\nt{n},a2,dog\nt{n},a3,owl\n" for n in range(20))
    gold = "task,label\n" + "".join(f"t{n},cat\n" for n in range(20))
    ballot = read(tmp_path, votes, gold=gold)
    trust = score(ballot.votes, ballot.listed, ballot.lesson, ballot.fixed_trust).trust
    assert [trust[0] > 0.9, trust[1] < 0.2] == [True, True]


@pytest.mark.parametrize(
    ("gold", "message"),
    [
        ("task\nt1\n", "gold.csv has the columns task; expected task,label"),
        (
            "task,label,right\nt1,cat,yes\n",
            "gold.csv, line 2: right is 'yes'; use 1, or 0 for a label that is wrong",
        ),
        ("task,label,right\nt1,cat,1\nt1,cat,0\n", "gold.csv, line 3: right is another than in an earlier row"),
        ("task,label\nt2,cat\nt1,cat\nt1,dog\n", "gold.csv, line 4: task 't1' has another right label above"),
    ],
)
def test_gold_that_cannot_be_used_is_refused(tmp_path: Path, gold: str, message: str) -> None:
    """The message names the line."""
    with pytest.raises(VotesError, match=message):
        read(tmp_path, CHOSEN, gold=gold)


def many_labels(tasks: int, labels: int) -> str:
    """Three annotators; the third contradicts on every tenth task."""
    lines = [
        f"t{task},a{who},l{(task + 7 * (who == 3 and task % 10 == 0)) % labels}"
        for task in range(tasks)
        for who in (1, 2, 3)
    ]
    return "task,annotator,label\n" + "\n".join(lines) + "\n"


def test_ten_thousand_labels(tmp_path: Path) -> None:
    """Where all pairs of a task and a label are too many, those that nobody chose are left out."""
    tasks = MANY_ROWS // 10_000 + 1
    ballot = read(tmp_path, many_labels(10_000, 10_000), given="task,label\nt3,l5\n")
    result = scored(ballot)
    assert tasks < 10_000
    assert len(result.classifications) == 10_000 + 1_000 + 1
    assert ballot.many_labels
    given = np.flatnonzero(result.classifications.given)
    counts = result.counts
    assert [(counts.yes[row], counts.no[row], counts.unsure[row]) for row in given] == [(0, 3, 0)]


def test_ten_thousand_labels_of_which_several_may_be_chosen(tmp_path: Path) -> None:
    """They are written out for the labels that somebody chose, with the counts that they would have had."""
    ballot = read(tmp_path, many_labels(500, 500), given="task,label\nt3,l5\n", choice="multiple")
    table = result_table(ballot.votes, scored(ballot))
    assert len(table["task"]) == 500 * 500
    assert FEW_LABELS < 500
    sparse = read(tmp_path, many_labels(2_000, 2_000), given="task,label\nt3,l5\n", choice="multiple")
    found = result_table(sparse.votes, scored(sparse))
    columns = (found[name].tolist() for name in ("task", "label", "yes", "no"))
    rows_of = {(task, label): (yes, no) for task, label, yes, no in zip(*columns, strict=True)}
    assert (sparse.rows, len(rows_of)) == (6_000, 2_000 + 200 + 1)
    assert [rows_of[key] for key in (("t3", "l3"), ("t3", "l5"), ("t10", "l10"), ("t10", "l17"))] == [
        (3, 0), (0, 3), (2, 1), (1, 2)
    ]  # fmt: skip
