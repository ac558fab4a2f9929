from dataclasses import replace
from datetime import timedelta

import pytest
from structlog.testing import capture_logs
from training_parts import BLIND, CONFIG, NOW, Loader, Studio, task, tasks, trainer

from ml_backend.errors import LabelStudioError, VersionError
from ml_backend.model_registry import ModelRegistry
from ml_backend.settings import Settings

LATER, LATEST = NOW + timedelta(hours=1), NOW + timedelta(hours=2)


@pytest.fixture
def studio() -> Studio:
    """Twenty tasks, the first ten of them annotated."""
    return Studio(tasks(10, 20))


def versions_stored(studio: Studio) -> dict[str, int]:
    """Predictions in Label Studio by version."""
    return {version: count for version, (count, _) in studio.version_counts(7).items()}


def test_an_older_version_answers_again(settings: Settings, studio: Studio) -> None:
    """Its missing predictions are stored, it is shown, and it counts as chosen by a person."""
    parts = trainer(settings, studio)
    first, second = parts.train(7, NOW).serving, parts.train(7, LATER).serving
    studio.found.append(task(20))
    with capture_logs() as lines:
        done = parts.publish(7, first, LATEST)
    assert (done.model_version, done.before, done.chosen, done.predictions) == (first, second, True, 1)
    assert parts.registry.current_version(7) == parts.registry.chosen_version(7) == first
    assert versions_stored(studio) == {first: 21, second: 20}
    assert studio.events[-1] == first
    assert [one["event"] for one in lines] == ["version_promoted"]


def test_a_training_does_not_take_back_what_a_person_chose(settings: Settings, studio: Studio) -> None:
    """A version that is as good as the chosen one is held back; it can be promoted by hand."""
    parts = trainer(settings, studio)
    first = parts.train(7, NOW).serving
    parts.train(7, LATER)
    parts.publish(7, first, LATER)
    made = parts.train(7, LATEST)
    assert made.serving == first == parts.registry.chosen_version(7)
    assert "not better than the version that a person chose" in made.why
    forward = parts.publish(7, made.artifact.model_version, LATEST)
    assert (forward.chosen, parts.registry.chosen_version(7)) == (False, None)
    assert parts.train(7, LATEST + timedelta(hours=1)).artifact.held_back == ""


def test_a_better_version_takes_over_from_a_chosen_one(settings: Settings, studio: Studio) -> None:
    """A person went back to weights that see nothing; weights that see are better, by the same rule."""
    blind = trainer(settings, studio, backbones=Loader(BLIND)).train(7, NOW).serving
    parts = trainer(settings, studio)
    parts.train(7, LATER)
    parts.publish(7, blind, LATER)
    made = parts.train(7, LATEST)
    assert made.serving == made.artifact.model_version
    assert "better than the version that a person chose" in made.why
    assert parts.registry.chosen_version(7) is None


def test_what_was_held_back_can_be_let_answer(settings: Settings, studio: Studio) -> None:
    """A person may know better than the figures; nothing newer is passed over by it."""
    trainer(settings, studio).train(7, NOW)
    parts = trainer(settings, studio, backbones=Loader(BLIND))
    held_back = parts.train(7, LATER).artifact.model_version
    done = parts.publish(7, held_back, LATEST)
    assert (done.chosen, done.predictions) == (False, 20)
    assert parts.registry.current_version(7) == held_back
    assert parts.publish(7, held_back, LATEST).predictions == 0


def test_a_version_that_is_gone_names_those_that_are_there(settings: Settings, studio: Studio) -> None:
    """Older versions are deleted: the message says which remain, and nothing changes."""
    parts = trainer(settings.model_copy(update={"keep_versions": 1}), studio)
    first = parts.train(7, NOW).serving
    second = parts.train(7, LATER).serving
    with pytest.raises(VersionError, match=f"no version '{first}'; it has: {second}$"):
        parts.publish(7, first, LATEST)
    assert parts.registry.current_version(7) == second


@pytest.mark.parametrize(
    ("stamp", "config", "lost", "why"),
    [
        ("1795256999", CONFIG, set(), "is of an earlier project 7"),
        (None, CONFIG.replace('name="kind"', 'name="mood"'), set(), "knows no control"),
        (None, CONFIG, {BLIND}, "cannot answer any more: the weights 0b11d0b1 are not there"),
    ],
)
def test_a_version_that_does_not_fit_is_refused(
    settings: Settings, studio: Studio, stamp: str | None, config: str, lost: set[str], why: str
) -> None:
    """Of another project, without a control of today, or without its weights it could suggest nothing."""
    version = trainer(settings, studio, backbones=Loader(BLIND)).train(7, NOW).serving
    studio.stamp, studio.config = stamp or studio.stamp, config
    with pytest.raises(VersionError, match=why):
        trainer(settings, studio, backbones=Loader(lost=lost)).publish(7, version, LATER)


def test_a_control_that_is_gone_gets_no_suggestion(settings: Settings, studio: Studio) -> None:
    """An older version that knows one more control suggests only what the config of today has."""
    with_mood = '<Choices name="mood" toName="image"><Choice value="a"/><Choice value="b"/></Choices><TextArea'
    studio.config = CONFIG.replace("<TextArea", with_mood)
    for number in range(10):
        [given] = studio.found[number].annotations
        choices = {**given.choices, "mood": ("a" if number % 2 else "b",)}
        studio.found[number] = replace(studio.found[number], annotations=(replace(given, choices=choices),))
    parts = trainer(settings, studio)
    first = parts.train(7, NOW).serving
    studio.config = CONFIG
    second = parts.train(7, LATER).serving
    studio.stored.clear()
    parts.publish(7, first, LATEST)
    assert second != first == parts.registry.current_version(7)
    assert {region["from_name"] for one in studio.stored for region in one["result"]} == {"kind"}


def test_without_its_predictions_it_does_not_answer(settings: Settings, studio: Studio) -> None:
    """If Label Studio refuses them, the version before goes on answering."""
    parts = trainer(settings, studio)
    first, second = parts.train(7, NOW).serving, parts.train(7, LATER).serving
    studio.stored.clear()
    studio.refuses = True
    with pytest.raises(LabelStudioError):
        parts.publish(7, first, LATEST)
    assert ModelRegistry(settings.data_dir).current_version(7) == second
    assert parts.registry.chosen_version(7) is None
