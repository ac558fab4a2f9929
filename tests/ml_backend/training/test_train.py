from dataclasses import replace
from datetime import timedelta
from typing import TYPE_CHECKING

import httpx
import pytest
from in_memory_label_studio import InMemoryStudio, region
from structlog.testing import capture_logs
from training_parts import (
    BLIND,
    CONFIG,
    LATER_PROJECT,
    NOW,
    STAMP,
    Images,
    Loader,
    add_task,
    annotate_more,
    annotated,
    kind_of,
    label_studio,
    refuse_half,
    report,
    suggested,
    tasks_of,
    trainer,
)

from ml_backend.embedding.gather import Gathered, ImageRef
from ml_backend.embedding.tuned import Tuned, TunedWeights
from ml_backend.errors import LabelStudioError, NothingToLearnError, UnusableProjectError
from ml_backend.label_studio.pulling import doubt
from ml_backend.model_registry import ModelRegistry
from ml_backend.predict.predict import predict_gathered
from ml_backend.settings import Settings
from ml_backend.training.training_set import find_evidence

if TYPE_CHECKING:
    from conftest import Samples


@pytest.fixture
def studio() -> InMemoryStudio:
    """Twenty tasks, the first ten of them annotated."""
    return annotated(10, 20)


def test_all_tasks_get_predictions(settings: Settings, studio: InMemoryStudio) -> None:
    """Ten annotations make suggestions for all twenty tasks, and then the version answers and is shown."""
    made = trainer(settings, studio).train(7, NOW)
    version = made.artifact.model_version
    assert suggested(studio) == {number: kind_of(number) for number in range(20)}
    assert made.predictions == 20
    assert [studio.project["model_version"]] == [version] == ModelRegistry(settings.data_dir).versions(7)


def test_a_broken_image_costs_its_own_prediction(settings: Settings, studio: InMemoryStudio) -> None:
    """An annotated and an open task without a readable image are left out and named; the others are served."""
    made = trainer(settings, studio, Images(frozenset({0, 19}))).train(7, NOW)
    assert suggested(studio).keys() == set(range(1, 19))
    assert {ref.task_id: reason for ref, reason in made.failures.items()} == {0: "missing", 19: "missing"}


def test_an_address_that_is_no_text_costs_its_own_prediction(settings: Settings, studio: InMemoryStudio) -> None:
    """A task that holds a list of images where the config names one does not stop the training."""
    studio.add_task({"image": ["/20.png"]}, task_id=20)
    made = trainer(settings, studio, Images(frozenset({20}))).train(7, NOW)
    assert made.predictions == 20


def test_a_training_that_cannot_publish_leaves_the_last_version(
    settings: Settings, studio: InMemoryStudio
) -> None:
    """If Label Studio refuses half of the predictions, the other half goes, and the version before answers."""
    parts = trainer(settings, studio)
    first = parts.train(7, NOW).artifact.model_version
    annotate_more(studio)
    studio.faults["POST import/predictions"] = refuse_half(studio)
    with pytest.raises(LabelStudioError):
        parts.train(7, NOW.replace(hour=13))
    assert parts.registry.current_version(7) == first
    assert parts.registry.versions(7) == list(studio.versions()) == [first]


def test_a_version_that_cannot_be_withdrawn_is_the_next(settings: Settings, studio: InMemoryStudio) -> None:
    """What was stored of it cannot be deleted now: it stays known, and the next training lets it answer."""
    parts = trainer(settings, studio)
    first = parts.train(7, NOW).artifact.model_version
    annotate_more(studio)
    studio.faults = {"POST import/predictions": refuse_half(studio), "DELETE versions": httpx.Response(400)}
    with pytest.raises(LabelStudioError):
        parts.train(7, NOW.replace(hour=13))
    left = parts.registry.versions(7)[0]
    assert left != parts.registry.current_version(7) == first
    assert left in studio.versions()
    studio.faults.clear()
    last = parts.train(7, NOW.replace(hour=14))
    assert (last.artifact.model_version, last.new, last.serving) == (left, False, left)
    assert parts.registry.versions(7) == [left, first]
    assert studio.versions() == {left: 20, first: 20}


