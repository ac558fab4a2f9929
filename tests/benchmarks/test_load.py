"""The measurement under load: its bars."""

import argparse
from collections import Counter
from types import SimpleNamespace

import pytest

pytest.importorskip("sklearn", reason="the ML backend is not installed (extra ml)")

import load

OURS = "ours: the suggestion of a task"
OPTIONS = argparse.Namespace(minutes=5, annotators=8)


def times(milliseconds: float) -> load.Times:
    """Answers that all took as long."""
    made = load.Times()
    made.seconds[OURS] = [milliseconds / 1000] * 3
    return made


def status(**changed: object) -> int:
    """The exit status of a run in which all went well but for what is changed."""
    figures = {
        "predicted": 400,
        "faults": 0,
        "trainings": Counter(promoted=1, nothing_new=2),
        "ms": 200,
        "lost": 0,
    } | changed
    meanwhile = SimpleNamespace(hostile=load.Times(), **figures)
    return load.report(OPTIONS, times(50), times(figures["ms"]), meanwhile, figures["lost"])


def test_bars() -> None:
    """Slow answers, faults and losses miss a bar; so does a load that was none."""
    assert status() == 0
    worse: list[dict[str, object]] = [
        {"ms": 301}, {"faults": 1}, {"lost": 1}, {"predicted": 0}, {"trainings": Counter(nothing_new=2)},
    ]  # fmt: skip
    assert [status(**changed) for changed in worse] == [1] * len(worse)


def test_trainings_are_counted_by_result() -> None:
    """One that had nothing to learn is a training that ended, and no version."""
    page = (
        'ml_backend_trainings_total{result="promoted"} 1.0\nml_backend_trainings_total{result="nothing_new"} 4.0\n'
    )
    assert load.TRAININGS.findall(page) == [("promoted", "1.0"), ("nothing_new", "4.0")]
