import re
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest

from common.doctor import Finding, Level
from common.images.addresses import AllowedHosts
from common.label_studio.rows import ConnectionRow, ProjectSettings, Storage, Webhook
from ml_backend.diagnosis.connection_checks import CHECKS as OF_CONNECTION
from ml_backend.diagnosis.image_checks import CHECKS as OF_IMAGES
from ml_backend.diagnosis.state import BackendState, Folder, ImageTry, ProjectState, Reply, Versions
from ml_backend.diagnosis.task_checks import CHECKS as OF_TASKS
from ml_backend.diagnosis.version_checks import CHECKS as OF_VERSIONS

URL = "http://ml-backend.internal:9090"
OLD, NEW = "resnet18-random-20260131T120000-00aa", "resnet18-random-20260201T120000-00bb"
CONFIG = """<View><Image name="image" value="$image"/>
<Choices name="kind" toName="image"><Choice value="dark"/></Choices></View>"""
EVENTS = frozenset({"ANNOTATION_CREATED"})
BACKEND = BackendState(
    url=URL,
    health=Reply(URL, 200, {"status": "UP"}),
    versions=Reply(URL, 200),
    versions_without_login=Reply(""),
    weights="random",
    headers={},
    account=None,
    folder=Folder(Path("/data"), exists=True, writable=True, free_bytes=10**12),
)
ROW = ConnectionRow(1, URL, OLD, "CO", "", OLD, None)
HOOK = Webhook(
    1, URL + "/webhook", 7, active=True, with_payload=True, all_actions=False, actions=EVENTS, headers={}
)
FINE = ProjectState(
    project=ProjectSettings(
        7,
        "Made",
        CONFIG,
        OLD,
        shows_predictions=True,
        sampling="Sequential sampling",
        training_every=0,
        counts_skips=False,
        tasks=3,
        annotations=2,
        ground_truths=1,
    ),
    rows=[ROW],
    ours=[ROW],
    webhooks=[HOOK],
    events=EVENTS,
    backend=BACKEND,
    versions=Versions(OLD, OLD, newest_at=datetime(2026, 1, 31, 12, tzinfo=UTC)),
    read_at=datetime(2026, 1, 31, 15, tzinfo=UTC),
    with_version=3,
)
CHECKS = OF_CONNECTION | OF_VERSIONS | OF_TASKS | OF_IMAGES


def found(state: ProjectState) -> dict[str, list[Finding]]:
    """What is not fine."""
    said = {
        name: [finding for finding in check(state) if finding.level is not Level.FINE]
        for name, check in CHECKS.items()
    }
    return {name: findings for name, findings in said.items() if findings}


def test_a_project_in_order_needs_nothing() -> None:
    """All checks are silent or fine."""
    assert found(FINE) == {}


def test_a_newer_version_that_does_not_answer_is_named() -> None:
    """It was held back, with the reason, or a person went back."""
    held_back = Versions(NEW, OLD, held_back="accuracy 0.7 < 0.8")
    [finding] = found(replace(FINE, versions=held_back))["version"]
    assert (finding.level, finding.why) == (Level.WARNING, "accuracy 0.7 < 0.8")
    [finding] = found(replace(FINE, versions=replace(held_back, chosen=True)))["version"]
    assert finding.seen == f"{OLD} answers, because it was chosen"


def test_a_first_version_that_does_not_answer_is_named() -> None:
    """It was held back: what is wrong with it, and what to do."""
    untrained = replace(ROW, answers_with="resnet18-random-untrained")
    state = replace(FINE, rows=[untrained], ours=[untrained], versions=Versions(NEW, None, held_back="a guess"))
    [finding] = found(state)["version"]
    assert (finding.seen, finding.why) == (f"no version answers, {NEW} was held back", "a guess")
    assert f"ml-backend promote {NEW} --project 7" in finding.remedy


def test_a_version_whose_turn_has_come_again_is_fine() -> None:
    """What has been learned since was taken back: the newer version has answered, and nobody chose the older."""
    assert found(replace(FINE, versions=replace(FINE.versions, newest=NEW, took_over=True))) == {}


def test_damage_is_named() -> None:
    """What is damaged, and what answers in its place."""
    [finding] = found(replace(FINE, versions=replace(FINE.versions, damage="the files are damaged")))["version"]
    assert (finding.level, finding.seen) == (Level.PROBLEM, "the files are damaged")
    assert finding.why == f"{OLD} answers instead"