def test_a_failing_clean_up_is_no_failed_training(settings: Settings, studio: InMemoryStudio) -> None:
    """When the old version's predictions cannot be deleted, the new version answers and the old one is kept."""
    parts = trainer(settings.model_copy(update={"keep_versions": 1}), studio)
    first = parts.train(7, NOW).artifact.model_version
    annotate_more(studio)
    studio.faults["DELETE versions"] = httpx.Response(400)
    second = parts.train(7, NOW.replace(hour=13)).artifact.model_version
    assert parts.registry.versions(7) == [second, first]
    assert parts.registry.current_version(7) == second


def test_without_publishing_nothing_is_stored(settings: Settings, studio: InMemoryStudio) -> None:
    """The bulk import can be turned off; the version answers all the same."""
    quiet = settings.model_copy(update={"publish_predictions": False})
    made = trainer(quiet, studio).train(7, NOW)
    assert studio.predictions == []
    assert ModelRegistry(settings.data_dir).current_version(7) == made.artifact.model_version


@pytest.mark.parametrize(
    ("config", "votes", "why"),
    [
        ("<View/>", {1: ["dark"]}, "no <Choices>"),
        (CONFIG, {1: [], 2: []}, "no annotation"),
        (CONFIG, {}, "no annotation"),
    ],
)
def test_nothing_to_learn_makes_no_version(
    settings: Settings, config: str, votes: dict[int, list[str]], why: str
) -> None:
    """Without a control or an annotation nothing changes, and the message says what is missing."""
    parts = trainer(settings, label_studio(votes, config))
    with pytest.raises(NothingToLearnError, match=why):
        parts.train(7, NOW)
    assert parts.registry.current_version(7) is None


def test_unreadable_annotated_images_are_nothing_to_learn_from(settings: Settings) -> None:
    """If only images without annotations can be read, no version is made."""
    parts = trainer(settings, label_studio({0: ["dark"], 1: []}), Images(frozenset({0})))
    why = r"no image of project 7 with an annotation .* \(missing once\): ml-backend doctor --project 7"
    with pytest.raises(UnusableProjectError, match=why):
        parts.train(7, NOW)


@pytest.mark.parametrize(("later", "calibrated_on"), [(20, 20), (39, 20), (40, 40), (200, 64)])
def test_a_calibration_is_kept_until_the_project_has_doubled(
    settings: Settings, studio: InMemoryStudio, later: int, calibrated_on: int
) -> None:
    """Embeddings depend on the calibration: it is made anew only while it has few images, and has 64 at most."""
    parts = trainer(settings, studio)
    assert parts.train(7, NOW).artifact.n_calibrated == 20
    for number in range(20, later):
        add_task(studio, number)
    assert parts.train(7, NOW.replace(hour=13)).artifact.n_calibrated == calibrated_on


def test_evidence_points_at_the_right_rows(samples: "Samples") -> None:
    """Rows follow the order of the embeddings, also where an image is missing between."""
    gathered = Gathered({ImageRef(n, "image", ""): samples.dark for n in (3, 1)})
    tasks = tasks_of(label_studio({1: ["light"], 2: ["dark"], 3: ["dark"]}))
    [evidence], _ = find_evidence([samples.kind], tasks, gathered)
    assert dict(zip(evidence.rows.tolist(), evidence.shares.tolist(), strict=True)) == {1: [0, 1], 0: [1, 0]}


def test_predictions_name_their_task_and_version(samples: "Samples") -> None:
    """What is imported in bulk carries the id of its task and the artifact's version."""
    gathered = Gathered({ImageRef(5, "image", ""): samples.light})
    artifact = replace(samples.trained(), model_version="resnet18-random-20260131T120000-00bb")
    [only] = predict_gathered(artifact, gathered)
    assert (only["task"], only["model_version"]) == (5, "resnet18-random-20260131T120000-00bb")


def test_a_worse_version_is_kept_but_does_not_answer(settings: Settings, studio: InMemoryStudio) -> None:
    """Weights that see nothing make a version that guesses: the last one stays and gets what it lacks."""
    first = trainer(settings, studio).train(7, NOW)
    add_task(studio, 20)
    with capture_logs() as lines:
        made = trainer(settings, studio, backbones=Loader(BLIND)).train(7, NOW + timedelta(hours=1))
    version, registry = made.artifact.model_version, ModelRegistry(settings.data_dir)
    assert BLIND in version
    assert registry.versions(7) == [version, first.serving]
    assert registry.current_version(7) == made.serving == first.serving
    assert set(studio.versions()) == {first.serving}
    assert made.predictions == 1
    assert "worse" in made.why
    assert made.artifact.held_back == made.why == registry.records(7)[0].held_back
    assert [(line["event"], line["serving"]) for line in lines if line["event"] != "trained"] == [
        ("version_held_back", first.serving)
    ]


