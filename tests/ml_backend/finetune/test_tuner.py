from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import torch
from training_parts import BLIND, LATER_PROJECT, STAMP, Images, Loader

from common.files import held
from ml_backend.core.finetune.held_tasks import held_out
from ml_backend.embedding.checkpoints import content_id, kept_weights, read_state
from ml_backend.embedding.tuned import TunedWeights
from ml_backend.finetune.learner import Learner
from ml_backend.finetune.options import PRETRAIN
from ml_backend.finetune.tuner import Tuner
from ml_backend.finetune.tuning_folder import TuningError, TuningFolder

if TYPE_CHECKING:
    from conftest import TinyProject

NOW = datetime(2026, 1, 31, 12, tzinfo=UTC)
HELD_OUT = [number for number in range(1, 37) if held_out([number])[0]]


@pytest.mark.slow
def test_a_project_is_finetuned_and_trained_with_its_own_weights(project: "TinyProject") -> None:
    """The next version is named after the new weights and is judged by tasks that those never saw."""
    backend = project.backend
    steps: list[str] = []
    tuner = Tuner(*project.trainer_and_fetch, lambda name, *_: steps.append(name))
    outcome = tuner.tune(project.id, project.request(), resume=None, now=NOW)
    tuned, weights = outcome.tuned, TunedWeights(backend.settings.data_dir)
    path = kept_weights(backend.settings.data_dir, tuned.weights_id)
    assert content_id(path) == tuned.weights_id
    assert read_state(path).keys() >= {"conv1.weight", "layer4.1.bn2.running_var"}
    assert tuned.tuned_on == {"7": [number for number in range(1, 37) if number not in HELD_OUT]}
    assert weights.made(tuned.weights_id) == tuned
    [figure] = outcome.judgement.figures
    assert (figure.control, figure.tasks) == ("kind", len(HELD_OUT))
    assert outcome.n_images == 40
    assert not TuningFolder.of_project(backend.settings.data_dir, project.id).path.exists()
    assert list(dict.fromkeys(steps)) == [
        "reading tasks",
        "preparing images",
        "embedding as before",
        "embedding anew",
    ]

    weights.use(project.id, tuned, STAMP)
    trained = backend.trainer.train(project.id, NOW)
    assert trained.serving.startswith(f"resnet18-{tuned.weights_id}-20260131T120000-")
    [scores] = trained.artifact.model.controls
    assert scores.check.tasks == len(HELD_OUT)
    assert trained.artifact.calibration == {}

    weights.undo(project.id)
    again = backend.trainer.train(project.id, NOW)
    assert again.artifact.weights_id == "random"


class Lost(Exception):  # noqa: N818 - a child of a test
    """What a person's machine may do at any time."""


@pytest.fixture
def losing(project: "TinyProject", monkeypatch: pytest.MonkeyPatch) -> Tuner:
    """A tuner of a machine that is lost as soon as it learns."""

    def lose(_: Learner) -> None:
        raise Lost

    monkeypatch.setattr(Learner, "learn", lose)
    return Tuner(*project.trainer_and_fetch)


def quick(monkeypatch: pytest.MonkeyPatch, project: "TinyProject", weights_id: str) -> None:
    """Let the learning take no time, and the new weights be blind or not."""
    monkeypatch.setattr(Learner, "learn", lambda _: {"a": torch.ones(1)})
    parts = vars(project.backend)
    parts["backbones"], parts["gatherer"] = Loader(weights_id), Images()


def test_weights_that_are_no_better_are_kept_and_not_used(
    project: "TinyProject", monkeypatch: pytest.MonkeyPatch
) -> None:
    """Old weights that tell all pictures apart stay in use; the new ones can be used by their id."""
    quick(monkeypatch, project, "5ee15ee1")
    tuning = type(project.request())("finetune", project.options, "random")
    outcome = Tuner(*project.trainer_and_fetch).tune(project.id, tuning, resume=None, now=NOW)
    weights = TunedWeights(project.backend.settings.data_dir)
    assert outcome.used is False
    assert weights.of_project(project.id) is None
    assert weights.read(outcome.tuned.weights_id) == outcome.tuned


