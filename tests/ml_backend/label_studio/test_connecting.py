"""``ml-backend connect`` on a real Label Studio: what goes wrong there is made, named and set right."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from connected import LOGIN, NAME, Connected, Studio, answering, settings_for

from common.errors import LabelStudioError
from ml_backend.backend import Backend
from ml_backend.label_studio.backend_address import webhook_refusal
from ml_backend.label_studio.connecting import ConnectionSetting
from ml_backend.label_studio.connection_faults import EVENTS
from ml_backend.label_studio.disconnecting import Disconnecting

if TYPE_CHECKING:
    from conftest import Samples

pytestmark = pytest.mark.server


@pytest.fixture(scope="module")
def guarded(studio: Studio, tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, object]]:
    """A backend that asks for a login: what its settings need."""
    folder = tmp_path_factory.mktemp("guarded")
    with answering(settings_for(studio, folder, **LOGIN)) as url:
        yield {"folder": folder, "public_url": url, **LOGIN}


@pytest.fixture
def fresh(studio: Studio, guarded: dict[str, object], samples: "Samples") -> Connected:
    """A new project that is not connected."""
    return Connected(studio, settings_for(studio, **guarded), studio.project(samples.config))


@pytest.fixture(scope="module")
def shared(studio: Studio, guarded: dict[str, object], samples: "Samples") -> Connected:
    """One trained project for many faults, with three tasks that have predictions."""
    made = Connected(studio, settings_for(studio, **guarded), studio.project(samples.config))
    made.train(samples.trained())
    made.predict(studio.tasks(made.project, [{"image": f"http://images.example/{n}.png"} for n in range(3)]))
    return made


@pytest.fixture
def connected(shared: Connected) -> Connected:
    """The same in order: each test may break it."""
    shared.connect()
    assert shared.to_do() == {}
    return shared


def changes(settings: list[ConnectionSetting]) -> dict[str, str]:
    """What was changed, by part."""
    return {setting.name: setting.after for setting in settings if setting.after}


def test_a_project_is_connected_once(fresh: Connected) -> None:
    """The first run makes a connection with a login and a webhook; the second run changes nothing."""
    first = fresh.connect()
    assert set(changes(first)) == {"connection", "webhook"}
    assert not any(part.problem for part in first)
    [row] = fresh.studio.connections(fresh.project)
    assert (row["state"], row["basic_auth_user"], row["auth_method"]) == ("CO", NAME, "BASIC_AUTH")
    [hook] = fresh.studio.webhooks(fresh.project)
    assert hook["url"] == fresh.settings.public_url + "/webhook"
    assert set(hook["actions"]) == EVENTS
    assert not hook["send_for_all_actions"]
    before = fresh.state()
    assert changes(fresh.connect()) == {}
    assert fresh.state() == before


def test_a_dry_run_only_tells(fresh: Connected) -> None:
    """A dry run names connection and webhook, and Label Studio has neither afterwards."""
    before = fresh.state()
    told = changes(fresh.connect(dry_run=True, sampling="Uncertainty sampling"))
    assert {"connection", "webhook", "sampling"} <= set(told)
    assert fresh.state() == before


@pytest.mark.parametrize("slip", ["/health", "/webhook", "Label Studio's"])
@pytest.mark.parametrize("first", [False, True])
def test_a_slip_in_the_address_changes_nothing(fresh: Connected, slip: str, first: bool) -> None:  # noqa: FBT001
    """Neither a first connection nor one that works, nor its webhook; the next one leaves nothing of it."""
    if not first:
        fresh.connect()
    before = fresh.state()
    url = fresh.studio.running.url if slip.startswith("Label") else fresh.settings.public_url + slip
    with pytest.raises(LabelStudioError):
        fresh.connect(url=url)
    assert fresh.state() == before
    fresh.connect()
    assert (len(fresh.studio.connections(fresh.project)), len(fresh.studio.webhooks(fresh.project))) == (1, 1)
    assert fresh.to_do() == {}


def test_what_was_left_of_a_slip_is_removed(fresh: Connected) -> None:
    """Webhooks to other paths of the backend, and to other addresses as `connect` makes them."""
    for url in (f"{fresh.settings.public_url}/health/webhook", f"{fresh.studio.running.url}/webhook"):
        hook = {"project": fresh.project, "url": url, "send_payload": True, "actions": sorted(EVENTS)}
        fresh.studio.ask("POST", "/api/webhooks/", json=hook | {"send_for_all_actions": False})
    fresh.connect()
    assert [hook["url"] for hook in fresh.studio.webhooks(fresh.project)] == [
        f"{fresh.settings.public_url}/webhook"
    ]


def test_a_project_is_disconnected_as_it_was(shared: Connected, connected: Connected) -> None:
    """Connection and webhook go; the predictions stay and are shown, or go too."""
    own = Backend(shared.settings)
    disconnecting = Disconnecting(
        shared.studio.admin(shared.settings),
        shared.project,
        shared.settings.public_url,
        own.registry.versions(shared.project),
        own.instance,
    )
    own.close()
    for removal in disconnecting.removals(predictions=False):
        removal.remove()
    after = connected.state()
    assert (after["connections"], after["webhooks"]) == ([], [])
    assert after["project"]["model_version"] == shared.version
    assert [removal.name for removal in disconnecting.removals(predictions=True)] == [f"3 of {shared.version}"]


def test_no_secret_is_told(fresh: Connected) -> None:
    """Neither the password nor the header that holds it is part of what is printed."""
    fresh.studio.ask(
        "POST", "/api/webhooks/", json={"project": fresh.project, "url": fresh.settings.public_url + "/webhook"}
    )
    told = repr(fresh.connect()) + repr(fresh.examine()) + repr(fresh.desired())
    secret = fresh.settings.basic_password.get_secret_value()
    [hook] = fresh.studio.webhooks(fresh.project)
    assert secret not in told
    assert hook["headers"]["Authorization"].removeprefix("Basic ") not in told


def test_sampling_is_set_if_asked(fresh: Connected) -> None:
    """The order of the label stream stays unless another one is asked for."""
    assert "sampling" not in changes(fresh.connect())
    assert changes(fresh.connect(sampling="Uncertainty sampling")) == {"sampling": "Uncertainty sampling"}
    assert fresh.state()["project"]["sampling"] == "Uncertainty sampling"


def test_the_title_is_the_version(fresh: Connected, samples: "Samples") -> None:
    """Once something is trained, connection and project are named after its version, and the score is shown."""
    fresh.connect()
    fresh.train(samples.trained())
    [task] = fresh.studio.tasks(fresh.project, [{"image": "http://images.example/a.png"}])
    fresh.predict([task])
    assert changes(fresh.connect())["title"] == samples.version
    assert fresh.state()["project"]["model_version"] == samples.version
    [shown] = fresh.studio.ask("GET", f"/api/tasks/?project={fresh.project}&fields=all")["tasks"]
    assert shown["predictions_score"] == pytest.approx(0.9)


def broken_webhook(connected: Connected) -> None:
    """One that is off, sends everything, does not say of which project, and has no login."""
    connected.studio.change_webhook(
        connected.project, is_active=False, send_for_all_actions=True, send_payload=False, headers={}
    )


def old_webhook(connected: Connected) -> None:
    """Two, the first with an old login and no events: Label Studio clears them where a change leaves them out."""
    project, studio = connected.project, connected.studio
    [hook] = studio.webhooks(project)
    studio.ask("PATCH", f"/api/webhooks/{hook['id']}/", json={"headers": {"authorization": "Basic b2xk"}})
    studio.ask("POST", "/api/webhooks/", json={"project": project, "url": hook["url"]})
    studio.ask("PATCH", f"/api/projects/{project}/", json={"min_annotations_to_start_training": 5})
    studio.change_connection(project, title="My backend")
    studio.ask("PATCH", f"/api/projects/{project}/", json={"model_version": connected.version})


def two_connections(connected: Connected) -> None:
    """Two connections, no webhook, and no version shown, as after deleting the predictions of any version."""
    project, studio = connected.project, connected.studio
    [row] = studio.connections(project)
    login = {"auth_method": "BASIC_AUTH", "basic_auth_user": NAME, "basic_auth_pass": LOGIN["basic_password"]}
    studio.ask("POST", "/api/ml", json={"project": project, "url": row["url"] + "/", "title": "again", **login})
    for hook in studio.webhooks(project):
        studio.ask("DELETE", f"/api/webhooks/{hook['id']}/")
    studio.change_connection(project, title="My backend")
    studio.ask("DELETE", f"/api/projects/{project}/model-versions/", json={"model_version": "another"})


def another_version(connected: Connected) -> None:
    """Imported predictions are shown, the connection keeps its version, and suggestions are switched off."""
    project, studio = connected.project, connected.studio
    studio.change_connection(project, auto_update=False)
    [task, *_] = studio.ask("GET", f"/api/tasks/?project={project}")["tasks"]
    made = [{"task": task["id"], "result": [], "score": 0.1, "model_version": "imported"}]
    studio.ask("POST", f"/api/projects/{project}/import/predictions", json=made)
    studio.ask("PATCH", f"/api/projects/{project}/", json={"model_version": "imported"})


def suggestions_off(connected: Connected) -> None:
    """Predictions are not shown, which also clears the version."""
    changed = {"show_collab_predictions": False}
    connected.studio.ask("PATCH", f"/api/projects/{connected.project}/", json=changed)


@pytest.mark.parametrize(
    ("break_it", "seen"),
    [
        (
            broken_webhook,
            {"webhook": ["switched off", "sends all events", "does not say which project", "has no login"]},
        ),
        (
            old_webhook,
            {
                "webhook": ["2 webhooks to", "does not send ANNOTATIONS_CREATED, ", "has an outdated login"],
                "training requests": ["each 5th annotation also sends START_TRAINING"],
                "version shown": ["the connection is called My backend"],
            },
        ),
        (
            two_connections,
            {
                "connection": ["2 connections to this backend"],
                "webhook": ["there is no webhook"],
                "version shown": ["the project shows no version"],
            },
        ),
        (
            another_version,
            {
                "connection": ["does not take the backend's newest version"],
                "version shown": ["the project shows imported"],
            },
        ),
        (suggestions_off, {"suggestions": ["is off"], "version shown": ["the project shows no version"]}),
    ],
)
def test_a_fault_is_named_and_set_right(
    connected: Connected, break_it: Callable[[Connected], None], seen: dict[str, list[str]]
) -> None:
    """The doctor names each fault and the command that repairs it, and afterwards has nothing to say."""
    before = connected.state()
    break_it(connected)
    found = connected.to_do()
    assert set(found) == set(seen)
    for check, words in seen.items():
        assert [word for word in words if word not in " ".join(one.seen for one in found[check])] == []
        assert all(one.why for one in found[check])
        remedies = {one.remedy.partition(";")[0] for one in found[check]}
        url = connected.settings.public_url
        assert remedies == {f"ml-backend connect --project {connected.project} --url {url}"}
    repaired = connected.connect()
    assert changes(repaired)
    assert not any(part.problem for part in repaired)
    assert connected.to_do() == {}
    after = connected.state()
    assert after["project"] == before["project"]
    assert [row["title"] for row in after["connections"]] == [connected.version]
    assert [hook["headers"] for hook in after["webhooks"]] == [hook["headers"] for hook in before["webhooks"]]
    assert changes(connected.connect(dry_run=True)) == {}


def test_other_headers_of_a_webhook_stay(connected: Connected) -> None:
    """What a proxy needs is kept when the login is set right."""
    connected.studio.change_webhook(connected.project, headers={"X-Proxy": "1"})
    connected.connect()
    [hook] = connected.studio.webhooks(connected.project)
    assert hook["headers"]["X-Proxy"] == "1"
    assert set(hook["headers"]) == {"X-Proxy", "Authorization"}


def test_a_host_without_a_dot_gets_no_webhook(fresh: Connected) -> None:
    """Label Studio connects such a host and makes no webhook; both commands say that a dotted alias is needed."""
    port = fresh.settings.public_url.rpartition(":")[2]
    fresh.settings = fresh.settings.model_copy(update={"public_url": f"http://2130706433:{port}"})  # 127.0.0.1
    [problem] = [part for part in fresh.connect() if part.problem]
    assert fresh.studio.webhooks(fresh.project) == []
    assert (problem.name, "has no dot" in problem.problem) == ("webhook", True)
    assert "ml-backend.internal" in problem.problem
    [found] = fresh.to_do()["webhook"]
    assert "has no dot" in found.remedy


@pytest.mark.parametrize(
    ("host", "made"),
    [
        ("ml-backend", False),
        ("ml_backend.internal", False),
        ("ml.b1", False),
        ("ml.x", False),
        ("-ml.internal", False),
        ("ml-backend.internal", True),
        ("ml.ns", True),
        ("ml.xn--p1ai", True),
        ("localhost", True),
        ("10.0.0.5", True),
        ("[fd00::5]", True),
    ],
)
def test_which_hosts_get_a_webhook_is_known(studio: Studio, shared: Connected, host: str, made: bool) -> None:  # noqa: FBT001
    """What we say about a host is what Label Studio does with it."""
    url = f"http://{host}:9090/webhook"
    answer = studio.http.post("/api/webhooks/", json={"project": shared.project, "url": url})
    if answer.is_success:
        studio.ask("DELETE", f"/api/webhooks/{answer.json()['id']}/")
    assert answer.is_success == made == (webhook_refusal(url) is None)


def test_the_backend_has_moved(connected: Connected, studio: Studio) -> None:
    """A connection that bears a version of ours is led to the new address, and so is its webhook."""
    before = connected.settings
    with ExitStack() as running:
        url = running.enter_context(answering(before.model_copy(update={"public_url": ""})))
        connected.settings = before.model_copy(update={"public_url": url})
        try:
            assert f"not at {url}" in connected.to_do()["connection"][0].seen
            assert changes(connected.connect())["connection"] == url
            assert [row["url"] for row in studio.connections(connected.project)] == [url]
            assert [hook["url"] for hook in studio.webhooks(connected.project)] == [url + "/webhook"]
            assert connected.to_do() == {}
        finally:
            connected.settings = before
            connected.connect()


def test_another_backend_is_left_alone(fresh: Connected, samples: "Samples", tmp_path: Path) -> None:
    """A connection to a backend that is not ours stays as it is, with its webhook."""
    with answering(settings_for(fresh.studio, tmp_path)) as other:
        fresh.studio.ask("POST", "/api/ml", json={"project": fresh.project, "url": other, "title": "theirs"})
        fresh.train(samples.trained())
        fresh.connect()
        assert {row["title"] for row in fresh.studio.connections(fresh.project)} == {"theirs", samples.version}
        assert other + "/webhook" in {hook["url"] for hook in fresh.studio.webhooks(fresh.project)}
        assert "other connections" not in fresh.to_do()
    assert "theirs" in fresh.to_do()["other connections"][0].seen
