"""``ml-backend doctor`` on a real Label Studio, and on what cannot be asked."""

import base64
import json
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import httpx
import label_studio_server
import pytest
from connected import LOGIN, Connected, Studio, answering, settings_for
from running_backend import RunningBackend, eventually

from common.doctor import Diagnosis, Finding, Level
from ml_backend.doctor import examine
from ml_backend.errors import RefusedError
from ml_backend.settings import Settings

if TYPE_CHECKING:
    from conftest import Samples

pytestmark = pytest.mark.server


@pytest.fixture(scope="module")
def open_backend(studio: Studio, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Settings]:
    """The settings of a backend that lets everybody in."""
    folder = tmp_path_factory.mktemp("open")
    with answering(settings_for(studio, folder)) as url:
        yield settings_for(studio, folder, public_url=url)


@pytest.fixture
def connected(studio: Studio, open_backend: Settings, samples: "Samples") -> Connected:
    """A new project, connected, without tasks."""
    made = Connected(studio, open_backend, studio.project(samples.config))
    made.connect()
    return made


def of_check(found: list[Diagnosis], check: str) -> Finding:
    """The only finding of a general check."""
    [finding] = [
        diagnosis.finding for diagnosis in found if diagnosis.check == check and diagnosis.project_id is None
    ]
    return finding


def test_each_image_that_cannot_be_read_is_explained(connected: Connected, samples: "Samples") -> None:
    """A sample of the images is fetched as the backend does it, and each reason has its own remedy."""
    studio, project = connected.studio, connected.project
    gone = studio.upload(project, "gone.png", samples.png("red"))
    [file] = studio.ask("GET", f"/api/projects/{project}/file-uploads", params={"all": "true"})
    studio.ask("DELETE", f"/api/projects/{project}/file-uploads", json={"file_upload_ids": [file["id"]]})
    images = [
        studio.upload(project, "good.png", samples.png("red")),
        studio.upload(project, "cut.png", samples.png("red", (64, 64))[:-30]),
        gone,
        "http://images.example:8080/a.png",
        "/data/local-files/?d=a.png",
        "s3://plankton/a.png",
        f"{studio.running.url}/user/login/",
        "file:///etc/passwd",
        ["http://images.example/a.png", "http://images.example/b.png"],
    ]
    studio.tasks(project, [{"image": image} for image in images])
    found = connected.examine(images=len(images))
    assert [one.seen for one in found["images"] if one.level is Level.FINE] == [
        "1 of 8 that were tried can be read"
    ]
    remedies = " | ".join(f"{one.seen} -> {one.remedy}" for one in found["images"])
    for words in (
        "ML_BACKEND_IMAGE_HOSTS=images.example:8080",
        "LABEL_STUDIO_LOCAL_FILES_SERVING_ENABLED=true",
        "no source storage of this project for s3://plankton",
        "what comes is a web page, perhaps a login",
        "the uploaded file is gone from Label Studio's data folder",
        "unsupported_url",
        "the file is cut off",
    ):
        assert words in remedies
    [finding] = found["image keys"]
    assert finding.seen == "1 of 9 tasks that were looked at hold a list under 'image', not an address"


def test_what_is_wrong_with_tasks_and_annotations_is_named(connected: Connected) -> None:
    """Labels that the config lacks, tasks that closed too early, and tasks without the key of the config."""
    studio, project = connected.studio, connected.project
    first, second = studio.tasks(project, [{"image": "http://images.example/a.png", "photo": "x"}] * 2)
    studio.annotate(first, "grey")
    studio.ask("PATCH", f"/api/tasks/{first}/", json={"overlap": 2})
    studio.ask("PATCH", f"/api/tasks/{second}/", json={"data": {"photo": "x"}})
    to_do = connected.to_do()
    assert to_do["labels"][0].seen == "annotations hold labels that the label config lacks: 'grey' (kind) 1 times"
    assert to_do["overlap"][0].seen == f"1 of 2 tasks that were looked at are closed too early: {first}"
    assert to_do["image keys"][0].seen == "1 of 2 tasks that were looked at have no 'image'"
    assert to_do["version"][0].remedy.startswith(f"ml-backend train --project {project}")
    studio.ask("PATCH", f"/api/tasks/{first}/", json={"is_labeled": False})
    assert "overlap" not in connected.to_do()