def test_a_version_that_is_no_worse_takes_over(settings: Settings, studio: InMemoryStudio) -> None:
    """One more annotation that changes nothing is no reason to keep the old version."""
    parts = trainer(settings, studio)
    parts.train(7, NOW)
    studio.annotate(10, [region("kind", "dark")])
    made = parts.train(7, NOW + timedelta(hours=1))
    assert made.serving == made.artifact.model_version == parts.registry.current_version(7)
    assert made.artifact.comparison["tasks"] == 11
    assert made.artifact.n_annotated == 11


@pytest.mark.parametrize("deleted", [False, True])
def test_no_version_is_made_twice(settings: Settings, studio: InMemoryStudio, deleted: bool) -> None:  # noqa: FBT001
    """Without anything new the same version stays, restarts included; what it lacks in Label Studio is stored."""
    first = trainer(settings, studio).train(7, NOW)
    if deleted:
        for task in studio.tasks.values():
            task["predictions"] = []
    with capture_logs() as lines:
        again = trainer(settings, studio).train(7, NOW + timedelta(hours=1))
    assert (first.new, again.new, again.serving) == (True, False, first.serving)
    assert again.predictions == (20 if deleted else 0)
    assert studio.versions() == {first.serving: 20}
    assert ModelRegistry(settings.data_dir).versions(7) == [first.serving]
    assert [line["event"] for line in lines] == ["nothing_new_to_learn"]


def test_what_was_held_back_is_not_made_twice(settings: Settings, studio: InMemoryStudio) -> None:
    """A version that was held back is neither trained nor tried again while nothing has changed."""
    first = trainer(settings, studio).train(7, NOW)
    held_back = trainer(settings, studio, backbones=Loader(BLIND)).train(7, NOW + timedelta(hours=1))
    again = trainer(settings, studio, backbones=Loader(BLIND)).train(7, NOW + timedelta(hours=2))
    assert (again.new, again.artifact.model_version) == (False, held_back.artifact.model_version)
    assert again.serving == first.serving


def test_an_annotation_that_is_taken_back_lets_the_version_before_answer(
    settings: Settings, studio: InMemoryStudio
) -> None:
    """What is known now is what the first version learned from: it answers again, and none is made."""
    parts = trainer(settings, studio)
    first = parts.train(7, NOW).serving
    annotate_more(studio)
    second = parts.train(7, NOW + timedelta(hours=1)).serving
    studio.tasks[10]["annotations"] = []
    doubt(settings.data_dir, 7)
    third = parts.train(7, NOW + timedelta(hours=2))
    assert (third.serving, third.new, parts.registry.versions(7)) == (first, False, [second, first])


def test_equal_versions_push_out_no_other(settings: Settings, studio: InMemoryStudio) -> None:
    """Of three versions that may stay, the one before stays however often a training is asked for."""
    parts = trainer(settings.model_copy(update={"keep_versions": 2}), studio)
    first = parts.train(7, NOW).serving
    annotate_more(studio)
    for hour in range(1, 5):
        last = parts.train(7, NOW + timedelta(hours=hour)).serving
    assert parts.registry.versions(7) == [last, first]
    assert parts.publish(7, first, NOW + timedelta(hours=5)).model_version == first


