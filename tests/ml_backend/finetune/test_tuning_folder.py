import resource
from pathlib import Path

import numpy as np
import pytest
import torch

from ml_backend.core.finetune.targets import ControlTargets
from ml_backend.finetune.tuning_folder import IMAGES, Inputs, Plan, TuningError, TuningFolder

PLAN = Plan(
    how="finetune",
    backbone="resnet18",
    weights_id="random",
    seed=0,
    options={"epochs": 2},
    began_at="2026-01-31T12:00:00+00:00",
    n_project=3,
    n_images=2,
    side=4,
    controls={"kind": False},
    failures={"truncated": 1},
)
INPUTS = Inputs(
    tasks=np.array([3, 5]),
    keys=np.array(["image", "image"]),
    urls=np.array(["/3.png", "/5.png"]),
    contents=np.array(["aa", "bb"]),
    targets={"kind": ControlTargets(np.eye(2, dtype=np.float32), np.ones(2, dtype=np.float32), multiple=False)},
)


@pytest.fixture
def folder(tmp_path: Path) -> TuningFolder:
    """A folder in which a tuning was begun."""
    made = TuningFolder.of_project(tmp_path, 7)
    made.path.mkdir(parents=True)
    (made.path / IMAGES).write_bytes(bytes(range(96)))
    made.begin(PLAN, INPUTS)
    return made


def test_what_was_begun_is_read_back(folder: TuningFolder) -> None:
    """Plan, targets and images come back as they were."""
    assert folder.plan() == PLAN
    inputs = folder.inputs(PLAN)
    for name in ("tasks", "keys", "urls", "contents"):
        assert getattr(inputs, name).tolist() == getattr(INPUTS, name).tolist()
    assert inputs.targets["kind"].shares.tolist() == [[1, 0], [0, 1]]
    assert inputs.targets["kind"].multiple is False
    assert folder.images(PLAN).reshape(-1).tolist() == list(range(96))


def test_without_a_plan_nothing_was_begun(folder: TuningFolder) -> None:
    """After the end there is no plan, no checkpoint and no folder."""
    folder.clear()
    assert folder.plan() is None
    assert folder.checkpoint() is None
    assert not folder.path.exists()


def test_a_damaged_file_is_named_with_its_remedy(folder: TuningFolder) -> None:
    """A plan, targets, images or a checkpoint that are cut off say that one has to begin anew."""
    folder.save_checkpoint({"number": 1})
    (folder.path / "checkpoint.pt").write_bytes(b"PK")
    with pytest.raises(TuningError, match=r"checkpoint\.pt.*--restart begins anew"):
        folder.checkpoint()
    for name, read in ((IMAGES, folder.images), ("inputs.npz", folder.inputs)):
        file = folder.path / name
        file.write_bytes(file.read_bytes()[:-1])
        with pytest.raises(TuningError, match=rf"{name}.*--restart begins anew"):
            read(PLAN)
    (folder.path / "plan.json").write_text('{"how": "finetune"')
    with pytest.raises(TuningError, match=r"plan\.json.*--restart begins anew"):
        folder.plan()


def test_a_checkpoint_that_does_not_fit_on_the_disk_leaves_the_last_one(folder: TuningFolder) -> None:
    """Where a file may not grow as large as it must, the one before it can still be read."""
    folder.save_checkpoint({"number": 1, "weights": torch.ones(10)})
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, hard))
    try:
        with pytest.raises(OSError, match="File too large"):
            folder.save_checkpoint({"number": 2, "weights": torch.ones(100_000)})
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    checkpoint = folder.checkpoint()
    assert checkpoint is not None
    assert checkpoint["number"] == 1
    assert {path.name for path in folder.path.iterdir()} == {IMAGES, "inputs.npz", "plan.json", "checkpoint.pt"}
