from pathlib import Path

import pytest

pytest.importorskip("scipy", reason="scipy is not installed")

from data_sets import read_sets
from made_sets import write_single, write_yes_no


def test_a_single_choice_is_read_as_text(tmp_path: Path) -> None:
    """Tasks keep zeros and the order of the file; one without truth has none; a label without votes counts."""
    write_single(tmp_path, "dog")
    (votes,) = read_sets(tmp_path, ["dog"])
    assert votes.item_names[:, 0].tolist() == ["10", "007", "9"]
    assert votes.classes.tolist() == ["a", "b", "c"]
    assert votes.truth.tolist() == [2, -1, 1]
    assert votes.tallies.tolist() == [[1, 1, 0], [1, 0, 0], [0, 2, 0]]
    assert votes.one_hot.toarray().tolist() == [[0, 1, 0, 1, 0, 0], [0, 0, 0, 1, 0, 0], [0, 1, 0, 0, 1, 0]]


def test_unsure_votes_are_dropped(tmp_path: Path) -> None:
    """A question is a (task, label); one with unsure votes only is not there."""
    write_yes_no(tmp_path, "votes.parquet")
    (votes,) = read_sets(tmp_path, ["real-votes"])
    assert [" ".join(name) for name in votes.item_names] == ["t1 cat", "t1 dog", "t2 dog"]
    assert votes.tallies.tolist() == [[1, 1], [1, 0], [0, 1]]
    assert votes.truth.tolist() == [1, 0, -1]


def test_the_engine_gets_the_same_votes(tmp_path: Path) -> None:
    """A question becomes a vote of yes or no on its task and label, a choice a vote for its label."""
    write_yes_no(tmp_path, "votes.parquet")
    write_single(tmp_path, "dog")
    single, questions = (each.votes for each in read_sets(tmp_path, ["dog", "real-votes"]))
    rows = zip(
        questions.task_names[questions.task], questions.label_names[questions.label], questions.vote, strict=True
    )
    assert [(task, label, int(vote)) for task, label, vote in rows] == [
        ("t1", "cat", 1),
        ("t1", "cat", -1),
        ("t1", "dog", -1),
        ("t2", "dog", 1),
    ]
    assert questions.choice == "each"
    assert single.choice == "single"
    assert single.label_names[single.label].tolist() == ["b", "a", "a", "b", "b"]
    assert single.task_names[single.task].tolist() == ["10", "10", "007", "9", "9"]


def test_a_set_that_is_missing_is_skipped(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The others are read, and one line names the file that is not there."""
    write_single(tmp_path, "dog")
    assert [votes.name for votes in read_sets(tmp_path, ["face", "dog"])] == ["dog"]
    assert capsys.readouterr().out == f"face: skipped, there is no {tmp_path / 'face' / 'votes.csv'}\n"
