import json
import re
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from typer.testing import CliRunner, Result

from ml_backend import cli
from ml_backend.errors import VersionError
from ml_backend.model_registry import ModelRegistry
from ml_backend.settings import get_settings

if TYPE_CHECKING:
    from conftest import Samples

OLD, NEW = "resnet18-random-20260131T120000-ffff", "resnet18-random-20260131T130000-0000"


@pytest.fixture
def registry(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> ModelRegistry:
    """The versions that the command sees."""
    monkeypatch.setenv("ML_BACKEND_DATA_DIR", str(tmp_path))
    get_settings.cache_clear()
    return ModelRegistry(tmp_path)


def run(*arguments: str) -> Result:
    """What the command answers for project 7."""
    return CliRunner().invoke(cli.cli, ["versions", "--project", "7", *arguments])


def rows(shown: str) -> list[list[str]]:
    """The cells of a table's rows."""
    return [[cell.strip() for cell in re.split("[│┃]", line)[1:-1]] for line in shown.splitlines() if "│" in line]


def test_versions_are_listed_with_their_figures(registry: ModelRegistry, samples: "Samples") -> None:
    """Newest first: which one answers, and why another one was held back."""
    model = samples.trained(OLD)
    registry.save(7, replace(model, n_annotated=8, n_settled=3))
    registry.save(7, replace(model, model_version=NEW, n_annotated=9, held_back="Its [log loss] is worse."))
    registry.switch(7, OLD)
    shown = run().output
    newer, older = rows(shown)
    assert newer[:6] == [NEW, "2026-01-31 12:00", "held back", "9", "kind", "8"]
    assert older[:6] == [OLD, "2026-01-31 12:00", "answers", "8 (3 by consensus)", "kind", "8"]
    check = model.model.controls[0].check
    assert older[6] == f"{check.accuracy:.3f}"
    assert f"{NEW} was held back. Its [log loss] is worse." in shown


def test_a_version_without_a_control_is_no_question(registry: ModelRegistry, samples: "Samples") -> None:
    """The list would be that of all versions, whatever was asked for."""
    registry.save(7, samples.trained(OLD))
    assert run("--of", OLD).exit_code != 0
    assert run("--of", OLD, "--control", "kind").exit_code == 0


def test_a_chosen_version_is_marked(registry: ModelRegistry, samples: "Samples") -> None:
    """Trainings leave it in place: that must be seen."""
    model = samples.trained(OLD)
    for version in (OLD, NEW):
        registry.save(7, replace(model, model_version=version))
        registry.switch(7, version)
    registry.switch(7, OLD, chosen=True)
    assert [row[2] for row in rows(run().output)] == ["", "answers (chosen)"]


def test_a_version_that_could_not_take_over_is_marked(registry: ModelRegistry, samples: "Samples") -> None:
    """Its training was ended before it answered; it is no version to go back to."""
    model = samples.trained(OLD)
    for version in (OLD, NEW):
        registry.save(7, replace(model, model_version=version))
    registry.switch(7, OLD)
    assert [row[2] for row in rows(run().output)] == ["never answered", "answers"]


def test_figures_as_json(registry: ModelRegistry, samples: "Samples") -> None:
    """All that is known of each version, for programs; a damaged one says so."""
    model = samples.trained(OLD)
    registry.save(7, model)
    registry.save(7, replace(model, model_version=NEW))
    registry.switch(7, OLD)
    next(iter(Path.cwd().glob(f"**/{NEW}/model.json"))).write_text('{"controls": 3}')
    newer, older = json.loads(run("--json").output)
    assert newer == {
        "model_version": NEW,
        "damaged": True,
        "answers": False,
        "chosen": False,
        "controls": {},
    }
    assert (older["answers"], older["n_images"], older["held_back"]) == (True, 16, "")
    assert older["controls"]["kind"]["tasks"] == 8


@pytest.fixture
def confused(registry: ModelRegistry, samples: "Samples") -> Callable[..., None]:
    """Makes a version whose check holds given figures."""

    def make(**figures: object) -> None:
        model = samples.trained(OLD)
        scores = model.model.controls[0]
        told = replace(scores, check=replace(scores.check, **figures))
        registry.save(7, replace(model, model=replace(model.model, controls=(told,))))
        registry.switch(7, OLD)

    return make


def test_a_control_is_shown_in_detail(confused: Callable[..., None]) -> None:
    """What was taken for what, and how often a label is right from a score on."""
    confused(
        tasks=9,
        confusion=((5.0, 1.0), (0.0, 3.0)),
        precision_at={"dark": {"0.9": (1.0, 4), "0.5": (0.75, 6)}, "light": {"0.5": (0.5, 2)}},
    )
    shown = rows(run("--control", "kind").output)
    assert shown == [
        ["dark", "5", "1"],
        ["light", "0", "3"],
        ["dark", "0.750 of 6", "1.000 of 4"],
        ["light", "0.500 of 2", "-"],
    ]


def test_a_multiple_choice_is_shown_label_by_label(confused: Callable[..., None]) -> None:
    """Each label is a question of its own."""
    confused(tasks=9, confusion=(((4.0, 1.0), (2.0, 3.0)), ((9.0, 0.0), (0.0, 0.0))), precision_at={})
    assert rows(run("--control", "kind").output)[:2] == [
        ["dark", "3", "1", "2", "4"],
        ["light", "0", "0", "0", "9"],
    ]


@pytest.mark.parametrize(
    ("arguments", "why"),
    [(["--control", "mood"], "it has: kind"), (["--control", "kind", "--of", NEW], f"it has: {OLD}")],
)
def test_what_is_not_there_is_told_with_what_is(
    registry: ModelRegistry, samples: "Samples", arguments: list[str], why: str
) -> None:
    """A misspelt control or version names those that exist."""
    registry.save(7, samples.trained(OLD))
    failed = run(*arguments).exception
    assert isinstance(failed, VersionError)
    assert why in str(failed)


@pytest.mark.usefixtures("registry")
def test_a_project_without_versions_says_what_to_do() -> None:
    """An error status, and the command that makes a version."""
    ended = run()
    assert (ended.exit_code, "train --project 7" in str(ended.exception)) == (1, True)
    as_json = run("--json")
    assert (as_json.exit_code, json.loads(as_json.output)) == (1, [])


def test_what_is_damaged_is_told(registry: ModelRegistry, samples: "Samples", tmp_path: Path) -> None:
    """The list shows which version cannot answer, which one does in its place, and why."""
    for version in (OLD, NEW):
        registry.save(7, samples.trained(version))
        registry.switch(7, version)
    (tmp_path / "projects" / "7" / "versions" / NEW / "model.npz").write_bytes(b"PK")
    shown = run().output
    assert [row[2] for row in rows(shown)] == ["damaged", "answers"]
    assert f"the files of version {NEW}, which should answer, are damaged; {OLD} answers" in shown