def test_imported_annotations_are_ground_truth(connected: Connected) -> None:
    """Annotations that come with their tasks are marked as the truth, which silences annotators."""
    region = {"from_name": "kind", "to_name": "image", "type": "choices", "value": {"choices": ["dark"]}}
    task = {"data": {"image": "http://images.example/a.png"}, "annotations": [{"result": [region]}]}
    connected.studio.ask("POST", f"/api/projects/{connected.project}/import", json=[task])
    [finding] = connected.to_do()["annotations"]
    assert finding.seen == "all 1 annotations are ground truth"


def test_predictions_that_are_missing_are_counted(connected: Connected, samples: "Samples") -> None:
    """A version that no task, or only some, have predictions of; and none is missing once all have one."""
    tasks = connected.studio.tasks(connected.project, [{"image": "http://images.example/a.png"}] * 3)
    connected.train(samples.trained())
    connected.connect()
    assert connected.to_do()["predictions"][0].level is Level.PROBLEM
    connected.predict(tasks[:1])
    [some] = connected.to_do()["predictions"]
    assert (some.level, some.seen) == (Level.WARNING, f"2 of 3 tasks lack one of {samples.version}")
    assert some.remedy.startswith(f"ml-backend predict --project {connected.project}")
    connected.predict(tasks[1:])
    assert "predictions" not in connected.to_do()


def test_a_config_without_choices_of_an_image_is_named(studio: Studio, open_backend: Settings) -> None:
    """Choices of a text are no work for this backend."""
    text = '<View><Text name="t" value="$t"/><Choices name="c" toName="t"><Choice value="a"/></Choices></View>'
    made = Connected(studio, open_backend, studio.project(text))
    [finding] = made.to_do()["label config"]
    assert finding.seen == "no <Choices> is bound to one <Image>: c is bound to Text, not to an Image"


def test_a_backend_that_is_down_is_named(studio: Studio, samples: "Samples", tmp_path: Path) -> None:
    """Label Studio says only that it is disconnected; the finding says at which address, and what to look at."""
    with answering(settings_for(studio, tmp_path)) as url:
        made = Connected(studio, settings_for(studio, tmp_path, public_url=url), studio.project(samples.config))
        made.connect()
    [finding] = made.to_do()["connection"]
    assert finding.seen == f"Label Studio cannot use {url}"
    assert "is the backend running" in finding.remedy
    assert [part.name for part in made.connect() if part.problem] == ["health"]
    assert of_check(list(examine(made.settings, [made.project])), "health").level is Level.WARNING


def test_a_changed_password_is_found_and_set_right(studio: Studio, samples: "Samples", tmp_path: Path) -> None:
    """Label Studio cannot say that its password is old; the backend answers us, so the password is the suspect."""
    with answering(settings_for(studio, tmp_path, **LOGIN)) as url:
        old = settings_for(studio, tmp_path, public_url=url, **LOGIN)
        made = Connected(studio, old, studio.project(samples.config))
        made.connect()
    made.settings = settings_for(studio, tmp_path, public_url=url, **LOGIN | {"basic_password": "a new one"})
    with answering(made.settings):
        to_do = made.to_do()
        assert "its password may have changed" in to_do["connection"][0].remedy
        assert "has an outdated login" in to_do["webhook"][0].seen
        assert {setting.name for setting in made.connect() if setting.after} == {"login", "webhook"}
        assert made.to_do() == {}
        stranger = old.model_copy(update={"basic_user": ""})
        assert of_check(list(examine(stranger, [made.project])), "login").level is Level.PROBLEM
        assert of_check(list(examine(old, [made.project])), "health").level is Level.PROBLEM


