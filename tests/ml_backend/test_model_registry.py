import json
import os
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest
from structlog.testing import capture_logs

from ml_backend.errors import VersionError
from ml_backend.model_registry import ModelRegistry

if TYPE_CHECKING:
    from conftest import Samples

OLD, NEW = "resnet18-random-20260131T120000-ffff", "resnet18-imagenet-20260131T120001-0000"


@pytest.fixture
def registry(tmp_path: Path) -> ModelRegistry:
    """No model yet."""
    return ModelRegistry(tmp_path)


def test_a_saved_model_answers_only_after_the_switch(registry: ModelRegistry, samples: "Samples") -> None:
    """Saving does not publish."""
    registry.save(7, samples.trained(OLD))
    assert registry.current(7) is None
    registry.switch(7, OLD)
    assert registry.current(7).model_version == OLD


def test_another_process_sees_a_switch(registry: ModelRegistry, samples: "Samples", tmp_path: Path) -> None:
    """A second reader of the folder answers with the new version from its next request on."""
    reader = ModelRegistry(tmp_path)
    for version in (OLD, NEW):
        registry.save(7, samples.trained(version))
        registry.switch(7, version)
        assert reader.current(7).model_version == version


def test_a_loaded_model_scores_as_the_saved_one(registry: ModelRegistry, samples: "Samples") -> None:
    """Nothing is lost on the way over the disk, the calibration included."""
    made = samples.trained(OLD)
    registry.save(7, made)
    registry.switch(7, OLD)
    loaded = registry.current(7)
    images = np.stack([samples.dark, samples.light])
    for model in (made.model, loaded.model):
        assert model.scores(images, {"kind": samples.kind})["kind"][0].argmax(axis=1).tolist() == [0, 1]
    assert json.dumps(loaded.summary()) == json.dumps(made.summary())
    np.testing.assert_array_equal(loaded.calibration["bn1.running_mean"], np.zeros(64))


def test_projects_do_not_mix(registry: ModelRegistry, samples: "Samples") -> None:
    """A model answers for its own project."""
    registry.save(7, samples.trained(OLD))
    registry.switch(7, OLD)
    assert registry.current(8) is None
    assert registry.projects() == [7]


def test_no_pickle_is_loaded(registry: ModelRegistry, samples: "Samples", tmp_path: Path) -> None:
    """An array file that would run code is refused."""
    registry.save(7, samples.trained(OLD))
    registry.switch(7, OLD)
    path = tmp_path / "projects" / "7" / "versions" / OLD / "model.npz"
    np.savez(path, mean=np.array([{"a": 1}], dtype=object))
    assert registry.current(7) is None


@pytest.mark.parametrize("name", ["model.npz", "model.json"])
@pytest.mark.parametrize("damage", [b"", b"[]", b"PK\x03\x04", b"{}", None])
def test_a_damaged_version_is_no_model(
    registry: ModelRegistry, samples: "Samples", tmp_path: Path, name: str, damage: bytes | None
) -> None:
    """A file that is cut off, foreign or gone is logged, and the next version answers again."""
    registry.save(7, samples.trained(OLD))
    registry.switch(7, OLD)
    path = tmp_path / "projects" / "7" / "versions" / OLD / name
    path.unlink()
    if damage is not None:
        path.write_bytes(damage)
    with capture_logs() as lines:
        assert registry.current(7) is None
    assert [line["event"] for line in lines] == ["model_unreadable"]
    registry.save(7, samples.trained(NEW))
    registry.switch(7, NEW)
    assert registry.current(7).model_version == NEW


@pytest.mark.parametrize(
    "garbage",
    [b"", b"\xff\xfe\x00garbage", b"../../etc/passwd", b"resnet18-random-20260131T120009-abcd", b"x" * 9999],
)
def test_a_pointer_of_garbage_lets_the_newest_sound_version_answer(
    registry: ModelRegistry, samples: "Samples", tmp_path: Path, garbage: bytes
) -> None:
    """Whatever stands in the file, a version that is there is named, in another process too, and damage told."""
    for version in (OLD, NEW):
        registry.save(7, samples.trained(version))
        registry.switch(7, version)
    assert registry.damage(7) == ""
    (tmp_path / "projects" / "7" / "current").write_bytes(garbage)
    for seen in (registry, ModelRegistry(tmp_path)):
        assert seen.current_version(7) == seen.current(7).model_version == NEW
        assert "the file that names the version" in seen.damage(7)