def test_annotations_that_are_in_no_version_are_named() -> None:
    """Only where a training should long have ended: 15 minutes after the last version, and 15 minutes ago."""

    def annotated(at: str) -> ProjectState:
        return replace(FINE, annotated=[{"id": 1, "annotations": [{"updated_at": at}]}])

    [finding] = found(annotated("2026-01-31T13:30:00Z"))["learning"]
    assert finding.seen == "annotations of 2026-01-31 13:30 UTC, the newest version is of 2026-01-31 12:00"
    for time in ("2026-01-31T11:00:00Z", "2026-01-31T12:10:00Z", "2026-01-31T14:50:00Z"):
        assert found(annotated(time)) == {}


def test_a_webhook_for_all_projects_is_one_too_many() -> None:
    """Label Studio's interface makes none, an import of its database may hold one."""
    [finding] = found(replace(FINE, webhooks=[HOOK, replace(HOOK, id=2, project_id=None)]))["webhook"]
    assert "one of them for all projects" in finding.seen
    assert finding.remedy == "remove the one for all projects"


def test_a_webhook_that_sends_more_than_needed_is_named() -> None:
    """Each event makes the annotator wait."""
    more = replace(HOOK, actions=EVENTS | {"LABEL_LINK_CREATED"})
    [finding] = found(replace(FINE, webhooks=[more]))["webhook"]
    assert finding.seen == "the webhook sends LABEL_LINK_CREATED too"


def test_a_webhook_without_a_connection_is_named() -> None:
    """It is left of an old connection; one of another program, at another path, is not ours to judge."""
    other = replace(HOOK, id=2, url="http://old.internal:9090/webhook")
    program = replace(HOOK, id=3, url="http://chat.example.org/events")
    consensus = replace(
        HOOK, id=4, url="http://consensus-api.internal:9091/webhook", actions=frozenset({"TASKS_CREATED"})
    )
    [finding] = found(replace(FINE, webhooks=[HOOK, other, program, consensus]))["stray webhooks"]
    assert finding.seen == "a webhook sends to http://old.internal:9090/webhook, which no connection has"


def test_an_address_that_label_studio_cannot_reach_is_explained() -> None:
    """For a name, both remedies; for a public address, no talk of private ones."""
    down = replace(ROW, state="DI")
    [finding] = found(replace(FINE, rows=[down], ours=[down]))["connection"]
    assert "SSRF_PROTECTION_ENABLED=false" in finding.remedy
    public = replace(down, url="http://1.1.1.1:9090")
    [finding] = found(replace(FINE, rows=[public], ours=[public], webhooks=[]))["connection"]
    assert "SSRF_PROTECTION_ENABLED" not in finding.remedy


def test_a_failed_synchronisation_is_named() -> None:
    """Label Studio shows its reason."""
    failed = Storage(4, "s3", "plankton", "bucket", "failed")
    [finding] = found(replace(FINE, storages=[failed]))["storages"]
    assert finding.seen == "the last synchronisation of s3 storage plankton failed"


def test_reasons_of_images_are_counted() -> None:
    """Images with one reason and one remedy are one finding; a query, which may be signed, is not shown."""
    tries = [
        ImageTry(1, "image", "http://a.example/1.png?sig=secret", "host_not_allowed"),
        ImageTry(2, "image", "http://a.example/2.png?sig=secret", "host_not_allowed"),
        ImageTry(3, "image", "http://b.example/3.png", "missing"),
        ImageTry(4, "image", "http://b.example/4.png"),
    ]
    first, second = found(replace(FINE, images=tries))["images"]
    assert first.seen == "2 of 4 images that were tried: host_not_allowed (task 1: http://a.example/1.png)"
    assert first.remedy.startswith("let the backend fetch from there: ML_BACKEND_IMAGE_HOSTS=a.example")
    assert second.remedy == "the file is not there any more: put it back, or delete the task"


@pytest.mark.parametrize(
    ("reason", "words"),
    [
        ("format_heic", "the file is HEIC, which is not decoded: convert it to one of AVIF"),
        ("unsupported_pixels", "convert it to RGB or grey"),
        ("git_lfs_pointer", "git lfs pull"),
        ("xml_error", "the storage's error in XML"),
        ("json", "give the address of the image itself"),
        ("svg", "convert them to PNG"),
        ("empty", "upload it again"),
        ("damaged", "upload it again"),
        ("http_429", "b.example is asked too often"),
        ("http_503", "b.example is overloaded or down"),
        ("signature_expired", "has expired: connect the storage"),
        ("too_slow", "ML_BACKEND_DECODE_TIMEOUT_S"),
    ],
)
def test_each_reason_has_a_remedy(reason: str, words: str) -> None:
    """None of them is to look at it in a browser."""
    tried = ImageTry(1, "image", "http://b.example/1.png", reason)
    [finding] = found(replace(FINE, images=[tried]))["images"]
    assert words in finding.remedy
    assert "browser" not in finding.remedy


