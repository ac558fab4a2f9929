"""Trainings by labels that tasks came with, with a Label Studio in memory."""

import json
from typing import Any

import pytest
from in_memory_label_studio import NOW, PROJECT, InMemoryStudio, region
from training_parts import CONFIG, client_of, kind_of, suggested, trainer

from common.contract import given_in
from ml_backend.commands.versions import versions
from ml_backend.core.controls import image_controls
from ml_backend.core.held_out import ANNOTATIONS, GIVEN
from ml_backend.core.suggestions import Ticking
from ml_backend.embedding.gather import ImageRef
from ml_backend.errors import NothingToLearnError
from ml_backend.predict.predict import predict_gathered
from ml_backend.settings import Settings
from ml_backend.training.train import Trained
from ml_backend.training.training_requests import Reconciliation, TrainingRequests
from ml_backend.training.training_set import with_given

TASKS = 40
WRONG = (3, 8, 21)
CHECK = """<View><Image name="image" value="$image"/><Header value="Is it $label?"/>
<Choices name="check" toName="image">
<Choice value="{yes}"/><Choice value="{no}"/><Choice value="unsure"/></Choices></View>"""


def labelled(config: str = CONFIG, key: str = "label", count: int = TASKS) -> InMemoryStudio:
    """A project whose tasks came with the label of their image, and some with the other one."""
    made = InMemoryStudio(config)
    for number in range(count):
        made.add_task({"image": f"/{number}.png", key: given_of(number)}, task_id=number)
    return made


def given_of(number: int) -> str:
    """The label that a task came with."""
    return kind_of(number + 1 if number in WRONG else number)


def train(settings: Settings, studio: InMemoryStudio) -> Trained:
    """Train the project."""
    return trainer(settings, studio).train(PROJECT, NOW)


def regions(studio: InMemoryStudio) -> dict[int, dict[str, Any]]:
    """The one region of each task's prediction."""
    return {row["task"]: row["result"][0] for row in studio.predictions}


def test_given_labels_alone_make_the_first_version(settings: Settings) -> None:
    """Every task gets a suggestion; those that came with a wrong label get the right one, and say how likely."""
    studio = labelled()
    made = train(settings, studio)
    assert made.serving == made.artifact.model_version
    assert (made.artifact.n_annotated, made.artifact.model.controls[0].check.against) == (0, GIVEN)
    assert suggested(studio) == {number: kind_of(number) for number in range(TASKS)}
    given = {number: given_in(each) for number, each in regions(studio).items()}
    assert {number: about.label for number, about in given.items() if about} == {
        number: given_of(number) for number in range(TASKS)
    }
    assert sorted(given, key=lambda number: given[number].probability)[:3] == sorted(  # type: ignore[union-attr]
        WRONG,
        key=lambda number: given[number].probability,  # type: ignore[union-attr]
    )


def test_what_an_annotator_sees_is_not_what_was_given(settings: Settings) -> None:
    """The given label stands in no place of a region that Label Studio shows or hands on."""
    studio = labelled()
    train(settings, studio)
    wrong = regions(studio)[WRONG[0]]
    assert wrong["value"] == {"choices": [kind_of(WRONG[0])]}
    assert "meta" not in wrong


def test_predict_says_of_a_task_what_was_stored(settings: Settings) -> None:
    """What a task's own label taught is left out of what is answered for it later, too."""
    studio = labelled()
    parts = trainer(settings, studio)
    artifact = parts.train(PROJECT, NOW).artifact
    gathered = parts.gatherer.gather(
        [ImageRef.of(number, "image", {"image": f"/{number}.png"}) for number in range(TASKS)],
        embedding_key=artifact.embedding_key,
        embedder=lambda: None,
    )
    tasks = list(client_of(studio).annotated_tasks(PROJECT))
    made = predict_gathered(artifact, gathered, ticking=Ticking(), tasks=tasks)
    assert {row["task"]: row["result"][0] for row in made} == regions(studio)


def test_people_take_over(settings: Settings) -> None:
    """With annotations the next version is measured by them alone, and compared by them with the first."""
    studio = labelled()
    first = train(settings, studio)
    for number in range(10):
        studio.annotate(number, [region("kind", kind_of(number))], completed_by=1)
    second = trainer(settings, studio).train(PROJECT, NOW.replace(hour=13))
    check = second.artifact.model.controls[0].check
    assert second.serving == second.artifact.model_version != first.artifact.model_version
    assert (check.against, check.tasks, second.artifact.n_annotated) == (ANNOTATIONS, 10, 10)
    assert second.artifact.comparison["tasks"] == 10


