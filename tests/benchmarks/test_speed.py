"""The measurement of speed: its votes and its bars."""

from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest

pytest.importorskip("crowdkit", reason="crowd-kit is not installed (extra benchmarks)")

import measured
import simulated_votes
import speed


def test_nobody_votes_twice_on_a_task() -> None:
    """Five annotators vote on each task, and the matrices behind the votes are those of 70 % right votes."""
    (chunk,) = simulated_votes.chunks(50_000, seed=1)
    pairs = np.unique(np.stack([chunk.task, chunk.annotator]), axis=1)
    assert pairs.shape[1] == 50_000
    assert np.bincount(chunk.task).tolist() == [5] * 10_000
    assert (chunk.label == np.repeat(chunk.truth, 5)).mean() == pytest.approx(0.7, abs=0.03)


def test_names_and_numbers_are_the_same_votes(tmp_path: Path) -> None:
    """Both runs of a method see the same votes, and are as right."""
    numbers, names, truth = (tmp_path / name for name in ("votes.npz", "votes.parquet", "truth.npz"))
    simulated_votes.write_arrays(numbers, 5_000, seed=1)
    simulated_votes.write_names([names], 5_000, seed=1)
    simulated_votes.write_truth(truth, 5_000, seed=1)
    with np.load(numbers) as columns:
        expected = [f"task-{task:09d}" for task in columns["task"].tolist()]
    assert pq.read_table(names)["task"].to_pylist() == expected
    result = measured.of_votes("ours", names, truth)
    assert result["votes"] == 5_000
    assert result["accuracy"] == pytest.approx(measured.of_votes("crowd-kit", names, truth)["accuracy"], abs=0.05)
    assert result["accuracy"] > 0.8


def measurement(votes: float, seconds: float, accuracy: float = 0.9, size: float = 50) -> speed.Measured:
    """What a run says."""
    return {"votes": votes, "seconds": seconds, "accuracy": accuracy, "bytes_per_vote": size}


def test_bars_are_those_of_the_runs() -> None:
    """Each bar is looked at where both sides ran, and missed on the wrong side of it."""
    rows = {
        "small": {speed.OURS: measurement(1e6, 1), speed.PEER: measurement(1e6, 9.9)},
        "large": {speed.OURS: measurement(1e7, 16, size=101)},
        "ReaL": {speed.OURS: measurement(924_810, 1.4), speed.PEER: measurement(8e5, 14, accuracy=0.95)},
    }
    assert speed.bars_of(rows, "ReaL") == {
        "10 times as fast: small": False,
        "10 times as fast: ReaL": True,
        "as right, or more: small": True,
        "as right, or more: ReaL": False,
        "under 100 bytes a vote: large": False,
        "ReaL under 1.5 s": True,
        "ten million under 15 s": False,
        "linear in votes": False,
    }


def test_crowd_kit_is_left_out_where_it_would_not_end() -> None:
    """By what it took on fewer votes it is said how long it would take, or how much it would need."""
    assert speed.why_not(10**7, None, 8 * 10**9) == ""
    assert speed.why_not(10**7, measurement(1e6, 1), 8 * 10**9) == ""
    assert speed.why_not(10**9, measurement(1e6, 6, size=1), 8 * 10**9) == "it would take about 100 minutes"
    assert speed.why_not(10**9, measurement(1e6, 1, size=10**9), 8 * 10**9) == "it would need about 1000000000 GB"
