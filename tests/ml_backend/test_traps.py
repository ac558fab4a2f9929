"""What Label Studio does with the backend that surprises people, each on the real server."""

from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from connected import LOGIN, NAME, PASSWORD, Studio, answering

from ml_backend.label_studio.client import LabelStudioClient
from ml_backend.label_studio.storing import import_missing
from ml_backend.serving.auth import webhook_headers
from ml_backend.settings import Settings
from ml_backend.training.publish import delete_old
from ml_backend.training.training_requests import TrainingRequests

if TYPE_CHECKING:
    from conftest import RunningLabelStudio, Samples

pytestmark = pytest.mark.server


@pytest.fixture
def settings(settings: Settings, label_studio: "RunningLabelStudio") -> Settings:
    """A backend that asks for credentials."""
    own = {"label_studio_url": label_studio.url, "label_studio_api_key": label_studio.api_key, "token": "tok-en"}
    return Settings.model_validate(settings.model_dump() | own | LOGIN)


def connection(url: str, project: int, **more: object) -> dict[str, Any]:
    """What Settings > Model sends."""
    return {"url": url, "project": project, "title": "suggestions", **more}


def login(password: str) -> dict[str, str]:
    """The part of it that is about the login."""
    return {"auth_method": "BASIC_AUTH", "basic_auth_user": NAME, "basic_auth_pass": password}


def test_wrong_credentials_get_label_studios_own_words(
    studio: Studio, settings: Settings, samples: "Samples"
) -> None:
    """A wrong password is named as that; none at all is refused as well; the right one connects."""
    project = studio.project(samples.config)
    with answering(settings) as url:
        wrong = studio.http.post("/api/ml", json=connection(url, project, **login("wrong")))
        assert wrong.status_code == 400
        assert "authentication parameters were either not provided or are incorrect" in wrong.text
        without = studio.http.post("/api/ml", json=connection(url, project))
        assert without.status_code == 400
        assert "401" in without.text
        made = studio.ask("POST", "/api/ml", json=connection(url, project, **login(PASSWORD)))
        assert (made["state"], made["title"]) == ("CO", "suggestions")


Events = Callable[[], None]


class Annotating:
    """What people do in a project that is connected, and whether a training is asked for afterwards."""

    def __init__(self, studio: Studio, settings: Settings, url: str, label_config: str) -> None:
        self.studio, self.settings = studio, settings
        self.project = studio.project(label_config)
        self.tasks = studio.tasks(self.project, [{"image": f"http://x.example/{row}.png"} for row in range(6)])
        studio.ask("POST", "/api/ml", json=connection(url, self.project, **login(PASSWORD)))
        self._requested = settings.data_dir / "projects" / str(self.project) / "requested"

    def asks_for_training(self, act: Events) -> bool:
        """Whether an action asks for a training: the webhook runs before the action is answered."""
        self._requested.unlink(missing_ok=True)
        act()
        return self._requested.exists()

    def annotations(self) -> list[int]:
        """The ids of all annotations."""
        tasks = self.studio.ask("GET", f"/api/tasks/?project={self.project}&fields=all&page_size=100")["tasks"]
        return [annotation["id"] for task in tasks for annotation in task["annotations"]]

    def action(self, name: str, *tasks: int, **more: object) -> None:
        """An action of the Data Manager on chosen tasks."""
        body = {"selectedItems": {"all": False, "included": list(tasks)}, **more}
        self.studio.ask("POST", f"/api/dm/actions/?id={name}&project={self.project}", json=body)


@pytest.fixture
def annotating(studio: Studio, settings: Settings, samples: "Samples") -> Iterator[Annotating]:
    """A project whose connection and webhook know the credentials."""
    with answering(settings) as url:
        yield Annotating(studio, settings, url, samples.config)


def test_a_webhook_trains_once_it_has_the_credentials(annotating: Annotating) -> None:
    """Label Studio puts no login on the webhook that it makes: nothing is asked for until it has our headers."""
    first, second, *_ = annotating.tasks
    studio = annotating.studio
    assert not annotating.asks_for_training(lambda: studio.annotate(first, "dark"))
    studio.change_webhook(annotating.project, headers=webhook_headers(annotating.settings))
    assert annotating.asks_for_training(lambda: studio.annotate(second, "light"))


