import os
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
import torch

from ml_backend.core.identity import Identity
from ml_backend.embedding.engines import EngineError, engine_file
from ml_backend.embedding.exporting import export_apart, once, prune_engines
from ml_backend.errors import WeightsError


def test_a_state_dict_that_does_not_fit_is_named(tmp_path: Path) -> None:
    """What is wrong with the weights, not with ONNX, comes back as such from the other process."""
    state = tmp_path / "mine.pt"
    torch.save({"conv1.weight": torch.zeros(1)}, state)
    with pytest.raises(WeightsError, match="does not fit resnet18"):
        export_apart(Identity("resnet18", "0a1b2c3d"), state, tmp_path / "x.onnx", timeout_s=600)


def test_an_export_has_a_limit(tmp_path: Path) -> None:
    """A process that takes too long is ended, and nothing is left of it."""
    with pytest.raises(EngineError, match="took over 0 s"):
        export_apart(Identity("resnet18", "random"), None, tmp_path / "x.onnx", timeout_s=0.1)
    assert list(tmp_path.iterdir()) == []


def test_several_at_once_make_a_file_once(tmp_path: Path) -> None:
    """Of four that need the same engine one makes it and the others wait."""
    path, made, all_there = tmp_path / "engines" / "x.onnx", [], threading.Barrier(4)

    def make() -> None:
        made.append(threading.get_ident())
        path.touch()

    def need(_: int) -> None:
        all_there.wait(20)
        once(path, make, wait_s=20)

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(need, range(4)))
    assert len(made) == 1


def test_a_wait_for_another_export_has_a_limit(tmp_path: Path) -> None:
    """Who waits longer than the limit is told so."""
    path, begun, go_on = tmp_path / "x.onnx", threading.Event(), threading.Event()

    def make() -> None:
        begun.set()
        go_on.wait(20)

    with ThreadPoolExecutor(1) as pool:
        first = pool.submit(once, path, make, wait_s=20)
        assert begun.wait(20)
        with pytest.raises(EngineError, match="still being exported after 0 s"):
            once(path, list, wait_s=0)
        go_on.set()
        first.result(20)


def test_a_folder_that_takes_no_file_is_said(tmp_path: Path) -> None:
    """A file where the folder should be is a reason to do without an engine."""
    (tmp_path / "engines").touch()
    with pytest.raises(EngineError, match="cannot be written"):
        once(tmp_path / "engines" / "x.onnx", list, wait_s=1)


def test_engines_that_nobody_uses_are_deleted(tmp_path: Path) -> None:
    """What is in use stays, and what was made within the hour may be of a training that is not saved yet."""
    used, old, young = (engine_file(tmp_path, f"resnet18:random-0:{name}") for name in ("used", "old", "young"))
    now = 1_800_000_000.0
    for path, age in ((used, 7200), (old, 7200), (young, 60)):
        path.parent.mkdir(exist_ok=True)
        path.touch()
        os.utime(path, (now - age, now - age))
    assert prune_engines(tmp_path, ["resnet18:random-0:used"], now) == [old.name]
    assert sorted(path.name for path in used.parent.iterdir()) == sorted([used.name, young.name])