def test_the_same_given_labels_make_no_second_version(settings: Settings) -> None:
    """And a label that was changed makes one."""
    studio = labelled()
    first = train(settings, studio)
    again = trainer(settings, studio).train(PROJECT, NOW.replace(hour=13))
    assert again.artifact.model_version == first.artifact.model_version
    studio.tasks[5]["data"]["label"] = kind_of(4)
    studio.touch(5)
    other = trainer(settings, studio).train(PROJECT, NOW.replace(hour=14))
    assert other.artifact.model_version != first.artifact.model_version


def test_given_labels_can_be_switched_off_and_named(settings: Settings) -> None:
    """`none` leaves a control alone; a key that nobody would recognize is named."""
    off = settings.model_copy(update={"given": {"kind": "none"}})
    with pytest.raises(NothingToLearnError, match="no given label"):
        train(off, labelled())
    named = settings.model_copy(update={"given": {"kind": "meta.folder"}})
    studio = InMemoryStudio(CONFIG)
    for number in range(TASKS):
        odd = {"a": "x", "meta": {"folder": given_of(number)}}
        studio.add_task({"image": f"/{number}.png", **odd}, task_id=number)
    assert train(named, studio).artifact.model.controls[0].check.tasks == TASKS


def test_labels_that_the_control_lacks_teach_nothing(settings: Settings) -> None:
    """A fifth of the labels is misspelt; those tasks are suggested for by what their image shows."""
    studio = labelled()
    for number in range(0, TASKS, 5):
        studio.tasks[number]["data"]["label"] = "Nonsense"
    made = train(settings, studio)
    assert made.artifact.model.controls[0].check.tasks == TASKS - 8
    assert suggested(studio)[0] == "dark"
    assert given_in(regions(studio)[0]) is None


@pytest.mark.parametrize(("yes", "no"), [("yes", "no"), ("Right", "Wrong"), ("correct", "incorrect")])
def test_a_verification_compares_the_given_label_with_the_image(settings: Settings, yes: str, no: str) -> None:
    """Without any annotation: no where the images say another label, yes where they say the same."""
    studio = labelled(CHECK.format(yes=yes, no=no))
    train(settings, studio)
    assert suggested(studio) == {number: no if number in WRONG else yes for number in range(TASKS)}


def test_a_verification_suggests_nothing_without_a_given_label(settings: Settings) -> None:
    """Tasks without one, or with an unknown one, get none, though the model knows their images."""
    studio = labelled(CHECK.format(yes="yes", no="no"))
    del studio.tasks[0]["data"]["label"]
    studio.tasks[1]["data"]["label"] = "owl"
    train(settings, studio)
    assert {0, 1}.isdisjoint(regions(studio))
    assert set(range(2, TASKS)) - set(WRONG) <= regions(studio).keys()


def test_answers_to_a_verification_teach_labels(settings: Settings) -> None:
    """Annotators deny a whole class that was given wrongly: then no is suggested for the rest of it as well."""
    studio = InMemoryStudio(CHECK.format(yes="yes", no="no"))
    for number in range(60):
        studio.add_task({"image": f"/{number}.png", "label": kind_of(number)}, task_id=number)
    for number in range(40):
        studio.annotate(number, [region("check", "yes")], completed_by=1)
    studio.tasks[51]["data"]["label"] = "dark"
    made = train(settings, studio)
    check = made.artifact.model.controls[0].check
    assert (check.against, check.tasks, check.accuracy) == (ANNOTATIONS, 40, 1)
    assert suggested(studio)[51] == "no"


def test_a_verification_may_use_other_words_where_the_settings_name_them(settings: Settings) -> None:
    """Ja and nein are recognized by nobody."""
    named = {"check": {"given": "label", "yes": "ja", "no": "nein"}}
    studio = labelled(CHECK.format(yes="ja", no="nein"))
    train(settings.model_copy(update={"given": named}), studio)
    assert suggested(studio) == {number: "nein" if number in WRONG else "ja" for number in range(TASKS)}


def test_labels_chosen_on_another_control_speak_for_a_verification(settings: Settings) -> None:
    """Who says what it is instead has said that the given label is wrong."""
    choices = CONFIG.partition("<Choices")[2].partition("<TextArea")[0]
    config = CHECK.format(yes="yes", no="no").replace("</View>", f"<Choices{choices}</View>")
    studio = labelled(config)
    for number in range(TASKS):
        studio.tasks[number]["data"]["label"] = "light" if number < 20 else kind_of(number)
    for number in range(12):
        studio.annotate(number, [region("kind", kind_of(number))], completed_by=1)
    train(settings.model_copy(update={"given": {"check": "label"}}), studio)
    shown = {
        (row["task"], each["from_name"]): each.get("suggested", each["value"]["choices"])
        for row in studio.predictions
        for each in row["result"]
    }
    assert {tuple(shown[number, "check"]) for number in (12, 14, 16, 18)} == {("no",)}
    assert {tuple(shown[number, "kind"]) for number in (12, 14, 16, 18)} == {("dark",)}


