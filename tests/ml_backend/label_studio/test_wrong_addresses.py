"""``ml-backend connect`` with a slip in the address, and what it and `disconnect` remove; in memory."""

import copy

import httpx
import pytest
from in_memory_label_studio import PROJECT, InMemoryStudio, Json
from training_parts import client_of

from common.errors import LabelStudioError, SettingsError
from ml_backend.core.versions import untrained_version
from ml_backend.label_studio.connecting import Connecting, ConnectionSetting, DesiredConnection
from ml_backend.label_studio.connection_faults import EVENTS
from ml_backend.label_studio.disconnecting import Disconnecting
from ml_backend.label_studio.ordering import UNCERTAINTY

URL, SLIP, THEIRS = "http://ml.example.org:9090", "http://ml.example.org:9090/health", "http://theirs.example.org"
INSTANCE = "00c0ffee"
VERSION, OTHER = (untrained_version("resnet18", "random", instance) for instance in (INSTANCE, "0badcafe"))
TRAINED = "resnet18-random-20260131T120000-00aa"


def webhook(studio: InMemoryStudio, url: str, *, made_here: bool = True, project: int = PROJECT) -> Json:
    """A webhook as `connect` leaves it, or as Label Studio makes it with a connection."""
    made = {"project": project, "url": f"{url}/webhook", "is_active": True, "send_payload": True, "headers": {},
            "send_for_all_actions": not made_here, "actions": sorted(EVENTS) if made_here else []}  # fmt: skip
    made["id"] = 1000 + len(studio.webhooks)
    studio.webhooks[made["id"]] = made
    return made


@pytest.fixture
def studio() -> InMemoryStudio:
    """A project that is connected, with its webhook."""
    made = InMemoryStudio(model_version="suggestions")
    made.connect(URL, "suggestions", model_version=VERSION)
    webhook(made, URL)
    return made


def held(studio: InMemoryStudio) -> object:
    """All that a connect may change."""
    return copy.deepcopy((studio.projects, studio.connections, studio.webhooks))


def connect(studio: InMemoryStudio, url: str, **options: object) -> dict[str, ConnectionSetting]:
    """What `ml-backend connect` does; what it found and did, by part."""
    desired = DesiredConnection(PROJECT, url, instance=INSTANCE)
    settings = Connecting(client_of(studio), desired, **options).run()  # type: ignore[arg-type]
    return {f"{setting.name} {setting.before}": setting for setting in settings if setting.after}


@pytest.mark.parametrize("method", ["PATCH", "POST"])
def test_a_refused_address_changes_nothing(studio: InMemoryStudio, method: str) -> None:
    """A slip in the path moves neither the working connection nor its webhook; a first connection leaves none."""
    if method == "POST":
        studio.connections.clear()
        studio.webhooks.clear()
    reason = f"Can't connect to ML backend {SLIP}, health check failed."
    studio.faults[f"{method} api/ml"] = httpx.Response(400, json={"non_field_errors": [reason]})
    before = held(studio)
    with pytest.raises(LabelStudioError, match="It has a path, which few backends have: perhaps"):
        connect(studio, SLIP)
    assert held(studio) == before


@pytest.mark.parametrize("first", [False, True])
def test_an_address_that_is_not_this_backend_is_refused_before_anything_is_written(
    studio: InMemoryStudio,
    first: bool,  # noqa: FBT001
) -> None:
    """What answers there is asked first."""
    if first:
        studio.connections.clear()

    def verify() -> None:
        raise SettingsError("no ML backend")

    with pytest.raises(SettingsError, match="no ML backend"):
        connect(studio, THEIRS, verify=verify)
    assert studio.writes == []


@pytest.mark.parametrize("first", [False, True])
def test_another_backend_behind_the_address_is_undone(studio: InMemoryStudio, first: bool) -> None:  # noqa: FBT001
    """Where only Label Studio reaches it, what its /setup says decides."""
    if first:
        studio.connections.clear()
    before = held(studio)

    def answer(request: httpx.Request) -> None:
        for row in studio.connections.values():
            row["model_version"] = OTHER if row["url"] == THEIRS else VERSION
        if request.method == "GET" and any(row["url"] == THEIRS for row in studio.connections.values()) and first:
            studio.faults.clear()
            webhook(studio, THEIRS, made_here=False)

    studio.faults["GET api/ml"] = answer
    with pytest.raises(SettingsError, match="another ML backend answers at"):
        connect(studio, THEIRS)
    after = held(studio)
    assert [row["url"] for row in studio.connections.values()] == ([] if first else [URL])
    assert after[2] == before[2]  # type: ignore[index]