def test_a_first_version_that_is_worse_than_a_guess_does_not_answer(settings: Settings) -> None:
    """It is kept and told, nothing is suggested; with more annotations the next one answers."""
    studio = label_studio({number: [kind_of(number // 2)] * (number < 12) for number in range(40)})
    parts = trainer(settings, studio)
    first = parts.train(7, NOW)
    assert (first.serving, parts.registry.current(7), studio.predictions) == (None, None, [])
    assert parts.registry.faults() == {7: f"no version answers: {first.artifact.model_version} was held back"}
    assert "It is worse than a guess" in first.artifact.held_back
    for number in range(40):
        studio.tasks[number]["annotations"] = []
        studio.annotate(number, [region("kind", kind_of(number))])
    second = parts.train(7, NOW + timedelta(hours=1))
    assert second.serving == second.artifact.model_version
    assert parts.publish(7, first.artifact.model_version, NOW + timedelta(hours=2)).predictions == 40


@pytest.mark.parametrize("damage", ["pointer", "version"])
def test_a_training_makes_damage_good(settings: Settings, studio: InMemoryStudio, damage: str) -> None:
    """Whatever is damaged, after a training without anything new a sound version is named and answers."""
    parts = trainer(settings, studio)
    first = parts.train(7, NOW).serving
    folder = settings.data_dir / "projects" / "7"
    path = folder / "current" if damage == "pointer" else folder / "versions" / str(first) / "model.npz"
    path.write_bytes(b"garbage")
    made = parts.train(7, NOW + timedelta(hours=1))
    assert made.new == (damage == "version")
    assert parts.registry.faults() == {}
    assert parts.registry.current_version(7) == made.serving == studio.project["model_version"]


def test_a_better_version_takes_over(settings: Settings, studio: InMemoryStudio) -> None:
    """After weights that see nothing come those that do."""
    trainer(settings, studio, backbones=Loader(BLIND)).train(7, NOW)
    made = trainer(settings, studio).train(7, NOW + timedelta(hours=1))
    assert made.serving == made.artifact.model_version
    assert made.artifact.comparison["accuracy_after"] == 1


def test_a_version_whose_weights_are_gone_cannot_stay(settings: Settings, studio: InMemoryStudio) -> None:
    """It could suggest nothing for new images, so that a worse one is better."""
    sees = "5ee50000"
    trainer(settings, studio, backbones=Loader(sees)).train(7, NOW)
    parts = trainer(settings, studio, backbones=Loader(BLIND, lost={sees}))
    made = parts.train(7, NOW + timedelta(hours=1))
    assert BLIND in made.serving
    assert f"the weights {sees} are not there" in made.why


def test_a_new_control_takes_over(settings: Settings, studio: InMemoryStudio) -> None:
    """A version that does not know a control of today goes, even for a worse one: nothing would fill it."""
    trainer(settings, studio).train(7, NOW)
    studio.project["label_config"] = CONFIG.replace(
        "<TextArea", '<Choices name="mood" toName="image"><Choice value="a"/></Choices><TextArea'
    )
    for number in range(10):
        studio.tasks[number]["annotations"][0]["result"].append(region("mood", "a"))
    made = trainer(settings, studio, backbones=Loader(BLIND)).train(7, NOW + timedelta(hours=1))
    assert BLIND in made.serving
    assert "'mood'" in made.why


def test_after_a_reset_of_label_studio_nothing_is_compared(settings: Settings, studio: InMemoryStudio) -> None:
    """Project 7 is another one: its first version answers, although it sees nothing."""
    parts = trainer(settings, studio)
    parts.train(7, NOW)
    studio.project["created_at"], stamp = LATER_PROJECT
    made = trainer(settings, studio, backbones=Loader(BLIND)).train(7, NOW + timedelta(hours=1))
    assert made.serving == made.artifact.model_version
    assert made.artifact.stamp == stamp
    assert parts.registry.current(7, STAMP) is None


def test_weights_of_an_earlier_project_are_not_used(settings: Settings, studio: InMemoryStudio) -> None:
    """Project 7 is another one than that whose backbone was fine-tuned; that of its own is used."""
    weights, tuned = TunedWeights(settings.data_dir), Tuned("resnet18", "5ee50000", "finetune", "", "")
    parts = trainer(settings, studio)
    weights.use(7, tuned, LATER_PROJECT[1])
    assert parts.train(7, NOW).artifact.weights_id == "random"
    weights.use(7, tuned, STAMP)
    assert parts.train(7, NOW + timedelta(hours=1)).artifact.weights_id == "5ee50000"


def test_what_consensus_has_settled_is_learned(settings: Settings) -> None:
    """Dark images have one vote for dark and two for light; consensus trusts the one, and so does the version."""
    studio = label_studio({number: ["light", "light", kind_of(number)] for number in range(20)})
    misled = trainer(settings, studio).train(7, NOW)
    assert set(suggested(studio).values()) == {"light"}
    assert misled.artifact.n_settled == 0
    for number in range(18):
        report(studio, number, "Discovered", kind_of(number), 0.9)
    made = trainer(settings, studio).train(7, NOW + timedelta(hours=1))
    assert suggested(studio, made.serving) == {number: kind_of(number) for number in range(20)}
    assert (made.artifact.n_annotated, made.artifact.n_settled) == (20, 18)


def test_what_annotators_were_wrong_about_holds_nothing_back(settings: Settings) -> None:
    """Somebody says light to everything; consensus knows better, and what has learned that answers."""
    studio = label_studio({number: ["light"] * (number < 12) for number in range(16)})
    misled = trainer(settings, studio).train(7, NOW)
    for number in range(12):
        report(studio, number, "Discovered", kind_of(number), 0.9)
    made = trainer(settings, studio).train(7, NOW + timedelta(hours=1))
    assert made.serving == made.artifact.model_version != misled.serving
    assert suggested(studio, made.serving) == {number: kind_of(number) for number in range(16)}


@pytest.mark.parametrize(
    ("votes", "why"),
    [
        ({1: ["dark"]}, None),
        ({1: [None], 2: [None]}, "no annotation"),
        ({1: ["gone"], 2: [None]}, r"no annotation of project 7 fits .* lacks 'gone' of kind \(chosen 1 times\):"),
    ],
)
def test_the_smallest_projects(settings: Settings, votes: dict[int, list[str | None]], why: str | None) -> None:
    """One annotated task is a version; skipped tasks and labels of an older config are nothing to learn."""
    parts = trainer(settings, label_studio(votes))
    if why is None:
        assert parts.train(7, NOW).artifact.n_annotated == 1
        return
    with pytest.raises(NothingToLearnError, match=why):
        parts.train(7, NOW)


def test_ground_truth_teaches_alone(settings: Settings, studio: InMemoryStudio) -> None:
    """Where an expert contradicts the votes on every task, the version says what the expert says."""
    for number in range(10):
        studio.annotate(number, [region("kind", kind_of(number))], completed_by=8)
        studio.annotate(number, [region("kind", kind_of(number + 1))], completed_by=9, ground_truth=True)
    trainer(settings, studio).train(7, NOW)
    assert suggested(studio) == {number: kind_of(number + 1) for number in range(20)}


def test_each_image_of_a_task_has_its_control(settings: Settings) -> None:
    """Of two images a task, each control learns from its own."""
    config = """<View><Image name="a" value="$left"/><Image name="b" value="$right"/>
    <Choices name="kind" toName="a"><Choice value="dark"/><Choice value="light"/></Choices>
    <Choices name="other" toName="b"><Choice value="x"/><Choice value="y"/></Choices></View>"""
    studio = InMemoryStudio(config)
    for number in range(8):
        regions = [region("kind", kind_of(number)), region("other", "y" if number % 2 else "x")]
        studio.add_task(
            {"left": f"/{number}.png", "right": f"/{number}.png"}, [{"result": regions}], task_id=number
        )
    studio.add_task({"left": "/8.png"}, task_id=8)
    made = trainer(settings, studio).train(7, NOW)
    assert made.artifact.n_images == 18
    assert {made["from_name"] for made in studio.tasks[0]["predictions"][0]["result"]} == {"kind", "other"}


def test_the_steps_are_timed(settings: Settings, studio: InMemoryStudio) -> None:
    """A training tells how many seconds each step took, in their order, and how many tasks it read."""
    made = trainer(settings, studio).train(7, NOW)
    assert list(made.seconds) == ["pull", "backbone", "view", "gather", "fit", "compare", "save", "publish"]
    assert min(made.seconds.values()) >= 0
    assert made.read == 20


def test_choices_that_are_gone_are_said_once_for_a_version(settings: Settings) -> None:
    """A training that makes none, because nothing has changed, does not repeat the warning."""
    parts = trainer(settings, label_studio({number: [kind_of(number), "black"] for number in range(6)}))
    with capture_logs() as logged:
        unused = [parts.train(7, NOW).unused, parts.train(7, NOW).unused]
    assert unused == [6, 6]
    assert [line["choice"] for line in logged if line["event"] == "annotations_not_learned"] == ["black"]
