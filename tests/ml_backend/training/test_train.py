from dataclasses import replace
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import pytest
from structlog.testing import capture_logs
from training_parts import BLIND, CONFIG, NOW, STAMP, Images, Loader, Studio, task, tasks, trainer

from ml_backend.core.consensus_targets import Verdict
from ml_backend.embedding.gather import Gathered, ImageRef
from ml_backend.embedding.tuned import Tuned, TunedWeights
from ml_backend.errors import LabelStudioError, NothingToLearnError
from ml_backend.label_studio.client import Task
from ml_backend.model_registry import ModelRegistry
from ml_backend.predict.predict import predict_gathered
from ml_backend.settings import Settings
from ml_backend.training.training_set import find_evidence

if TYPE_CHECKING:
    from conftest import Samples


@pytest.fixture
def studio() -> Studio:
    """Twenty tasks, the first ten of them annotated."""
    return Studio(tasks(10, 20))


def test_all_tasks_get_predictions(settings: Settings, studio: Studio) -> None:
    """Ten annotations make suggestions for all twenty tasks, and then the version answers and is shown."""
    made = trainer(settings, studio).train(7, NOW)
    by_task = {one["task"]: one["result"][0]["value"]["choices"][0] for one in studio.stored}
    assert by_task == {n: "light" if n % 2 else "dark" for n in range(20)}
    assert made.predictions == 20
    assert studio.events == [made.artifact.model_version] == ModelRegistry(settings.data_dir).versions(7)


def test_a_broken_image_costs_its_own_prediction(settings: Settings, studio: Studio) -> None:
    """An annotated and an open task without a readable image are left out and named; the others are served."""
    made = trainer(settings, studio, Images(frozenset({0, 19}))).train(7, NOW)
    assert {one["task"] for one in studio.stored} == set(range(1, 19))
    assert {ref.task_id: reason for ref, reason in made.failures.items()} == {0: "missing", 19: "missing"}


def test_an_address_that_is_no_text_costs_its_own_prediction(settings: Settings, studio: Studio) -> None:
    """A task that holds a list of images where the config names one does not stop the training."""
    studio.found.append(Task(20, {"image": ["/20.png"]}, ()))
    made = trainer(settings, studio, Images(frozenset({20}))).train(7, NOW)
    assert made.predictions == 20


def test_a_training_that_cannot_publish_leaves_the_last_version(settings: Settings, studio: Studio) -> None:
    """If Label Studio refuses half of the predictions, the other half goes, and the version before answers."""
    parts = trainer(settings, studio)
    first = parts.train(7, NOW).artifact.model_version
    studio.refuses = True
    with pytest.raises(LabelStudioError):
        parts.train(7, NOW.replace(hour=13))
    assert parts.registry.current_version(7) == first
    assert parts.registry.versions(7) == studio.versions(7) == [first]


def test_a_version_that_cannot_be_withdrawn_goes_with_the_next(settings: Settings, studio: Studio) -> None:
    """What was stored of it cannot be deleted now: it stays known, so that the next training deletes it."""
    parts = trainer(settings, studio)
    first = parts.train(7, NOW).artifact.model_version
    studio.refuses = studio.fails_to_delete = True
    with pytest.raises(LabelStudioError):
        parts.train(7, NOW.replace(hour=13))
    left = parts.registry.versions(7)[0]
    assert left != parts.registry.current_version(7) == first
    assert left in studio.versions(7)
    studio.refuses = studio.fails_to_delete = False
    last = parts.train(7, NOW.replace(hour=14)).artifact.model_version
    assert parts.registry.versions(7) == [last, first]
    assert studio.versions(7) == sorted([last, first])


