"""The measurement of suggestions: what is learned from, what is judged by, and the bars."""

import argparse
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("sklearn", reason="the ML backend is not installed (extra ml)")

import suggestions
from suggestions import Set


def test_every_method_is_judged_by_the_same_tasks() -> None:
    """On groups that lie far apart all methods are right on all others."""
    label = np.arange(120) % 3
    noise = np.random.default_rng(0).normal(scale=0.1, size=(120, 4))
    groups = Set(
        "groups", (np.eye(4)[label] + noise).astype(np.float32), np.eye(3, dtype=np.float32)[label], label
    )
    rows = suggestions.judged(groups, count=60, seed=0)
    assert len(rows) == 5
    for accuracy, macro_f1, error, chance in rows.values():
        assert (accuracy, macro_f1) == (1, 1)
        assert error < 0.2
        assert chance < 0.05


def test_columns_are_read_by_name(tmp_path: Path) -> None:
    """Only the columns that are asked for, in that order."""
    file = tmp_path / "votes.csv"
    file.write_text("task,annotator,label\nt1,a,sea\nt2,b,land\n")
    assert suggestions.rows_of(file, "label", "task") == [("sea", "t1"), ("land", "t2")]


@pytest.mark.parametrize(
    ("ours", "error", "seconds", "status"),
    [(0.745, 0.05, 9, 0), (0.73, 0.05, 9, 1), (0.745, 0.06, 9, 1), (0.745, 0.05, 11, 1)],
)
def test_bars(ours: float, error: float, seconds: float, status: int) -> None:
    """Ours may be .01 behind the better half, must be honest from 200 annotations on, and take 10 s at most."""
    accuracies = {"clusters alone": 0.5, "linear alone": 0.75, "ours": ours}
    rows = {method: [each, 0.5, error, 0.02] for method, each in accuracies.items()}
    options = argparse.Namespace(fit=10)
    assert suggestions.report({"set": {"200": rows}}, {"ours": seconds}, options) == status


def test_few_annotations_may_be_off() -> None:
    """With 50 annotations the bar of the calibration does not hold yet."""
    rows = {method: [0.5, 0.5, 0.25, 0.1] for method in ("clusters alone", "linear alone", "ours")}
    assert suggestions.report({"set": {"50": rows}}, None, argparse.Namespace(fit=0)) == 0