def test_an_image_in_place_of_an_address_is_explained_and_not_printed() -> None:
    """A person is told where it belongs, not its bytes."""
    tried = ImageTry(1, "image", "data:image/png;base64,iVBORw0KGgo=", "data_url")
    [finding] = found(replace(FINE, images=[tried]))["images"]
    assert finding.seen == "1 of 1 images that were tried: data_url (task 1: data:…)"
    assert finding.remedy.startswith("the task holds the image itself in place of an address: upload")


@pytest.mark.parametrize(
    ("url", "hosts"),
    [
        ("http://a.example:8080/1.png", "a.example:8080"),
        ("http://10.0.0.5/1.png", "10.0.0.5"),
        ("http://[fd00::5]:9090/1.png", "[fd00::5]:9090"),
        ("s3://plankton/1.png", "minio:9000"),
        ("/data/local-files/?d=1.png", "minio:9000"),
    ],
)
def test_the_host_to_allow_is_the_one_that_is_asked(url: str, hosts: str) -> None:
    """As the setting reads it; a bucket is no host, and Label Studio's own path leads to one that is not known."""
    [finding] = found(replace(FINE, images=[ImageTry(1, "image", url, "private_address")]))["images"]
    assert re.findall(r"ML_BACKEND_IMAGE_HOSTS=(\S+)", finding.remedy) == [hosts]
    assert AllowedHosts.parse(hosts) != AllowedHosts()


def test_skipped_tasks_count_where_the_project_says_so() -> None:
    """A task that was skipped once and is wanted once is done in such a project, and open in others."""
    task = {"id": 5, "is_labeled": True, "overlap": 1, "total_annotations": 0, "cancelled_annotations": 1}
    counting = replace(FINE, tasks=[task], project=replace(FINE.project, counts_skips=True))
    assert "overlap" not in found(counting)
    assert "overlap" in found(replace(counting, project=FINE.project))


def test_a_renamed_choice_is_no_unknown_label() -> None:
    """What ML_BACKEND_RENAMED says a label is called today is learned; others are named with that remedy."""
    regions = [
        {"from_name": "kind", "type": "choices", "value": {"choices": [label]}} for label in ("black", "grey")
    ]
    annotated = [{"id": 1, "annotations": [{"result": [region]}]} for region in regions]
    backend = replace(BACKEND, renamed={"kind": {"black": "dark"}})
    [finding] = found(replace(FINE, annotated=annotated, backend=backend))["labels"]
    assert finding.seen == "annotations hold labels that the label config lacks: 'grey' (kind) 1 times"
    assert "ML_BACKEND_RENAMED" in finding.remedy


def test_an_order_that_waits_for_begun_tasks_is_named() -> None:
    """With several annotations per task Label Studio serves what others have begun first."""
    project = replace(FINE.project, sampling="Uncertainty sampling", overlap=3)
    [finding] = found(replace(FINE, project=project))["sampling"]
    assert finding.why.startswith("with 3 annotations per task Label Studio first serves, at random, the tasks")
    assert 'set "Annotations per task" of the project to 1' in finding.remedy
    assert "sampling" not in found(replace(FINE, project=replace(project, overlap=1)))
    assert "sampling" not in found(replace(FINE, project=replace(project, sampling="Uniform sampling")))


def test_a_version_from_names_that_is_missing_is_named() -> None:
    """Without annotations and with the setting, a training makes one or says why not."""
    row = replace(ROW, answers_with="resnet18-random-untrained-00c0ffee")
    untrained = replace(FINE, rows=[row], ours=[row], versions=Versions(), with_version=0)
    untrained = replace(untrained, project=replace(FINE.project, annotations=0, ground_truths=0))
    assert "version" not in found(untrained)
    asked = replace(untrained, backend=replace(BACKEND, zero_shot="open_clip:ViT-B-32"))
    [finding] = found(asked)["version"]
    assert finding.seen == "no version yet, with ML_BACKEND_ZERO_SHOT=open_clip:ViT-B-32"
    assert finding.remedy.startswith("ml-backend train --project 7")