def test_a_failing_clean_up_is_no_failed_training(settings: Settings, studio: Studio) -> None:
    """When the old version's predictions cannot be deleted, the new version answers and the old one is kept."""
    parts = trainer(settings.model_copy(update={"keep_versions": 1}), studio)
    first = parts.train(7, NOW).artifact.model_version
    studio.fails_to_delete = True
    second = parts.train(7, NOW.replace(hour=13)).artifact.model_version
    assert parts.registry.versions(7) == [second, first]
    assert parts.registry.current_version(7) == second


def test_without_publishing_nothing_is_stored(settings: Settings, studio: Studio) -> None:
    """The bulk import can be turned off; the version answers all the same."""
    quiet = settings.model_copy(update={"publish_predictions": False})
    made = trainer(quiet, studio).train(7, NOW)
    assert studio.stored == []
    assert ModelRegistry(settings.data_dir).current_version(7) == made.artifact.model_version


@pytest.mark.parametrize(
    ("config", "found", "why"),
    [
        ("<View/>", [task(1, "dark")], "no <Choices>"),
        (None, [task(1), task(2)], "no annotation"),
        (None, [], "no annotation"),
    ],
)
def test_nothing_to_learn_makes_no_version(
    settings: Settings, config: str | None, found: list[Task], why: str
) -> None:
    """Without a control or an annotation nothing changes, and the message says what is missing."""
    parts = trainer(settings, Studio(found, config or CONFIG))
    with pytest.raises(NothingToLearnError, match=why):
        parts.train(7, NOW)
    assert parts.registry.current_version(7) is None


def test_unreadable_annotated_images_are_nothing_to_learn_from(settings: Settings) -> None:
    """If only images without annotations can be read, no version is made."""
    parts = trainer(settings, Studio([task(0, "dark"), task(1)]), Images(frozenset({0})))
    with pytest.raises(NothingToLearnError, match="no image of project 7 with an annotation"):
        parts.train(7, NOW)


@pytest.mark.parametrize(("later", "calibrated_on"), [(20, 20), (39, 20), (40, 40), (200, 64)])
def test_a_calibration_is_kept_until_the_project_has_doubled(
    settings: Settings, studio: Studio, later: int, calibrated_on: int
) -> None:
    """Embeddings depend on the calibration: it is made anew only while it has few images, and has 64 at most."""
    parts = trainer(settings, studio)
    assert parts.train(7, NOW).artifact.n_calibrated == 20
    studio.found = [*studio.found, *(task(n) for n in range(20, later))]
    assert parts.train(7, NOW.replace(hour=13)).artifact.n_calibrated == calibrated_on


def test_evidence_points_at_the_right_rows(samples: "Samples") -> None:
    """Rows follow the order of the embeddings, also where an image is missing between."""
    gathered = Gathered({ImageRef(n, "image", ""): samples.dark for n in (3, 1)})
    [evidence], _ = find_evidence([samples.kind], [task(1, "light"), task(2, "dark"), task(3, "dark")], gathered)
    assert dict(zip(evidence.rows.tolist(), evidence.shares.tolist(), strict=True)) == {1: [0, 1], 0: [1, 0]}


def test_predictions_name_their_task_and_version(samples: "Samples") -> None:
    """What is imported in bulk carries the id of its task and the artifact's version."""
    gathered = Gathered({ImageRef(5, "image", ""): samples.light})
    artifact = replace(samples.trained(), model_version="resnet18-random-20260131T120000-00bb")
    [only] = predict_gathered(artifact, gathered)
    assert (only["task"], only["model_version"]) == (5, "resnet18-random-20260131T120000-00bb")