def test_a_token_alone_is_refused(studio: Studio, samples: "Samples", tmp_path: Path) -> None:
    """Label Studio can send no bearer token to /predict: the doctor says so, with the two settings that help."""
    with answering(settings_for(studio, tmp_path, token="t0ken")) as url:
        made = settings_for(studio, tmp_path, public_url=url, token="t0ken")
        diagnoses = list(examine(made, [studio.project(samples.config)]))
    assert "ML_BACKEND_BASIC_USER" in of_check(diagnoses, "login").remedy
    assert "t0ken" not in repr(diagnoses)


def test_connected_projects_are_found(connected: Connected) -> None:
    """Without a project's id all projects are examined that are connected to this backend, and no others."""
    unconnected = connected.studio.project("<View/>")
    examined = {diagnosis.project_id for diagnosis in examine(connected.settings, images=0)}
    assert connected.project in examined
    assert unconnected not in examined


def test_a_project_that_is_not_there_is_one_finding(open_backend: Settings) -> None:
    """An id that nobody has is named, and the others are examined all the same."""
    of_projects = [diagnosis for diagnosis in examine(open_backend, [987654321]) if diagnosis.project_id]
    assert [diagnosis.finding.seen for diagnosis in of_projects] == [
        "there is no such project, or the key may not see it"
    ]


def jwt(**claims: object) -> str:
    """A token that nobody has signed."""
    parts = ({"alg": "none"}, claims)
    encoded = [base64.urlsafe_b64encode(json.dumps(part).encode()).decode().rstrip("=") for part in parts]
    return ".".join([*encoded, "signature"])


@pytest.mark.parametrize(
    ("key", "check", "seen"),
    [
        ("0" * 40, "key", "Label Studio refuses the key (401: Invalid token.)"),
        (jwt(token_type="refresh", exp=1), "key", "the personal access token expired on 1970-01-01"),
        (jwt(token_type="refresh", exp=time.time() + 9e6), "key", "the personal access token does not let us in"),
        (jwt(token_type="access", exp=time.time() + 200), "key", "is an access token, which lives for 300 s"),
        ("", "settings", "LABEL_STUDIO_API_KEY not set"),
    ],
    ids=["refused", "expired", "unknown", "access token", "missing"],
)
def test_a_key_that_does_not_fit_is_explained(open_backend: Settings, key: str, check: str, seen: str) -> None:
    """Each kind of token has its own fault; what would need Label Studio is not tried."""
    given = open_backend.model_dump() | {"label_studio_api_key": key}
    diagnoses = list(examine(Settings.model_validate(given), [1]))
    assert seen in of_check(diagnoses, check).seen
    assert {diagnosis.project_id for diagnosis in diagnoses} == {None}
    assert not key or key not in repr(diagnoses)


def test_legacy_tokens_that_are_off_are_named(studio: Studio, open_backend: Settings) -> None:
    """The remedy is a personal access token, or switching legacy tokens on."""
    allowed = {"api_tokens_enabled": True, "legacy_api_tokens_enabled": True}
    with studio.browser() as browser:
        browser.post("/api/jwt/settings", json=allowed | {"legacy_api_tokens_enabled": False}).raise_for_status()
        try:
            refused = of_check(list(examine(open_backend, [1])), "key")
        finally:
            browser.post("/api/jwt/settings", json=allowed).raise_for_status()
    assert refused.seen == "LABEL_STUDIO_API_KEY is a legacy token, and those are switched off"
    assert "LABEL_STUDIO_ENABLE_LEGACY_API_TOKEN=true" in refused.remedy
    assert of_check(list(examine(open_backend, [1], images=0)), "key").level is Level.FINE