@pytest.mark.parametrize("damage", [lambda body: body[: len(body) // 2], lambda _: b"", lambda body: body[::-1]])
def test_an_older_sound_version_answers_for_a_damaged_one(
    registry: ModelRegistry, samples: "Samples", tmp_path: Path, damage: Callable[[bytes], bytes]
) -> None:
    """A process that has loaded the version sees the damage as well, and none that was held back answers."""
    registry.save(7, samples.trained(OLD))
    registry.switch(7, OLD)
    held_back = "resnet18-random-20260131T120000-eeee"
    registry.save(7, replace(samples.trained(held_back), held_back="worse"))
    registry.save(7, samples.trained(NEW))
    registry.switch(7, NEW)
    assert registry.current(7).model_version == NEW
    path = tmp_path / "projects" / "7" / "versions" / NEW / "model.npz"
    path.write_bytes(damage(path.read_bytes()))
    with capture_logs() as lines:
        answering = [seen.current_version(7) for seen in (registry, registry, ModelRegistry(tmp_path))]
    assert answering == [OLD] * 3
    assert [line["event"] for line in lines] == ["model_unreadable"] * 2
    assert registry.damage(7) == f"the files of version {NEW}, which should answer, are damaged"
    assert [bool(record.described) for record in registry.records(7)] == [False, True, True]


def test_a_version_pruned_meanwhile_is_replaced(
    registry: ModelRegistry, samples: "Samples", monkeypatch: pytest.MonkeyPatch
) -> None:
    """A reader that read the pointer just before a switch and a pruning answers with the new version."""
    registry.save(7, samples.trained(NEW))
    read = iter([OLD, NEW])
    monkeypatch.setattr(registry, "_named", lambda _: next(read))
    assert registry.current(7).model_version == NEW


def test_everything_is_on_the_disk_before_it_answers(
    registry: ModelRegistry, samples: "Samples", monkeypatch: pytest.MonkeyPatch
) -> None:
    """Files and folders are flushed before the names that lead to them appear."""
    steps: list[str] = []
    flush, rename, replace_file = os.fsync, Path.rename, Path.replace
    monkeypatch.setattr(os, "fsync", lambda file: (steps.append("flush"), flush(file)))
    monkeypatch.setattr(Path, "rename", lambda *paths: (steps.append("name"), rename(*paths))[1])
    monkeypatch.setattr(Path, "replace", lambda *paths: (steps.append("name"), replace_file(*paths))[1])
    registry.save(7, samples.trained(OLD))
    registry.switch(7, OLD)
    assert steps == ["flush"] * 3 + ["name", "flush", "flush", "name", "flush"]


def test_other_folders_are_no_projects(registry: ModelRegistry, samples: "Samples", tmp_path: Path) -> None:
    """A copy that someone made beside a project's folder is not taken for a project."""
    registry.save(7, samples.trained(OLD))
    registry.switch(7, OLD)
    shutil.copytree(tmp_path / "projects" / "7", tmp_path / "projects" / "7.bak")
    assert registry.projects() == [7]


def test_a_training_that_dies_leaves_nothing_behind(
    registry: ModelRegistry, samples: "Samples", tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A full disk while a version is written leaves the last version, and no half of a new one."""
    registry.save(7, samples.trained(OLD))
    registry.switch(7, OLD)

    def full(*_: object, **__: object) -> None:
        raise OSError("No space left on device")

    monkeypatch.setattr(np, "savez_compressed", full)
    with pytest.raises(OSError, match="No space"):
        registry.save(7, samples.trained(NEW))
    assert registry.current(7).model_version == OLD
    assert [path.name for path in (tmp_path / "projects" / "7" / "versions").iterdir()] == [OLD]


def test_what_a_killed_training_left_is_swept(registry: ModelRegistry, samples: "Samples", tmp_path: Path) -> None:
    """Half a version that no error could remove goes with the next training."""
    versions = tmp_path / "projects" / "7" / "versions"
    (versions / ".half").mkdir(parents=True)
    (versions / ".half" / "model.npz").write_bytes(b"half")
    registry.save(7, samples.trained(OLD))
    assert [path.name for path in versions.iterdir()] == [OLD]


def test_versions_are_sorted_by_time_not_by_name(registry: ModelRegistry, samples: "Samples") -> None:
    """A version with other weights is newer if its training was."""
    for version in (NEW, OLD):
        registry.save(7, samples.trained(version))
    assert registry.versions(7) == [NEW, OLD]


def test_pruning_keeps_the_newest_and_the_current(registry: ModelRegistry, samples: "Samples") -> None:
    """Of four versions, one newest is kept and the one that answers."""
    versions = [f"resnet18-random-2026013{day}T120000-00aa" for day in range(4)]
    for version in versions:
        registry.save(7, replace(samples.trained(), model_version=version))
        registry.switch(7, version)
    registry.switch(7, versions[1])
    registry.prune(7, keep=1)
    assert registry.versions(7) == [versions[3], versions[1]]


def test_what_took_over_is_kept_beside_what_was_held_back(registry: ModelRegistry, samples: "Samples") -> None:
    """Versions that never answered push out none that did; those of the newest three stay."""
    model = samples.trained()
    versions = [f"resnet18-random-2026013{day}T120000-00aa" for day in range(7)]
    for day, version in enumerate(versions):
        registry.save(7, replace(model, model_version=version, held_back="worse" if day >= 3 else ""))
        if day < 3:
            registry.switch(7, version)
    registry.switch(7, versions[0])
    assert registry.retained(7, keep=2) == [versions[day] for day in (6, 5, 4, 2, 1, 0)]
    registry.prune(7, keep=2)
    assert registry.versions(7) == [versions[day] for day in (6, 5, 4, 2, 1, 0)]


def test_equal_versions_count_once(registry: ModelRegistry, samples: "Samples") -> None:
    """Four versions, of which three learned from the same, are two: the one before them is not pushed out."""
    versions = [f"resnet18-random-2026013{day}T120000-00aa" for day in range(4)]
    for version, learned_from in zip(versions, ("a", "b", "b", "b"), strict=True):
        registry.save(7, replace(samples.trained(), model_version=version, learned_from=learned_from))
        registry.switch(7, version)
    assert registry.retained(7, keep=2) == [versions[3], versions[0]]
    assert registry.same(7, "b").model_version == versions[3]
    assert registry.same(7, "c") is None


def test_what_was_held_back_stays_until_the_next_but_one(registry: ModelRegistry, samples: "Samples") -> None:
    """After two more versions it can still be promoted by name; after three it is gone."""
    versions = [f"resnet18-random-2026013{day}T120000-00aa" for day in range(4)]
    registry.save(7, replace(samples.trained(), model_version=versions[0], held_back="worse"))
    kept = []
    for version in versions[1:]:
        registry.save(7, replace(samples.trained(), model_version=version))
        registry.switch(7, version)
        registry.prune(7, keep=3)
        kept.append(versions[0] in registry.versions(7))
    assert kept == [True, True, False]


def test_what_never_answered_pushes_out_none_that_did(registry: ModelRegistry, samples: "Samples") -> None:
    """Two trainings were killed before their versions took over: both go, and a person may still choose one."""
    model = samples.trained()
    versions = [f"resnet18-random-2026013{day}T120000-00aa" for day in range(5)]
    for day, version in enumerate(versions):
        registry.save(7, replace(model, model_version=version))
        if day not in (2, 3):
            registry.switch(7, version)
    assert [record.unanswered for record in registry.records(7)] == [False, True, True, False, False]
    assert registry.retained(7, keep=2) == [versions[4], versions[1]]
    registry.switch(7, versions[3], chosen=True)
    assert registry.retained(7, keep=2) == [versions[4], versions[3]]


def test_the_model_of_another_project_is_none(registry: ModelRegistry, samples: "Samples") -> None:
    """After a reset of Label Studio the id is that of another project: it counts as untrained."""
    registry.save(7, replace(samples.trained(OLD), stamp="1795256176"))
    registry.switch(7, OLD)
    assert registry.current(7, "1795256176").model_version == OLD
    assert registry.current_version(7, "1795256176") == OLD
    assert registry.current(7, "1795256177") is None
    assert registry.current_version(7, "1795256177") is None
    assert registry.current(7).model_version == OLD


def test_a_model_from_before_stamps_answers_for_any_project(registry: ModelRegistry, samples: "Samples") -> None:
    """An update of the backend does not make its projects untrained."""
    registry.save(7, samples.trained(OLD))
    registry.switch(7, OLD)
    assert registry.current(7, "1795256176").model_version == OLD


def test_a_choice_lasts_until_the_next_switch(registry: ModelRegistry, samples: "Samples") -> None:
    """A version that a person chose is known as such, in another process too, until another one takes over."""
    model = samples.trained()
    for version in (OLD, NEW):
        registry.save(7, replace(model, model_version=version))
    registry.switch(7, NEW)
    assert registry.chosen_version(7) is None
    registry.switch(7, OLD, chosen=True)
    assert (registry.current_version(7), registry.chosen_version(7)) == (OLD, OLD)
    registry.switch(7, NEW)
    registry.switch(7, OLD)
    assert (registry.current_version(7), registry.chosen_version(7)) == (OLD, None)


def test_a_choice_that_was_cut_off_is_none(
    registry: ModelRegistry, samples: "Samples", monkeypatch: pytest.MonkeyPatch
) -> None:
    """If the program dies between the two files, the version of before answers and nobody chose it."""
    model = samples.trained()
    for version in (OLD, NEW):
        registry.save(7, replace(model, model_version=version))
    registry.switch(7, NEW)
    write = Path.replace

    def die(path: Path, target: Path) -> Path:
        if target.name == "current":
            raise KeyboardInterrupt
        return write(path, target)

    monkeypatch.setattr(Path, "replace", die)
    with pytest.raises(KeyboardInterrupt):
        registry.switch(7, OLD, chosen=True)
    assert (registry.current_version(7), registry.chosen_version(7)) == (NEW, None)


def test_a_missing_version_is_told_with_those_that_exist(registry: ModelRegistry, samples: "Samples") -> None:
    """A misspelt or deleted version, or a path, is refused; the message names what there is."""
    registry.save(7, samples.trained(OLD))
    for name in (NEW, f"../versions/{OLD}", ""):
        with pytest.raises(VersionError, match=OLD):
            registry.load(7, name)
    with pytest.raises(VersionError, match="none"):
        registry.load(8, OLD)
    assert registry.load(7, OLD).model_version == OLD


def test_a_damaged_version_can_be_listed_but_not_loaded(
    registry: ModelRegistry, samples: "Samples", tmp_path: Path
) -> None:
    """It says nothing of itself, and another one is asked for."""
    registry.save(7, samples.trained(OLD))
    (tmp_path / "projects" / "7" / "versions" / OLD / "model.json").write_text("[")
    [record] = registry.records(7)
    assert (record.model_version, record.held_back, record.checks) == (OLD, "", {})
    with pytest.raises(VersionError, match="cannot be read"):
        registry.load(7, OLD)


def test_records_hold_the_checks(registry: ModelRegistry, samples: "Samples") -> None:
    """The figures of each control are read without the arrays, newest version first."""
    model = samples.trained()
    for version in (OLD, NEW):
        registry.save(7, replace(model, model_version=version, held_back="worse" if version == NEW else ""))
    newer, older = registry.records(7)
    assert (newer.model_version, newer.held_back, older.held_back) == (NEW, "worse", "")
    assert older.checks == {"kind": model.model.controls[0].check}