def test_every_way_to_annotate_asks_for_a_training(annotating: Annotating) -> None:
    """Submits, updates, skips, deletions, bulk accepts, imports and the button, by singular or plural events."""
    studio, project, (one, two, three, *others) = annotating.studio, annotating.project, annotating.tasks
    studio.change_webhook(project, headers=webhook_headers(annotating.settings))
    region = {"from_name": "kind", "to_name": "image", "type": "choices", "value": {"choices": ["dark"]}}
    predicted = [suggestion(task, "by-hand") for task in others]
    studio.ask("POST", f"/api/projects/{project}/import/predictions", json=predicted)
    [row] = studio.connections(project)
    with_annotation = [{"data": {"image": "x"}, "annotations": [{"result": [region]}]}]
    ways: dict[str, Events] = {
        "submit": lambda: studio.annotate(one, "dark"),
        "skip": lambda: studio.annotate(two, "dark", was_cancelled=True),
        "update": lambda: studio.ask(
            "PATCH", f"/api/annotations/{annotating.annotations()[0]}/", json={"result": [region]}
        ),
        "bulk accept": lambda: annotating.action("predictions_to_annotations", *others, model_version="by-hand"),
        "single delete": lambda: studio.ask("DELETE", f"/api/annotations/{annotating.annotations()[0]}/"),
        "bulk delete": lambda: annotating.action("delete_tasks_annotations", *others),
        "import": lambda: studio.ask("POST", f"/api/projects/{project}/import", json=with_annotation),
        "delete tasks": lambda: annotating.action("delete_tasks", three),
        "start training": lambda: studio.ask("POST", f"/api/ml/{row['id']}/train"),
    }
    assert [name for name, act in ways.items() if not annotating.asks_for_training(act)] == []


def test_our_own_change_of_the_version_asks_for_none(annotating: Annotating) -> None:
    """Naming the version on connection and project is an update of the project, and must not train in a circle."""
    studio, project = annotating.studio, annotating.project
    studio.change_webhook(project, headers=webhook_headers(annotating.settings))
    renamed = {"title": "resnet18-random-20260131T120000-00aa"}
    assert not annotating.asks_for_training(lambda: studio.change_connection(project, **renamed))
    title = {"title": "Another title"}
    assert not annotating.asks_for_training(lambda: studio.ask("PATCH", f"/api/projects/{project}/", json=title))


def test_requests_survive_the_process_that_took_them(annotating: Annotating, settings: Settings) -> None:
    """An accepted event is on disk before Label Studio hears of it."""
    studio = annotating.studio
    studio.change_webhook(annotating.project, headers=webhook_headers(settings))
    assert annotating.asks_for_training(lambda: studio.annotate(annotating.tasks[0], "dark"))
    assert TrainingRequests(Path(settings.data_dir), quiet_s=0, max_wait_s=0).due(1e12) == [annotating.project]


def suggestion(task: int, version: str) -> dict[str, Any]:
    """What the bulk import takes."""
    region = {"from_name": "kind", "to_name": "image", "type": "choices", "value": {"choices": ["dark"]}}
    return {"task": task, "result": [region], "score": 0.9, "model_version": version}


def test_deleting_an_old_version_leaves_the_one_that_is_shown(annotating: Annotating, settings: Settings) -> None:
    """Label Studio clears a connected project's version with the predictions of any version; ours is kept."""
    studio, project, [task, *_] = annotating.studio, annotating.project, annotating.tasks
    oldest, old, new = (f"resnet18-random-2026013{day}T120000-00aa" for day in (0, 1, 2))
    made = [suggestion(task, name) for name in (oldest, old, new)]
    studio.ask("POST", f"/api/projects/{project}/import/predictions", json=made)

    def shown() -> str | None:
        version: str | None = studio.ask("GET", f"/api/projects/{project}/")["model_version"]
        return version

    studio.change_connection(project, title=new)
    studio.ask("PATCH", f"/api/projects/{project}/", json={"model_version": new})
    studio.ask("DELETE", f"/api/projects/{project}/model-versions/", json={"model_version": oldest})
    assert not shown()  # the trap
    studio.ask("PATCH", f"/api/projects/{project}/", json={"model_version": new})
    with closing(LabelStudioClient(settings)) as client:
        assert delete_old(client, project, [new, old], keep=1, limit_s=60).gone == [old]
    assert shown() == new
    assert set(studio.ask("GET", f"/api/projects/{project}/model-versions/")) == {new}


def test_predictions_that_were_stored_twice_are_there_once(annotating: Annotating, settings: Settings) -> None:
    """The bulk import takes the same again; the next one of ours leaves each task its first."""
    studio, project, [first, second, third, *_] = annotating.studio, annotating.project, annotating.tasks
    version = "resnet18-random-20260131T120000-00aa"
    twice = [suggestion(task, version) for task in (first, second)]
    for _ in range(2):
        studio.ask("POST", f"/api/projects/{project}/import/predictions", json=twice)

    def stored(task: int) -> list[int]:
        predictions = studio.ask("GET", "/api/predictions/", params={"task": task})
        return [prediction["id"] for prediction in predictions]

    oldest = [min(stored(task)) for task in (first, second)]
    assert [len(stored(task)) for task in (first, second, third)] == [2, 2, 0]  # the trap
    with closing(LabelStudioClient(settings)) as client:
        ours = [suggestion(task, version) for task in (first, second, third)]
        assert import_missing(client, project, version, ours) == 1
    assert [stored(task) for task in (first, second)] == [[prediction] for prediction in oldest]
    assert len(stored(third)) == 1
