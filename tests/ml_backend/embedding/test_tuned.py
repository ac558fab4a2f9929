from pathlib import Path

import pytest

from ml_backend.core.identity import Identity
from ml_backend.embedding.tuned import Tuned, TunedWeights
from ml_backend.errors import WeightsError

MADE = Tuned("resnet18", "0123abcd", "finetune", "resnet18:random-0", "2026-01-31T12:00:00+00:00", {"7": [1, 2]})


def test_a_project_uses_what_it_was_given_until_that_is_undone(tmp_path: Path) -> None:
    """The pointer is read back as it was written; undoing it twice is no fault."""
    weights = TunedWeights(tmp_path)
    assert weights.of_project(7) is None
    weights.use(7, MADE, "1795256176")
    assert weights.of_project(7) == MADE
    assert weights.of_project(8) is None
    assert weights.undo(7)
    assert not weights.undo(7)
    assert weights.of_project(7) is None


def test_what_another_project_used_is_not_for_this_one(tmp_path: Path) -> None:
    """After a reset of Label Studio the id is another project's; without a stamp nothing tells them apart."""
    weights = TunedWeights(tmp_path)
    weights.use(7, MADE, "1795256176")
    assert weights.of_project(7, "1795256176") == MADE
    assert weights.of_project(7, "1795256177") is None
    assert weights.of_project(7, "") == MADE
    weights.use(7, MADE, "")
    assert weights.of_project(7, "1795256177") == MADE


def test_how_weights_were_made_stays_when_no_project_uses_them(tmp_path: Path) -> None:
    """Weights are found by their id as long as their file is there."""
    weights = TunedWeights(tmp_path)
    weights.keep(MADE)
    with pytest.raises(WeightsError, match="no weights '0123abcd' were made here"):
        weights.read("0123abcd")
    (tmp_path / "weights" / "0123abcd.pt").write_bytes(b"a state dict")
    assert weights.read("0123abcd") == MADE
    assert MADE.identity == Identity("resnet18", "0123abcd")


def test_tasks_that_were_learned_before_are_known_after_too() -> None:
    """Weights that were fine-tuned twice know the tasks of both, project by project."""
    again = Tuned("resnet18", "4567cdef", "finetune", "resnet18:0123abcd", "", {"7": [2, 3], "9": [1]}).after(MADE)
    assert again.tuned_on == {"7": [1, 2, 3], "9": [1]}
    assert again.clean(7, [1, 2, 3, 4]).tolist() == [False, False, False, True]
    assert again.after(None) == again


def test_pretraining_has_no_labels_so_all_tasks_may_judge() -> None:
    """A pre-training on fine-tuned weights knows what those knew, one on others nothing."""
    made = Tuned("resnet18", "4567cdef", "pretrain", "resnet18:random-0", "")
    assert made.clean(7, [1, 2]).tolist() == [True, True]
    assert made.after(MADE).clean(7, [1, 2, 3]).tolist() == [False, False, True]


def test_a_damaged_pointer_is_named_with_its_remedy(tmp_path: Path) -> None:
    """Neither a traceback nor the wrong weights."""
    weights = TunedWeights(tmp_path)
    weights.use(7, MADE, "")
    pointer = tmp_path / "projects" / "7" / "backbone.json"
    for damage in ("{", "[]", "7", '{"backbone": "resnet18"}'):
        pointer.write_text(damage)
        with pytest.raises(WeightsError, match=r"backbone\.json.*finetune --project 7 --undo removes it"):
            weights.of_project(7)