def test_a_worse_version_is_kept_but_does_not_answer(settings: Settings, studio: Studio) -> None:
    """Weights that see nothing make a version that guesses: the last one stays and gets what it lacks."""
    first = trainer(settings, studio).train(7, NOW)
    studio.found.append(task(20))
    with capture_logs() as lines:
        made = trainer(settings, studio, backbones=Loader(BLIND)).train(7, NOW + timedelta(hours=1))
    version, registry = made.artifact.model_version, ModelRegistry(settings.data_dir)
    assert BLIND in version
    assert registry.versions(7) == [version, first.serving]
    assert registry.current_version(7) == made.serving == first.serving
    assert {one["model_version"] for one in studio.stored} == {first.serving}
    assert made.predictions == 1
    assert "worse" in made.why
    assert made.artifact.held_back == made.why == registry.records(7)[0].held_back
    assert [(one["event"], one["serving"]) for one in lines if one["event"] != "trained"] == [
        ("version_held_back", first.serving)
    ]


def test_a_version_that_is_no_worse_takes_over(settings: Settings, studio: Studio) -> None:
    """One more annotation that changes nothing is no reason to keep the old version."""
    parts = trainer(settings, studio)
    parts.train(7, NOW)
    studio.found[10] = task(10, "dark")
    made = parts.train(7, NOW + timedelta(hours=1))
    assert made.serving == made.artifact.model_version == parts.registry.current_version(7)
    assert made.artifact.comparison["tasks"] == 11
    assert made.artifact.n_annotated == 11


def test_a_better_version_takes_over(settings: Settings, studio: Studio) -> None:
    """After weights that see nothing come those that do."""
    trainer(settings, studio, backbones=Loader(BLIND)).train(7, NOW)
    made = trainer(settings, studio).train(7, NOW + timedelta(hours=1))
    assert made.serving == made.artifact.model_version
    assert made.artifact.comparison["accuracy_after"] == 1


def test_a_version_whose_weights_are_gone_cannot_stay(settings: Settings, studio: Studio) -> None:
    """It could suggest nothing for new images, so that a worse one is better."""
    sees = "5ee50000"
    trainer(settings, studio, backbones=Loader(sees)).train(7, NOW)
    parts = trainer(settings, studio, backbones=Loader(BLIND, lost={sees}))
    made = parts.train(7, NOW + timedelta(hours=1))
    assert BLIND in made.serving
    assert f"the weights {sees} are not there" in made.why


def test_a_new_control_takes_over(settings: Settings, studio: Studio) -> None:
    """A version that does not know a control of today goes, even for a worse one: nothing would fill it."""
    trainer(settings, studio).train(7, NOW)
    studio.config = CONFIG.replace(
        "<TextArea", '<Choices name="mood" toName="image"><Choice value="a"/></Choices><TextArea'
    )
    for number in range(10):
        [given] = studio.found[number].annotations
        choices = {**given.choices, "mood": ("a",)}
        studio.found[number] = replace(studio.found[number], annotations=(replace(given, choices=choices),))
    made = trainer(settings, studio, backbones=Loader(BLIND)).train(7, NOW + timedelta(hours=1))
    assert BLIND in made.serving
    assert "'mood'" in made.why


def test_after_a_reset_of_label_studio_nothing_is_compared(settings: Settings, studio: Studio) -> None:
    """Project 7 is another one: its first version answers, however bad it is."""
    parts = trainer(settings, studio)
    parts.train(7, NOW)
    studio.stamp = "1795256999"
    made = trainer(settings, studio, backbones=Loader(BLIND)).train(7, NOW + timedelta(hours=1))
    assert made.serving == made.artifact.model_version
    assert made.artifact.stamp == "1795256999"
    assert parts.registry.current(7, STAMP) is None


def test_weights_of_an_earlier_project_are_not_used(settings: Settings, studio: Studio) -> None:
    """Project 7 is another one than that whose backbone was fine-tuned; that of its own is used."""
    weights, tuned = TunedWeights(settings.data_dir), Tuned("resnet18", "5ee50000", "finetune", "", "")
    parts = trainer(settings, studio)
    weights.use(7, tuned, "1795256999")
    assert parts.train(7, NOW).artifact.weights_id == "random"
    weights.use(7, tuned, STAMP)
    assert parts.train(7, NOW + timedelta(hours=1)).artifact.weights_id == "5ee50000"