def test_the_next_connect_removes_what_a_slip_has_left(studio: InMemoryStudio) -> None:
    """Webhooks that are made as ours or lead to this backend, and half-made connections; not those of others."""
    webhook(studio, SLIP)
    webhook(studio, f"{URL}/predict", made_here=False)
    webhook(studio, "http://label-studio.example.org:8080")
    theirs = [webhook(studio, THEIRS), webhook(studio, "http://ci.example.org", made_here=False)]
    elsewhere = webhook(studio, SLIP, project=8)
    studio.connect(SLIP, "suggestions", state="DI")
    studio.connect(THEIRS, "theirs", model_version=OTHER)
    changed = connect(studio, URL)
    assert {"stray connection", "stray webhook"} <= {setting.name for setting in changed.values()}
    assert studio.project["model_version"] == "suggestions"
    assert {row["url"] for row in studio.connections.values()} == {URL, THEIRS}
    left = {hook["url"] for hook in studio.webhooks.values() if hook["project"] == PROJECT}
    assert left == {f"{URL}/webhook", *(hook["url"] for hook in theirs)}
    assert elsewhere["id"] in studio.webhooks
    assert connect(studio, URL) == {}


def test_other_programs_behind_the_same_proxy_stay(studio: InMemoryStudio) -> None:
    """Another team's backend that does not answer just now, and the webhook of consensus, are nobody's slips."""
    studio.connections.clear()
    studio.webhooks.clear()
    studio.connect(f"{URL}/ours", "suggestions", model_version=VERSION)
    webhook(studio, f"{URL}/ours")
    studio.connect(f"{URL}/theirs", "theirs", state="DI")
    webhook(studio, f"{URL}/theirs", made_here=False)
    for address in (f"{URL}/consensus-api", f"{URL}/ours/consensus-api"):
        told = webhook(studio, address, made_here=False)
        told |= {"send_for_all_actions": False, "actions": ["TASKS_CREATED"]}
    before = [*studio.connections], [*studio.webhooks]
    connect(studio, f"{URL}/ours")
    assert ([*studio.connections], [*studio.webhooks]) == before
    removals = disconnecting(studio, f"{URL}/ours").removals(predictions=False)
    assert [removal.name for removal in removals] == [f"{URL}/ours (suggestions)", f"{URL}/ours/webhook"]


def disconnecting(studio: InMemoryStudio, url: str = URL) -> Disconnecting:
    """The project, to be taken away from this backend."""
    return Disconnecting(client_of(studio), PROJECT, url, [TRAINED], INSTANCE)


@pytest.mark.parametrize("url", [URL, ""])
@pytest.mark.parametrize("predictions", [False, True])
def test_a_project_is_disconnected(studio: InMemoryStudio, url: str, predictions: bool) -> None:  # noqa: FBT001
    """Our connection and webhook go, known by address or identity; predictions only if that is asked for."""
    studio.connect(THEIRS, "theirs", model_version=OTHER)
    theirs = webhook(studio, THEIRS)
    for version in (TRAINED, "consensus/Discovered"):
        studio.add_task({}, predictions=[{"model_version": version, "result": [], "score": 0.5}])
    [own, _] = studio.connections.values()
    own["title"] = studio.project["model_version"] = TRAINED
    removals = disconnecting(studio, url).removals(predictions=predictions)
    assert [removal.kind for removal in removals] == ["connection", "webhook", *["predictions"] * predictions]
    assert studio.writes == []
    for removal in removals:
        removal.remove()
    assert [row["url"] for row in studio.connections.values()] == [THEIRS]
    assert [*studio.webhooks] == [theirs["id"]]
    assert studio.versions()[TRAINED] == (not predictions)
    assert studio.versions()["consensus/Discovered"] == 1
    assert bool(studio.project["model_version"] == TRAINED) is (not predictions)
    assert disconnecting(studio, url).removals(predictions=predictions) == []


@pytest.mark.parametrize(("before", "desired"), [("Sequential sampling", UNCERTAINTY), (UNCERTAINTY, None)])
def test_an_order_that_waits_for_begun_tasks_is_said(before: str, desired: str | None) -> None:
    """Whether the order is set now or was before: with several annotations per task it does nothing at first."""
    notes = []
    for overlap in (1, 2):
        studio = InMemoryStudio(sampling=before, maximum_annotations=overlap)
        studio.connect(URL, "suggestions", model_version=VERSION)
        webhook(studio, URL)
        connection = DesiredConnection(PROJECT, URL, instance=INSTANCE, sampling=desired)
        notes.append([setting.note for setting in Connecting(client_of(studio), connection).run() if setting.note])
    assert notes[0] == []
    [note] = notes[1]
    assert note.startswith("with 2 annotations per task Label Studio first serves, at random,")
    assert 'set "Annotations per task" of the project to 1' in note
