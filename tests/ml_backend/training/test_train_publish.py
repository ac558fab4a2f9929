from contextlib import nullcontext
from datetime import timedelta
from functools import partial
from types import SimpleNamespace

import pytest
from in_memory_label_studio import InMemoryStudio, region
from structlog.testing import capture_logs
from training_parts import (
    BLIND,
    CONFIG,
    LATER_PROJECT,
    NOW,
    Images,
    Loader,
    add_task,
    annotate_more,
    annotated,
    refuse_half,
    trainer,
)

from common.progress import silent
from ml_backend.commands import predicting, versions
from ml_backend.errors import LabelStudioError, NotConnectedError, VersionError
from ml_backend.model_registry import ModelRegistry
from ml_backend.settings import Settings

LATER, LATEST = NOW + timedelta(hours=1), NOW + timedelta(hours=2)


@pytest.fixture
def studio() -> InMemoryStudio:
    """Twenty tasks, the first ten of them annotated."""
    return annotated(10, 20)


def test_an_older_version_answers_again(settings: Settings, studio: InMemoryStudio) -> None:
    """Its missing predictions are stored, it is shown, and it counts as chosen by a person."""
    parts = trainer(settings, studio)
    first = parts.train(7, NOW).serving
    annotate_more(studio)
    second = parts.train(7, LATER).serving
    add_task(studio, 20)
    with capture_logs() as lines:
        done = parts.publish(7, first, LATEST)
    assert (done.model_version, done.before, done.chosen, done.predictions) == (first, second, True, 1)
    assert parts.registry.current_version(7) == parts.registry.chosen_version(7) == first
    assert studio.versions() == {first: 21, second: 20}
    assert studio.project["model_version"] == first
    assert [line["event"] for line in lines] == ["version_promoted"]


def test_a_training_does_not_take_back_what_a_person_chose(settings: Settings, studio: InMemoryStudio) -> None:
    """A version that is as good as the chosen one is held back; it can be promoted by hand."""
    parts = trainer(settings, studio)
    first = parts.train(7, NOW).serving
    annotate_more(studio)
    second = parts.train(7, LATER).serving
    parts.publish(7, first, LATER)
    again = parts.train(7, LATEST)
    assert (again.artifact.model_version, again.serving) == (second, first)
    annotate_more(studio)
    made = parts.train(7, LATEST)
    assert made.serving == first == parts.registry.chosen_version(7)
    assert "not better than the version that a person chose" in made.why
    forward = parts.publish(7, made.artifact.model_version, LATEST)
    assert (forward.chosen, parts.registry.chosen_version(7)) == (False, None)
    annotate_more(studio)
    assert parts.train(7, LATEST + timedelta(hours=1)).artifact.held_back == ""


def test_a_better_version_takes_over_from_a_chosen_one(settings: Settings, studio: InMemoryStudio) -> None:
    """A person went back to weights that see nothing; weights that see are better, by the same rule."""
    blind = trainer(settings, studio, backbones=Loader(BLIND)).train(7, NOW).serving
    parts = trainer(settings, studio)
    parts.train(7, LATER)
    parts.publish(7, blind, LATER)
    annotate_more(studio)
    made = parts.train(7, LATEST)
    assert made.serving == made.artifact.model_version
    assert "better than the version that a person chose" in made.why
    assert parts.registry.chosen_version(7) is None


def test_what_was_held_back_can_be_let_answer(settings: Settings, studio: InMemoryStudio) -> None:
    """A person may know better than the figures; nothing newer is passed over by it."""
    trainer(settings, studio).train(7, NOW)
    parts = trainer(settings, studio, backbones=Loader(BLIND))
    held_back = parts.train(7, LATER).artifact.model_version
    done = parts.publish(7, held_back, LATEST)
    assert (done.chosen, done.predictions) == (False, 20)
    assert parts.registry.current_version(7) == held_back
    assert parts.publish(7, held_back, LATEST).predictions == 0


def test_a_version_that_is_gone_names_those_that_are_there(settings: Settings, studio: InMemoryStudio) -> None:
    """Older versions are deleted: the message says which remain, and nothing changes."""
    parts = trainer(settings.model_copy(update={"keep_versions": 1}), studio)
    first = parts.train(7, NOW).serving
    annotate_more(studio)
    second = parts.train(7, LATER).serving
    with pytest.raises(VersionError, match=f"no version '{first}'; it has: {second}$"):
        parts.publish(7, first, LATEST)
    assert parts.registry.current_version(7) == second


@pytest.mark.parametrize(
    ("changed", "lost", "why"),
    [
        ({"created_at": LATER_PROJECT[0]}, set(), "is of an earlier project 7"),
        ({"label_config": CONFIG.replace('name="kind"', 'name="mood"')}, set(), "knows no control"),
        ({}, {BLIND}, "cannot answer any more: the weights 0b11d0b1 are not there"),
    ],
)
def test_a_version_that_does_not_fit_is_refused(
    settings: Settings, studio: InMemoryStudio, changed: dict[str, str], lost: set[str], why: str
) -> None:
    """Of another project, without a control of today, or without its weights it could suggest nothing."""
    version = trainer(settings, studio, backbones=Loader(BLIND)).train(7, NOW).serving
    studio.project.update(changed)
    with pytest.raises(VersionError, match=why):
        trainer(settings, studio, backbones=Loader(lost=lost)).publish(7, version, LATER)