def test_another_program_is_not_label_studio(studio: Studio, open_backend: Settings) -> None:
    """A page, or JSON of another program, at Label Studio's address is told apart from nothing at all."""
    elsewhere = {
        f"{studio.running.url}/projects": "has a path that is not Label Studio's",
        open_backend.public_url: "not with Label Studio's version",
        "http://127.0.0.1:1": "nothing answers at http://127.0.0.1:1",
    }
    for url, seen in elsewhere.items():
        given = open_backend.model_dump() | {"label_studio_url": url}
        found = [one.finding for one in examine(Settings.model_validate(given)) if one.about == "Label Studio"]
        assert seen in " ".join(one.seen for one in found if one.level is Level.PROBLEM)


def test_a_private_address_is_refused_without_both_variables(
    studio: Studio, samples: "Samples", tmp_path: Path
) -> None:
    """With one variable Label Studio leaves a half-made connection: it is removed, and both are named."""
    strict = label_studio_server.start(tmp_path / "base", extra={"SSRF_PROTECTION_ENABLED": "true"})
    try:
        with answering(settings_for(studio, tmp_path)) as url:
            given = {"label_studio_url": strict.url, "public_url": url}
            half = Studio(replace(studio.running, url=strict.url, api_key=strict.account.token))
            made = Connected(half, settings_for(half, tmp_path, **given), half.project(samples.config))
            with pytest.raises(RefusedError, match="ML_BLOCK_LOCAL_IP=false and SSRF_PROTECTION_ENABLED=false"):
                made.connect()
            assert half.connections(made.project) == []
            refused = half.http.post("/api/ml", json={"project": made.project, "url": url, "title": "half"})
            assert (refused.status_code, len(half.connections(made.project))) == (403, 1)
            assert "SSRF_PROTECTION_ENABLED=false" in made.to_do()["webhook"][0].remedy
            [problem] = [part for part in made.connect() if part.problem]
            assert "SSRF_PROTECTION_ENABLED=false" in problem.problem
            half.close()
    finally:
        strict.stop()


def test_an_annotation_asks_for_a_training_through_the_login(
    studio: Studio, samples: "Samples", serve_backend: Callable[..., AbstractContextManager[RunningBackend]]
) -> None:
    """With a login on, an annotation's event gets in: a training is asked for, and nothing is refused."""
    environment = {
        "LABEL_STUDIO_URL": studio.running.url,
        "LABEL_STUDIO_API_KEY": studio.running.api_key,
        "ML_BACKEND_BASIC_USER": LOGIN["basic_user"],
        "ML_BACKEND_BASIC_PASSWORD": LOGIN["basic_password"],
        "ML_BACKEND_QUIET_S": "600",
        "ML_BACKEND_MAX_WAIT_S": "600",
    }
    with serve_backend(workers=1, **environment) as server:
        folder = server.log_file.parent / "backend"
        settings = settings_for(studio, folder, public_url=server.url, **LOGIN)
        made = Connected(studio, settings, studio.project(samples.config))
        made.connect()
        [task] = studio.tasks(made.project, [{"image": "http://images.example/a.png"}])
        for request in folder.glob("projects/*/requested"):
            request.unlink()
        studio.annotate(task, "dark")
        assert eventually((folder / "projects" / str(made.project) / "requested").exists, 10)
        login = httpx.BasicAuth(LOGIN["basic_user"], LOGIN["basic_password"])
        counted = httpx.get(server.url + "/metrics", auth=login, timeout=10).text
        assert 'route="/webhook",status="200"' in counted
        assert 'route="/webhook",status="401"' not in counted
        assert set(made.to_do()) == {"version"}  # an annotation, and nothing trained yet
        examined = httpx.get(f"{server.url}/doctor?project={made.project}", auth=login, timeout=60).json()
        assert {"version", "webhook"} <= {row["check"] for row in examined["findings"]}, examined
        assert LOGIN["basic_password"] not in server.log