def test_a_verification_is_about_the_image_that_it_is_bound_to(settings: Settings) -> None:
    """Of two images a task."""
    config = CHECK.format(yes="yes", no="no").replace('toName="image"', 'toName="other"')
    config = config.replace("<Header", '<Image name="other" value="$other"/><Header')
    studio = labelled(config)
    for number in range(TASKS):
        studio.tasks[number]["data"]["other"] = f"/other/{number}.png"
    made = train(settings, studio)
    assert [scores.control.image_key for scores in made.artifact.model.controls] == ["other"]
    assert suggested(studio) == {number: "no" if number in WRONG else "yes" for number in range(TASKS)}


def test_a_verification_of_one_label_is_named_as_what_cannot_be_suggested(settings: Settings) -> None:
    """All tasks came with the same label: the config is right, and a training says what is lacking."""
    studio = InMemoryStudio(CHECK.format(yes="yes", no="no"))
    for number in range(TASKS):
        studio.add_task({"image": f"/{number}.png", "label": "dark"}, task_id=number)
    with pytest.raises(NothingToLearnError, match="check asks whether given labels are right, of which no two"):
        train(settings, studio)


def test_yes_and_no_about_something_else_stay_choices() -> None:
    """A control that does not show the given label is no verification of it."""
    config = CHECK.format(yes="yes", no="no").replace("Is it $label?", "Is it blurry?")
    tasks = list(client_of(labelled(config)).annotated_tasks(PROJECT))
    assert [control.answers for control in with_given(image_controls(config), config, tasks, {}, {})] == [{}]


def test_lost_events_of_an_import_with_labels_are_made_up_for(settings: Settings) -> None:
    """A connected project that has labels and no annotation gets its training; one without waits."""
    settings = settings.model_copy(update={"public_url": "http://ml.example"})
    for studio, due in ((labelled(), [PROJECT]), (labelled(key="remark"), [])):
        studio.connect("http://ml.example", "v")
        if not due:
            for number in range(TASKS):
                studio.tasks[number]["data"]["remark"] = f"photo {number}"
        requests = TrainingRequests(settings.data_dir, quiet_s=0, max_wait_s=0)
        requests.know(PROJECT)
        assert Reconciliation(settings, requests).ask(client_of(studio), 1_700_000_000.0) == due


@pytest.mark.parametrize(
    "value", ['{"kind": 3}', "label", '{"kind": {"yes": "ja"}}', '{"kind": {"given": "a", "b": "c"}}']
)
def test_a_setting_that_names_no_key_is_refused(value: str) -> None:
    """With an example of what is expected."""
    with pytest.raises(ValueError, match="must be JSON"):
        Settings.model_validate({"given": value})
    assert Settings.model_validate({"given": json.dumps({"kind": "none"})}).given == {"kind": "none"}


def test_versions_say_that_they_are_measured_against_given_labels(
    settings: Settings, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """In the table, in the figures of a control, and as JSON for programs."""
    made = train(settings, labelled())
    monkeypatch.setattr("ml_backend.settings.get_settings", lambda: settings)
    versions(PROJECT, None, None, as_json=False)
    versions(PROJECT, "kind", None, as_json=False)
    shown = " ".join(capsys.readouterr().out.split())
    assert f"{made.artifact.model_version} is measured against given labels" in shown
    assert "40 tasks held out, measured against given labels" in shown
    versions(PROJECT, None, None, as_json=True)
    [record] = json.loads(capsys.readouterr().out)
    assert record["controls"]["kind"]["against"] == GIVEN


def test_given_lists_of_a_multiple_choice_teach_label_by_label(settings: Settings) -> None:
    """Dark pictures came with two labels; three of them lack one, which is suggested."""
    config = CONFIG.replace('toName="image"><Choice', 'toName="image" choice="multiple"><Choice', 1)
    config = config.replace("</Choices>", '<Choice value="plain"/></Choices>')
    studio = InMemoryStudio(config)
    for number in range(TASKS):
        labels = [kind_of(number)] + ["plain"] * (number % 2 == 0 and number not in (2, 4, 6))
        studio.add_task({"image": f"/{number}.png", "label": labels}, task_id=number)
    train(settings, studio)
    shown = {
        number: set(each.get("suggested", each["value"]["choices"])) for number, each in regions(studio).items()
    }
    assert {frozenset(shown[number]) for number in (2, 4, 6)} == {frozenset({"dark", "plain"})}
    assert shown[1] == {"light"}
