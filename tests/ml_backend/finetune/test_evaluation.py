from typing import Any

import numpy as np
import pytest
from training_parts import BLIND, Embedder, Images

from common.progress import silent
from ml_backend.core.finetune.targets import ControlTargets
from ml_backend.finetune.evaluation import Figure, Judgement, judge
from ml_backend.finetune.plan import split_of
from ml_backend.finetune.tuning_folder import Inputs

N = 60


def inputs(n: int = N) -> Inputs:
    """Even tasks are dark, odd ones light."""
    shares = np.eye(2, dtype=np.float32)[np.arange(n) % 2]
    return Inputs(
        tasks=np.arange(n),
        keys=np.full(n, "image"),
        urls=np.array([f"/{number}.png" for number in range(n)]),
        contents=np.arange(n).astype(str),
        targets={"kind": ControlTargets(shares, np.ones(n, dtype=np.float32), multiple=False)},
    )


def judged(before: str, after: str, images: Images | None = None, found: Inputs | None = None) -> Judgement:
    """Compare two weights; some see, some are blind."""
    gatherer: Any = images or Images()
    known = found or inputs()
    embedders: Any = Embedder(before), Embedder(after)
    return judge(
        gatherer,
        7,
        known,
        split_of(known),
        before=lambda _: embedders[0],
        after=embedders[1],
        progress=silent,
    )


def test_weights_that_see_are_better_than_blind_ones() -> None:
    """Blind ones are right by chance, the others always; the held-out tasks judge."""
    better = judged(BLIND, "5ee15ee1")
    [figure] = better.figures
    assert figure.tasks == len(split_of(inputs()).judged)
    assert figure.after == 1
    assert figure.before < 0.9
    assert better.better is True
    assert judged("5ee15ee1", BLIND).better is False


def test_equal_weights_are_not_better() -> None:
    """New weights have to be better to be used."""
    assert judged("5ee15ee1", "5ee15ee1").better is False


def test_the_mean_over_the_controls_counts() -> None:
    """One control gains less than the other loses."""
    figures = Figure("kind", 10, before=0.5, after=0.6), Figure("traits", 10, before=0.9, after=0.7)
    assert Judgement(figures, 0, None).better is False
    assert Judgement(figures[:1], 0, None).better is True


def test_images_that_cannot_be_embedded_do_not_judge() -> None:
    """The first held-out task's picture is gone: one less judges."""
    first = int(split_of(inputs()).judged[0])
    [figure] = judged(BLIND, "5ee15ee1", Images(frozenset({first}))).figures
    assert figure.tasks == len(split_of(inputs()).judged) - 1


def test_without_annotations_nothing_tells() -> None:
    """A project that only has images has no figures, and neither has one whose images are all gone."""
    read = inputs()
    bare = Inputs(read.tasks, read.keys, read.urls, read.contents, {})
    assert judged(BLIND, "5ee15ee1", found=bare) == Judgement((), 0, None)
    assert Judgement((), 0, None).better is None
    assert judged(BLIND, "5ee15ee1", Images(frozenset(range(N)))).figures == ()


@pytest.mark.parametrize("multiple", [False, True])
def test_a_control_that_no_held_out_task_speaks_of_has_no_figure(multiple: bool) -> None:  # noqa: FBT001
    """Weights of 0 in all tasks that judge leave nothing to say."""
    read = inputs()
    parts = split_of(read)
    read.targets["other"] = ControlTargets(
        read.targets["kind"].shares, np.isin(np.arange(N), parts.learned).astype(np.float32), multiple
    )
    assert [figure.control for figure in judged(BLIND, "5ee15ee1", found=read).figures] == ["kind"]
