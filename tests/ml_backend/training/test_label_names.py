"""Suggestions before anything is annotated, from the names of labels, by a stand-in that knows three colours."""

import io
import json
import shutil
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING

import colour_words
import httpx
import pytest
from in_memory_label_studio import InMemoryStudio, choices, config, region
from PIL import Image
from running_backend import eventually
from training_parts import NOW, client_of
from web_in_memory import Web

from common.images.fetch import Connect
from ml_backend.backend import Backend
from ml_backend.commands.versions import versions
from ml_backend.core.held_out import ANNOTATIONS, GIVEN, NOTHING
from ml_backend.errors import NothingToLearnError, WeightsError
from ml_backend.serving.app import create_app
from ml_backend.settings import Settings
from ml_backend.training.train import Trained, Trainer
from ml_backend.training.training_requests import Reconciliation, TrainingRequests, project_state

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from contextlib import AbstractContextManager

    from conftest import RunningLabelStudio
    from running_backend import RunningBackend

    Make = Callable[..., "Project"]

COLOURS = ("red", "green", "blue")
SINGLE = choices("kind", "red", "green", "blue")


@pytest.fixture(autouse=True)
def _registered(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    colour_words.install(tmp_path / "site", monkeypatch)


class Project:
    """A project of twelve pictures, four of each colour, and a backend for it."""

    def __init__(
        self, settings: Settings, connections: Connect, web: Web, label_config: str, folder: Path
    ) -> None:
        self.studio = InMemoryStudio(label_config)
        for number in range(12):
            path = folder / "picture.png"
            Image.new("RGB", (32 + number, 32), COLOURS[number % 3]).save(path)
            web.pages[f"/{number}.png"] = path.read_bytes()
            self.studio.add_task({"image": f"/{number}.png"}, task_id=number)
        self.backend = Backend(settings, connections)

    def train(self, hour: int = 0) -> Trained:
        """Train some hours later."""
        parts = self.backend
        trainer = Trainer(parts.settings, client_of(self.studio), parts.gatherer, parts.backbones, parts.registry)
        return trainer.train(7, NOW + timedelta(hours=hour))

    def annotate(self, count: int, *, control: str = "kind", wrong: int = 0) -> None:
        """Annotate the first tasks, some of them wrongly."""
        for number in range(count):
            self.studio.annotate(number, [region(control, COLOURS[(number + (number < wrong)) % 3])])

    def suggested(self, version: str) -> dict[int, list[list[str]]]:
        """What the stored predictions of a version suggest, region by region."""
        return {
            each["task"]: [sorted(made.get("suggested", made["value"]["choices"])) for made in each["result"]]
            for each in self.studio.predictions
            if each["model_version"] == version
        }


@pytest.fixture
def make(settings: Settings, connections: Connect, web: Web, tmp_path: Path) -> "Iterator[Make]":
    """What makes projects with other settings."""
    made: list[Project] = []

    def project(label_config: str = SINGLE, **others: object) -> Project:
        defaults = {"zero_shot": "colour_words", "backbone": "colours", "weights": "imagenet", "model_wait_s": 10}
        changed = Settings.model_validate(settings.model_dump() | defaults | others)
        made.append(Project(changed, connections, web, config(label_config), tmp_path))
        return made[-1]

    yield project
    for each in made:
        each.backend.close()


def test_the_names_of_the_labels_suggest_and_tick_nothing(
    make: "Make", capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Twelve of twelve are suggested rightly, and nothing is ticked: it is measured on nothing, and says so."""
    project = make()
    made = project.train()
    version = made.artifact.model_version
    assert version.startswith("colour_words-2-")
    assert project.suggested(version) == {number: [[COLOURS[number % 3]]] for number in range(12)}
    assert all(part["value"]["choices"] == [] for each in project.studio.predictions for part in each["result"])
    check = made.artifact.model.controls[0].check
    assert (check.against, check.accuracy, made.artifact.n_annotated) == (NOTHING, None, 0)
    monkeypatch.setattr("ml_backend.settings.get_settings", lambda: project.backend.settings)
    versions(7, None, None, as_json=False)
    shown = " ".join(capsys.readouterr().out.split())
    assert f"{version} is from the names of the labels and measured on nothing yet" in shown
    answer = create_app(project.backend).test_client().get("/health").get_json()
    assert answer["measured_against"] == {"7": "nothing yet, from the names of the labels"}


def test_without_the_setting_nothing_is_suggested(make: "Make") -> None:
    """It is off by default."""
    with pytest.raises(NothingToLearnError, match="no annotation and no given label to learn from yet"):
        make(zero_shot="").train()


def test_no_version_is_made_twice_and_new_tasks_get_theirs(make: "Make") -> None:
    """A task more makes no version, and needs no network of texts; another label or prompt makes one at once."""
    project = make()
    first = project.train()
    project.studio.add_task({"image": "/0.png"}, task_id=12)
    again = project.train(1)
    assert (again.new, again.serving, again.predictions) == (False, first.serving, 1)
    project.studio.project["label_config"] = config(choices("kind", "red", "green", "blue", "red and blue"))
    renamed = project.train(2)
    assert (renamed.new, renamed.serving) == (True, renamed.artifact.model_version)
    assert renamed.artifact.model.controls[0].control.labels[-1] == "red and blue"


@pytest.mark.parametrize("names_are_right", [True, False])
def test_what_is_learned_competes_on_annotations(make: "Make", names_are_right: bool) -> None:  # noqa: FBT001
    """Both are judged by the same tasks, each by its own network: names that mislead are superseded."""
    project = make()
    first = project.train()
    project.annotate(12, wrong=0 if names_are_right else 12)
    taught = project.train(1)
    compared = taught.artifact.comparison
    assert (compared["tasks"], compared["accuracy_before"], compared["accuracy_after"]) == (12, names_are_right, 1)
    assert taught.serving == (first.serving if names_are_right else taught.artifact.model_version)
    assert bool(taught.artifact.held_back) == names_are_right
    assert taught.artifact.model.controls[0].check.against == ANNOTATIONS


def test_a_few_annotations_do_not_take_its_place(make: "Make") -> None:
    """Of three nobody can tell which is better: the names answer on, and why is said."""
    project = make()
    first = project.train()
    project.annotate(3)
    taught = project.train(1)
    assert taught.serving == first.serving
    assert taught.artifact.held_back.startswith(
        "What is made from the names of the labels answers until enough is"
    )
    project.annotate(12, wrong=12)
    assert project.train(2).serving != first.serving


def test_given_labels_compete_with_names_as_annotations_do(make: "Make") -> None:
    """Twelve given labels that say otherwise than the names: what is learned from them takes over."""
    project = make()
    first = project.train()
    for number, task in project.studio.tasks.items():
        task["data"] = task["data"] | {"label": COLOURS[(number + 1) % 3]}
        project.studio.touch(number)
    taught = project.train(1)
    assert (taught.artifact.comparison["tasks"], taught.artifact.comparison["accuracy_before"]) == (12, 0)
    assert taught.serving == taught.artifact.model_version != first.serving
    assert taught.artifact.model.controls[0].check.against == GIVEN


def test_what_was_learned_stays_when_its_annotations_are_gone(make: "Make") -> None:
    """Names do not take the place of a version that has learned from people."""
    project = make()
    project.annotate(12)
    learned = project.train()
    for task in project.studio.tasks.values():
        task["annotations"].clear()
    with pytest.raises(NothingToLearnError):
        project.train(24 * 30)
    assert project.backend.registry.current_version(7) == learned.serving


@pytest.mark.parametrize(
    ("network", "suggested"), [("colour_words", [["red"], ["red"]]), ("softmax_words", [["red"]])]
)
def test_several_labels_need_a_sigmoid(make: "Make", network: str, suggested: list[list[str]]) -> None:
    """A network that only compares texts suggests for the single choice alone; yes and no are never suggested."""
    many = choices("many", "red", "green", choice="multiple")
    project = make(SINGLE + many + choices("blurred", "yes", "no"), zero_shot=network)
    made = project.train()
    assert project.suggested(made.artifact.model_version)[0] == suggested


def test_where_no_name_says_anything_the_reason_is_given(make: "Make") -> None:
    """Control by control."""
    with pytest.raises(NothingToLearnError, match="many takes several labels, for which the network must have"):
        make(choices("many", "red", "green", choice="multiple"), zero_shot="softmax_words").train()
    with pytest.raises(NothingToLearnError, match="they are yes and no"):
        make(choices("blurred", "yes", "no")).train()


def test_an_embedder_without_texts_is_refused(make: "Make") -> None:
    """It says what it lacks."""
    with pytest.raises(WeightsError, match="the embedder colours has no embed_texts"):
        make(zero_shot="colours").train()


def test_a_hint_describes_a_code(make: "Make") -> None:
    """What a label is called does not matter where the config says what it means."""
    coded = choices("kind", "c1", "c2").replace('"c1"', '"c1" hint="red"').replace('"c2"', '"c2" hint="blue"')
    project = make(coded)
    made = project.train()
    assert project.suggested(made.artifact.model_version)[0] == [["c1"]]
    assert project.suggested(made.artifact.model_version)[2] == [["c2"]]


@pytest.mark.parametrize("zero_shot", ["", "colour_words"])
def test_a_connected_project_is_trained_by_itself(tmp_path: Path, zero_shot: str) -> None:
    """At the first look after it was connected, with the setting alone; again once that is another one."""
    settings = Settings.model_validate(
        {"data_dir": tmp_path / "data", "public_url": "http://ml.example", "zero_shot": zero_shot}
    )
    studio = InMemoryStudio(config(SINGLE))
    studio.add_task({"image": "/0.png"})
    studio.connect("http://ml.example", "suggestions")
    requests = TrainingRequests(settings.data_dir, quiet_s=0, max_wait_s=0)
    requests.know(7)
    reconciliation, client = Reconciliation(settings, requests), client_of(studio)
    assert reconciliation.ask(client, 0) == ([7] if zero_shot else [])
    reconciliation.trained(7, project_state(client, 7, settings))
    assert reconciliation.ask(client, 0) == []
    changed = settings.model_copy(update={"zero_shot": "softmax_words"})
    assert Reconciliation(changed, requests).ask(client, 0) == [7]  # with another network there may be a version


@pytest.mark.parametrize(
    ("setting", "value"),
    [
        ("zero_shot", "clip"),
        ("zero_shot", "open_clip:"),
        ("zero_shot_prompts", "a photo"),
        ("zero_shot_prompts", "[]"),
        ("zero_shot_prompts", json.dumps(["a {label}", "b"])),
    ],
)
def test_settings_that_name_nothing_are_refused(setting: str, value: str) -> None:
    """With an example of what is expected."""
    with pytest.raises(ValueError, match="must be"):
        Settings.model_validate({setting: value})


def test_prompts_are_one_text_or_a_list() -> None:
    """As JSON, or as it is."""
    one = Settings.model_validate({"zero_shot_prompts": "a drawing of {label}"})
    several = Settings.model_validate({"zero_shot_prompts": json.dumps(["a {label}", "the {label}"])})
    assert (one.zero_shot_prompts, several.zero_shot_prompts) == (
        ("a drawing of {label}",),
        ("a {label}", "the {label}"),
    )


@pytest.mark.server
def test_suggestions_are_there_soon_after_a_project_is_connected(
    label_studio: "RunningLabelStudio",
    serve_backend: "Callable[..., AbstractContextManager[RunningBackend]]",
    tmp_path: Path,
) -> None:
    """Nobody has annotated or trained: with pictures and names, each task gets its suggestion, unticked."""
    admin = label_studio.administrator
    project = admin.create_project(config(SINGLE))
    pictures = {}
    for colour in COLOURS:
        file = io.BytesIO()
        Image.new("RGB", (40, 40), colour).save(file, "PNG")
        pictures[f"{colour}.png"] = file.getvalue()
    admin.upload(project, pictures, make_tasks=True)
    shutil.copy(colour_words.__file__, tmp_path / "site")
    environment = {
        "PYTHONPATH": str(tmp_path / "site"),
        "LABEL_STUDIO_URL": label_studio.url,
        "LABEL_STUDIO_API_KEY": label_studio.api_key,
        "ML_BACKEND_RECONCILE_S": "1",
        "ML_BACKEND_QUIET_S": "0",
        "ML_BACKEND_WEIGHTS": "imagenet",
        "ML_BACKEND_BACKBONE": "colours",
        "ML_BACKEND_ZERO_SHOT": "colour_words",
    }
    with serve_backend(**environment) as backend:
        admin.add_connection(project, backend.url, "suggestions", None)
        assert eventually(lambda: all(task["predictions"] for task in admin.whole_tasks(project)), 90), backend.log
        for task in admin.whole_tasks(project):
            [prediction] = task["predictions"]
            [made] = prediction["result"]
            assert (made["suggested"], made["value"]["choices"]) == (
                [next(colour for colour in COLOURS if colour in task["data"]["image"])],
                [],
            )
        url = f"{backend.url}/health"
        measured = {str(project): "nothing yet, from the names of the labels"}
        assert eventually(lambda: httpx.get(url, timeout=5).json()["measured_against"] == measured, 30), (
            backend.log
        )
