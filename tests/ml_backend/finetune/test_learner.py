import shutil
import subprocess
import sys
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
import torch

from common.files import held
from common.progress import silent
from ml_backend.core.finetune.loop import Step
from ml_backend.errors import WeightsError
from ml_backend.finetune.learner import Learner
from ml_backend.finetune.options import PRETRAIN
from ml_backend.finetune.plan import plan_tuning
from ml_backend.finetune.tuning_folder import Plan, TuningError, TuningFolder

if TYPE_CHECKING:
    from conftest import TinyProject

NOW = datetime(2026, 1, 31, 12, tzinfo=UTC)


def begun(project: "TinyProject", how: str, **options: float) -> tuple[TuningFolder, Plan]:
    """A plan that waits to be run."""
    folder = TuningFolder.of_project(project.backend.settings.data_dir, project.id)
    return folder, plan_tuning(
        project.backend.trainer,
        project.backend.fetcher.fetch,
        project.id,
        project.request(how, **options),
        folder,
        NOW,
        silent,
    )


@pytest.mark.slow
def test_a_killed_run_ends_as_one_that_was_left_alone(project: "TinyProject", tmp_path: Path) -> None:
    """Killed after its first checkpoint and resumed, it gives the same weights to the last bit."""
    folder, plan = begun(project, "finetune", epochs=3, batch_size=16)
    alone = TuningFolder(tmp_path / "alone" / "tuning")
    shutil.copytree(folder.path, alone.path)
    settings = project.backend.settings
    expected = Learner(settings, alone, plan).learn()

    script = str(Path(__file__).parent / "killed_tuning.py")
    child = subprocess.Popen([sys.executable, script, str(settings.data_dir), str(project.id)])
    ends_at = time.monotonic() + 120
    while not (folder.path / "checkpoint.pt").is_file():
        assert time.monotonic() < ends_at
        time.sleep(0.01)
    child.kill()
    child.wait(60)
    checkpoint = folder.checkpoint()
    assert checkpoint is not None
    assert 0 < checkpoint["number"] < 3
    steps: list[Step] = []
    state = Learner(settings, folder, plan, steps.append).learn()
    assert [step.number for step in steps] == list(range(checkpoint["number"] + 1, 4))
    assert state.keys() == expected.keys()
    assert all(torch.equal(state[name], expected[name]) for name in expected)


@pytest.mark.slow
def test_a_pretraining_gives_a_state_dict_that_serves(project: "TinyProject") -> None:
    """It has no last layer, and its batch normalisation has seen images of the size that is served."""
    folder, plan = begun(project, PRETRAIN)
    steps: list[Step] = []
    state = Learner(project.backend.settings, folder, plan, steps.append).learn()
    assert [step.number for step in steps] == [1, 2, 3, 4]  # 39 images in batches of 8
    assert not [name for name in state if name.startswith("fc")]
    assert int(state["bn1.num_batches_tracked"]) == 1
    assert all(tensor.is_contiguous() for tensor in state.values())


def test_checkpoints_come_within_an_epoch_too(project: "TinyProject") -> None:
    """Where no time may pass between two, there is one after each step; a training is let in after it."""
    folder, plan = begun(project, "finetune")
    numbers: list[int] = []

    def shown(_: Step) -> None:
        last = folder.checkpoint()
        numbers.append(last["number"] if last else 0)
        with held(folder.path.parent / "training.lock", wait=False) as free:
            assert not free

    Learner(project.backend.settings, folder, plan, shown, checkpoint_s=0).learn()
    assert numbers == [0, 1, 2]


def test_a_checkpoint_of_something_else_is_refused(project: "TinyProject") -> None:
    """Neither a traceback nor wrong weights: the message names the way out."""
    folder, plan = begun(project, "finetune")
    folder.save_checkpoint({"number": 1})
    with pytest.raises(TuningError, match=r"the last checkpoint does not fit .*: use --restart"):
        Learner(project.backend.settings, folder, plan).learn()


def test_weights_that_do_not_fit_the_backbone_are_refused(project: "TinyProject", tmp_path: Path) -> None:
    """A state dict of another network is named as such."""
    torch.save({"conv1.weight": torch.zeros(1)}, tmp_path / "own.pt")
    folder, plan = begun(project, "finetune")
    wanted = project.request()
    wanted = type(wanted)(wanted.how, wanted.options, str(tmp_path / "own.pt"))
    plan = plan_tuning(*project.trainer_and_fetch, project.id, wanted, folder, NOW, silent)
    with pytest.raises(WeightsError, match="does not fit resnet18"):
        Learner(project.backend.settings, folder, plan).learn()
