"""The measurement of speed: its votes and its bars."""

from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest

pytest.importorskip("crowdkit", reason="crowd-kit is not installed (extra benchmarks)")

import simulated_votes
import speed
from metrics import accuracy


def test_nobody_votes_twice_on_a_task() -> None:
    """Five annotators vote on each task, and the matrices behind the votes are those of 70 % right votes."""
    (chunk,) = simulated_votes.chunks(50_000, seed=1)
    pairs = np.unique(np.stack([chunk.task, chunk.annotator]), axis=1)
    assert pairs.shape[1] == 50_000
    assert np.bincount(chunk.task).tolist() == [5] * 10_000
    assert (chunk.label == np.repeat(chunk.truth, 5)).mean() == pytest.approx(0.7, abs=0.03)


def test_both_programs_are_right_about_the_same_file(tmp_path: Path) -> None:
    """From a CSV to a CSV each is measured, and what they believe is read back task by task."""
    votes, result = tmp_path / "votes.csv", tmp_path / "result.csv"
    simulated_votes.write_names([tmp_path / "votes.parquet"], 5_000, seed=1)
    speed.write_csv(pq.read_table(tmp_path / "votes.parquet"), votes)
    tasks, truth = simulated_votes.task_names(range(1_000)), simulated_votes.truth_of(5_000, seed=1)
    ours = speed.measure(speed.SCORE, votes, "--out", result)
    of_ours = accuracy(speed.beliefs(result, tasks, simulated_votes.LABELS), truth)
    speed.measure(speed.CROWD_KIT, votes, result)
    of_peer = accuracy(speed.wide_beliefs(result, tasks, simulated_votes.LABELS), truth)
    assert of_ours == pytest.approx(of_peer, abs=0.05)
    assert of_ours > 0.8
    assert all(figure > 0 for figure in ours.values())


def measurement(votes: float, seconds: float, accuracy: float = 0.9, megabytes: float = 50) -> speed.Measured:
    """What a run takes."""
    return {"votes": votes, "seconds": seconds, "accuracy": accuracy, "megabytes": megabytes}


def test_bars_are_those_of_the_runs() -> None:
    """Each bar is looked at where both sides ran, and missed on the wrong side of it."""
    rows = {
        "small": {speed.OURS: measurement(1e6, 1), speed.PEER: measurement(1e6, 7.9)},
        "large": {speed.OURS: measurement(1e7, 16, megabytes=2001)},
        "ReaL": {speed.OURS: measurement(924_810, 1.4), speed.PEER: measurement(8e5, 7.1, accuracy=0.95)},
    }
    assert speed.bars_of(rows) == {
        "8 times as fast: small": False,
        "5 times as fast: ReaL": True,
        "as right, or more: small": True,
        "as right, or more: ReaL": False,
        "ten million under 15 s": False,
        "ten million under 2 GB": False,
        "linear in votes": False,
    }


def test_crowd_kit_is_left_out_where_it_would_not_end() -> None:
    """By what it took on fewer votes it is said how long it would take, or how much it would need."""
    assert speed.why_not(10**7, None, 8 * 10**9) == ""
    assert speed.why_not(10**7, measurement(1e6, 1), 8 * 10**9) == ""
    assert speed.why_not(10**9, measurement(1e6, 6, megabytes=1), 8 * 10**9) == "it would take about 100 minutes"
    assert (
        speed.why_not(10**9, measurement(1e6, 1, megabytes=10**6), 8 * 10**9) == "it would need about 1000000 GB"
    )