def test_a_control_that_is_gone_gets_no_suggestion(settings: Settings, studio: InMemoryStudio) -> None:
    """An older version that knows one more control suggests only what the config of today has."""
    with_mood = '<Choices name="mood" toName="image"><Choice value="a"/><Choice value="b"/></Choices><TextArea'
    studio.project["label_config"] = CONFIG.replace("<TextArea", with_mood)
    for number in range(10):
        studio.tasks[number]["annotations"][0]["result"].append(region("mood", "a" if number % 2 else "b"))
    parts = trainer(settings, studio)
    first = parts.train(7, NOW).serving
    studio.project["label_config"] = CONFIG
    second = parts.train(7, LATER).serving
    forget(studio)
    parts.publish(7, first, LATEST)
    assert second != first == parts.registry.current_version(7)
    assert {made["from_name"] for row in studio.predictions for made in row["result"]} == {"kind"}


def forget(studio: InMemoryStudio) -> None:
    """Delete all predictions."""
    for task in studio.tasks.values():
        task["predictions"] = []


def test_without_its_predictions_it_does_not_answer(settings: Settings, studio: InMemoryStudio) -> None:
    """If Label Studio refuses them, the version before goes on answering."""
    parts = trainer(settings, studio)
    first = parts.train(7, NOW).serving
    annotate_more(studio)
    second = parts.train(7, LATER).serving
    forget(studio)
    studio.faults["POST import/predictions"] = refuse_half(studio)
    with pytest.raises(LabelStudioError):
        parts.publish(7, first, LATEST)
    assert ModelRegistry(settings.data_dir).current_version(7) == second
    assert parts.registry.chosen_version(7) is None


def test_in_a_project_of_another_backend_nothing_is_stored_or_shown(settings: Settings) -> None:
    """What its annotators see stays as it was; the version answers who asks this backend."""
    studio = annotated(20, 24)
    studio.connect("http://other.example", "resnet18-random-20260130T120000-00bb")
    studio.projects[7]["model_version"] = "resnet18-random-20260130T120000-00bb"
    parts = trainer(settings, studio)
    for now in (NOW, LATER):
        made = parts.train(7, now, shown=False)
        assert made.predictions == 0
        assert parts.registry.current_version(7) == made.serving
    assert {request.method for request in studio.requests} == {"GET"}


def test_nothing_is_promoted_or_predicted_where_another_backend_is_connected(
    settings: Settings, studio: InMemoryStudio, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What annotators see is another backend's there; by hand it can be changed all the same."""
    parts = trainer(settings, studio)
    version = str(parts.train(7, NOW, shown=False).serving)
    studio.connect("http://other.example", "another version")
    backend = SimpleNamespace(
        client=parts.client, trainer=parts, registry=parts.registry, settings=settings, close=lambda: None
    )
    monkeypatch.setattr("ml_backend.settings.get_settings", lambda: settings)
    monkeypatch.setattr(versions, "at_work", lambda _: nullcontext((backend, silent)))
    monkeypatch.setattr("ml_backend.backend.Backend", lambda _: backend)
    monkeypatch.setattr(predicting, "_embed", lambda *_: lambda refs, *_: Images().gather(refs, embedding_key=""))
    for command in (partial(versions.promote, version), predicting.predict):
        with pytest.raises(NotConnectedError, match="project 7 is not connected to this backend"):
            command(7)
    assert studio.predictions == []
    predicting.predict(7, force=True)
    assert studio.versions() == {version: 20}
    studio.tasks[0]["predictions"].clear()
    versions.promote(version, 7, force=True)
    assert studio.versions() == {version: 20}


def test_a_training_keeps_which_tasks_are_alike(settings: Settings, studio: InMemoryStudio) -> None:
    """Those that came later are in the next version's; whose image cannot be read is counted."""
    parts = trainer(settings, studio, Images(broken=frozenset({19})))
    version = parts.train(7, NOW).serving
    placed = parts.registry.clusters(7, version)
    assert placed is not None
    assert (sorted(placed.tasks.tolist()), placed.without) == ([*range(19)], 1)
    for tasks in placed.thinned(100).values():
        assert len({task % 2 for task in tasks}) == 1, "dark ones and light ones lie far apart"
    add_task(studio, 20)
    placed = parts.registry.clusters(7, parts.train(7, LATER).serving)
    assert placed is not None
    assert sorted(placed.tasks.tolist()) == [*range(19), 20]


def test_clusters_that_are_damaged_are_as_none(settings: Settings, studio: InMemoryStudio) -> None:
    """The next training keeps them anew."""
    parts = trainer(settings, studio)
    version = parts.train(7, NOW).serving
    [kept] = settings.data_dir.glob("projects/7/versions/*/clusters.npz")
    kept.write_bytes(b"damaged")
    assert parts.registry.clusters(7, version) is None
    parts.train(7, LATER)
    assert parts.registry.clusters(7, version) is not None