def test_what_consensus_has_settled_is_learned(settings: Settings) -> None:
    """Dark images have one vote for dark and two for light; consensus trusts the one, and so does the version."""
    studio = Studio([task(n, "light", "light", "light" if n % 2 else "dark") for n in range(20)])
    misled = trainer(settings, studio).train(7, NOW)
    assert {choice(one) for one in studio.stored} == {"light"}
    assert misled.artifact.n_settled == 0
    studio.spoken = [
        (number, Verdict("Discovered", "kind", "light" if number % 2 else "dark", 0.9)) for number in range(18)
    ]
    made = trainer(settings, studio).train(7, NOW + timedelta(hours=1))
    of_new = {one["task"]: choice(one) for one in studio.stored if one["model_version"] == made.serving}
    assert of_new == {number: "light" if number % 2 else "dark" for number in range(20)}
    assert (made.artifact.n_annotated, made.artifact.n_settled) == (20, 18)


def choice(prediction: dict[str, Any]) -> str:
    """What a prediction suggests."""
    return str(prediction["result"][0]["value"]["choices"][0])


@pytest.mark.parametrize(
    ("found", "why"),
    [
        ([task(1, "dark")], None),
        ([task(1, None), task(2, None)], "no annotation"),
        ([task(1, "gone"), task(2, None)], "no annotation"),
    ],
)
def test_the_smallest_projects(settings: Settings, found: list[Task], why: str | None) -> None:
    """One annotated task is a version; skipped tasks and labels of an older config are nothing to learn."""
    parts = trainer(settings, Studio(found))
    if why is None:
        assert parts.train(7, NOW).artifact.n_annotated == 1
        return
    with pytest.raises(NothingToLearnError, match=why):
        parts.train(7, NOW)


def test_ground_truth_teaches_alone(settings: Settings, studio: Studio) -> None:
    """Where an expert contradicts the votes on every task, the version says what the expert says."""
    for number in range(10):
        [vote] = studio.found[number].annotations
        truth = {"kind": ("dark" if number % 2 else "light",)}
        expert = replace(vote, annotator=9, ground_truth=True, choices=truth)
        studio.found[number] = replace(studio.found[number], annotations=(vote, vote, expert))
    trainer(settings, studio).train(7, NOW)
    assert {one["task"]: choice(one) for one in studio.stored} == {
        number: "dark" if number % 2 else "light" for number in range(20)
    }


def test_each_image_of_a_task_has_its_control(settings: Settings) -> None:
    """Of two images a task, each control learns from its own."""
    config = """<View><Image name="a" value="$left"/><Image name="b" value="$right"/>
    <Choices name="kind" toName="a"><Choice value="dark"/><Choice value="light"/></Choices>
    <Choices name="other" toName="b"><Choice value="x"/><Choice value="y"/></Choices></View>"""
    found = []
    for number in range(8):
        [vote] = task(number, "light" if number % 2 else "dark").annotations
        vote = replace(vote, choices={**vote.choices, "other": ("y" if number % 2 else "x",)})
        found.append(Task(number, {"left": f"/{number}.png", "right": f"/{number}.png"}, (vote,)))
    found.append(Task(8, {"left": "/8.png"}, ()))
    studio = Studio(found, config)
    made = trainer(settings, studio).train(7, NOW)
    assert made.artifact.n_images == 18
    by_task = {one["task"]: {region["from_name"] for region in one["result"]} for one in studio.stored}
    assert by_task[0] == {"kind", "other"}


def test_the_steps_are_timed(settings: Settings, studio: Studio) -> None:
    """A training tells how many seconds each step took, in their order, and how many tasks it read."""
    made = trainer(settings, studio).train(7, NOW)
    assert list(made.seconds) == ["pull", "backbone", "gather", "fit", "compare", "save", "publish"]
    assert min(made.seconds.values()) >= 0
    assert made.read == 20