def test_better_weights_are_used(project: "TinyProject", monkeypatch: pytest.MonkeyPatch) -> None:
    """Old weights that are blind go."""
    quick(monkeypatch, project, BLIND)
    tuning = type(project.request())("pretrain", project.options, "random")
    outcome = Tuner(*project.trainer_and_fetch).tune(project.id, tuning, resume=None, now=NOW)
    assert outcome.used is True
    weights = TunedWeights(project.backend.settings.data_dir)
    assert weights.of_project(project.id, STAMP) == outcome.tuned
    assert vars(project.backend)["backbones"].exported == [outcome.tuned.identity.key]  # to serve
    assert weights.of_project(project.id, "1795256999") is None
    assert outcome.tuned.tuned_on == {}


def test_weights_that_nothing_can_judge_are_kept_and_not_used(
    project: "TinyProject", monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without annotations, or where no image can be read again, it is for a person to use them by their id."""
    weights = TunedWeights(project.backend.settings.data_dir)
    quick(monkeypatch, project, "5ee15ee1")
    vars(project.backend)["gatherer"] = Images(frozenset(range(1, 41)))
    tuning = type(project.request())("finetune", project.options, "random")
    for how in (tuning, project.request(PRETRAIN)):
        outcome = Tuner(*project.trainer_and_fetch).tune(project.id, how, resume=None, now=NOW)
        assert (outcome.used, outcome.judgement.figures) == (False, ())
        assert weights.of_project(project.id) is None
        assert weights.read(outcome.tuned.weights_id) == outcome.tuned
        quick(monkeypatch, project, "random")
        for task in project.studio.tasks.values():
            task["annotations"] = []


def test_what_was_begun_goes_on_or_says_why_not(project: "TinyProject", losing: Tuner, tmp_path: Path) -> None:
    """The same options go on by themselves, others have to be meant, and another kind is never mixed up."""
    folder = TuningFolder.of_project(project.backend.settings.data_dir, project.id)
    with pytest.raises(TuningError, match="project 7 has no fine-tuning or pre-training that could go on"):
        losing.tune(project.id, project.request(), resume=True, now=NOW)
    with pytest.raises(Lost):
        losing.tune(project.id, project.request(), resume=None, now=NOW)
    begun = folder.plan()
    assert begun is not None
    later = datetime(2026, 2, 1, tzinfo=UTC)
    for resume in (None, True):
        with pytest.raises(Lost):
            losing.tune(project.id, project.request(), resume=resume, now=later)
        assert folder.plan() == begun
    with pytest.raises(TuningError, match=r"has not ended \(epochs 1, not 9\).*--resume goes on with it"):
        losing.tune(project.id, project.request(epochs=9), resume=None, now=later)
    torch.save({"a": torch.zeros(1)}, tmp_path / "own.pt")
    other = type(project.request())("finetune", project.options, str(tmp_path / "own.pt"))
    with pytest.raises(TuningError, match="from resnet18:random, not resnet18:"):
        losing.tune(project.id, other, resume=None, now=later)
    with pytest.raises(TuningError, match="a finetune, not a pretrain"):
        losing.tune(project.id, project.request(PRETRAIN), resume=True, now=later)
    with pytest.raises(Lost):
        losing.tune(project.id, project.request(epochs=9), resume=True, now=later)
    assert folder.plan() == begun
    with pytest.raises(Lost):
        losing.tune(project.id, project.request(epochs=9), resume=False, now=later)
    assert (folder.plan() or begun).options["epochs"] == 9


def test_what_was_begun_for_an_earlier_project_does_not_go_on(project: "TinyProject", losing: Tuner) -> None:
    """After a reset of Label Studio the id is that of another project: a person has to say that it begins anew."""
    folder = TuningFolder.of_project(project.backend.settings.data_dir, project.id)
    with pytest.raises(Lost):
        losing.tune(project.id, project.request(), resume=None, now=NOW)
    project.studio.project["created_at"], stamp = LATER_PROJECT
    for resume in (None, True):
        with pytest.raises(TuningError, match=r"was of an earlier project 7: .* --restart begins anew"):
            losing.tune(project.id, project.request(), resume=resume, now=NOW)
    with pytest.raises(Lost):
        losing.tune(project.id, project.request(), resume=False, now=NOW)
    begun = folder.plan()
    assert begun is not None
    assert begun.stamp == stamp


def test_two_tunings_do_not_run_at_once(project: "TinyProject", tmp_path: Path) -> None:
    """The second one ends at once with a sentence."""
    lock: Any = project.backend.settings.data_dir / "tuning.lock"
    with (
        held(lock, wait=False),
        pytest.raises(TuningError, match="another fine-tuning or pre-training is running"),
    ):
        Tuner(*project.trainer_and_fetch).tune(project.id, project.request(), resume=None, now=NOW)
    assert not list(tmp_path.glob("projects"))
