from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest
import torch
from training_parts import STAMP, report

from common.progress import silent
from ml_backend.core.finetune.held_tasks import held_out
from ml_backend.embedding.tuned import Tuned, TunedWeights
from ml_backend.errors import NothingToLearnError, WeightsError
from ml_backend.finetune.initial_weights import base_identity
from ml_backend.finetune.options import PRETRAIN, TuningRequest, defaults
from ml_backend.finetune.plan import plan_tuning, split_of
from ml_backend.finetune.tuning_folder import Inputs, Plan, TuningFolder

if TYPE_CHECKING:
    from conftest import TinyProject

NOW = datetime(2026, 1, 31, 12, tzinfo=UTC)


def planned(project: "TinyProject", wanted: TuningRequest) -> tuple[Plan, Inputs]:
    """What was decided."""
    folder = TuningFolder.of_project(project.backend.settings.data_dir, project.id)
    plan = plan_tuning(*project.trainer_and_fetch, project.id, wanted, folder, NOW, silent)
    assert folder.plan() == plan
    return plan, folder.inputs(plan)


def test_finetuning_takes_the_annotated_images(project: "TinyProject") -> None:
    """Those of tasks 1 to 36, with their targets; a fifth of them, by their id, judges."""
    plan, inputs = planned(project, project.request())
    assert (plan.how, plan.weights_id, plan.n_project, plan.n_images, plan.side) == (
        "finetune",
        "random",
        40,
        36,
        256,
    )
    assert plan.options["epochs"] == 1
    assert plan.options["learning_rate"] == defaults("finetune", learned=False, graphics=False)["learning_rate"]
    assert inputs.tasks.tolist() == list(range(1, 37))
    kind = inputs.targets["kind"]
    assert kind.shares[:2].tolist() == [[0, 1], [1, 0]]  # 1 is light
    assert kind.weights.tolist() == [1] * 36
    judged = inputs.tasks[split_of(inputs).judged]
    assert judged.tolist() == [number for number in range(1, 37) if held_out([number])[0]]


def test_pretraining_takes_all_images_that_can_be_read(project: "TinyProject") -> None:
    """The last one is cut off: 39 are left, of which three have no target."""
    plan, inputs = planned(project, project.request(PRETRAIN))
    assert (plan.n_images, plan.failures) == (39, {"truncated": 1})
    assert inputs.targets["kind"].weights.tolist() == [1] * 36 + [0] * 3


def test_too_many_images_are_left_out_those_without_annotation_first(project: "TinyProject") -> None:
    """Of forty images thirty-seven are taken: all that are annotated and one other."""
    _, inputs = planned(project, project.request(PRETRAIN, max_images=37))
    assert (inputs.targets["kind"].weights > 0).sum() == 36


def test_what_consensus_says_weighs(project: "TinyProject") -> None:
    """A task that consensus has settled counts by its confidence, the others half."""
    report(project.studio, 1, "AllConfirmed", "light", 0.9)
    _, inputs = planned(project, project.request())
    assert inputs.targets["kind"].weights[:2].tolist() == pytest.approx([0.9, 0.5])


def test_too_few_annotations_are_counted(project: "TinyProject") -> None:
    """With six annotated tasks the message says what there is and what it takes."""
    for number in range(7, 41):
        del project.studio.tasks[number]
    with pytest.raises(
        NothingToLearnError, match=r"5 annotated images to learn from and 1 to judge by .* takes 8"
    ):
        planned(project, project.request())
    with pytest.raises(NothingToLearnError, match="6 images to learn from, and it takes 8"):
        planned(project, project.request(PRETRAIN))
    assert not TuningFolder.of_project(project.backend.settings.data_dir, project.id).path.exists()
    project.studio.project["label_config"] = "<View/>"
    with pytest.raises(NothingToLearnError, match="no <Choices> bound to an <Image>"):
        planned(project, project.request())


def test_a_tuning_starts_from_what_is_asked_for(project: "TinyProject", tmp_path: Path) -> None:
    """What the project uses, random weights, weights made here, or a state dict, which is kept by its id."""
    backend = project.backend
    weights = TunedWeights(backend.settings.data_dir)
    assert base_identity(backend, 7, STAMP, None).key == "resnet18:random-0"
    torch.save({"a": torch.zeros(1)}, tmp_path / "own.pt")
    given = base_identity(backend, 7, STAMP, str(tmp_path / "own.pt"))
    (tmp_path / "own.pt").unlink()
    assert base_identity(backend, 7, STAMP, given.weights_id) == given
    weights.use(7, Tuned("resnet18", given.weights_id, "pretrain", "", ""), STAMP)
    assert base_identity(backend, 7, STAMP, None) == given
    assert base_identity(backend, 7, "1795256999", None).key == "resnet18:random-0"  # another project now
    assert base_identity(backend, 7, STAMP, "random").weights_id == "random"
    for missing in ("0123abcd", str(tmp_path / "own.pt")):
        with pytest.raises(WeightsError):
            base_identity(backend, 7, STAMP, missing)


def test_weights_that_were_learned_are_changed_carefully() -> None:
    """From random weights all stages learn alike, from learned ones slowly and the more so near the input."""
    random, learned = (defaults("finetune", learned=one, graphics=False) for one in (False, True))
    assert learned["learning_rate"] < random["learning_rate"]
    assert (random["layer_decay"], learned["layer_decay"]) == (1.0, 0.7)
    assert defaults("pretrain", learned=True, graphics=True)["image_size"] == 224
    assert np.isclose(random["image_size"], 128)
