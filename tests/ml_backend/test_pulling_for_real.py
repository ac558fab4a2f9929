"""What is read of a real Label Studio, step by step as its tasks change."""

import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

import httpx
import pytest

from common.contract import signed_meta
from common.label_studio import incremental_sync
from ml_backend.core.consensus_targets import Verdict
from ml_backend.label_studio.client import Counts, LabelStudioClient
from ml_backend.label_studio.pulling import Pulled, Puller
from ml_backend.settings import Settings

if TYPE_CHECKING:
    from conftest import RunningLabelStudio, Samples

pytestmark = pytest.mark.server

CONFIG = """<View><Image name="image" value="$image"/>
<Choices name="kind" toName="image"><Choice value="dark"/><Choice value="light"/></Choices></View>"""


@pytest.fixture
def ls(label_studio: "RunningLabelStudio") -> Iterator[httpx.Client]:
    """Label Studio without our code."""
    headers = {"Authorization": f"Token {label_studio.api_key}"}
    with httpx.Client(base_url=label_studio.url, headers=headers, timeout=60) as client:
        yield client


@pytest.fixture
def reader(label_studio: "RunningLabelStudio", tmp_path: Path) -> Iterator[LabelStudioClient]:
    """Label Studio as a training reads it."""
    settings = Settings.model_validate(
        {"label_studio_url": label_studio.url, "label_studio_api_key": label_studio.api_key, "data_dir": tmp_path}
    )
    client = LabelStudioClient(settings)
    yield client
    client.close()


def region(kind: str) -> dict[str, Any]:
    """What says that an image is of a kind."""
    return {"id": "a", "from_name": "kind", "to_name": "image", "type": "choices", "value": {"choices": [kind]}}


def signed(secret: str, task: int, report: str, kind: str, score: float) -> dict[str, Any]:
    """What consensus writes of a task."""
    version = f"consensus/{report}"
    meta = signed_meta(secret, task, version, score, region(kind), "choices")
    return {"task": task, "model_version": version, "score": score, "result": [{**region(kind), "meta": meta}]}


def said(pulled: Pulled) -> list[tuple[str, ...]]:
    """The label of each annotation, task by task; a skipped one says nothing."""
    return [
        tuple("".join(one.choices.get("kind", ("skipped",))) for one in task.annotations) for task in pulled.tasks
    ]


def test_changes_of_a_real_project_are_read(
    label_studio: "RunningLabelStudio",
    ls: httpx.Client,
    reader: LabelStudioClient,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Annotations, skips, changes, deletions and what consensus writes arrive, with as few tasks as can be."""
    monkeypatch.setattr(
        incremental_sync, "_OVERLAP", timedelta(0)
    )  # half a minute would have to pass between the steps
    number = ls.post("/api/projects/", json={"title": "Pulling", "label_config": CONFIG}).json()["id"]
    body = [
        {"data": {"image": f"/{n}.png"}, "annotations": [{"result": [region("dark")], "ground_truth": n == 0}]}
        for n in range(3)
    ]
    ls.post(f"/api/projects/{number}/import", json=[*body, {"image": "/3.png"}]).raise_for_status()

    def pull() -> Pulled:
        time.sleep(1.1)  # Label Studio tells the time in whole seconds
        found = Puller(reader, tmp_path).pull(reader.project(number), "digest", datetime.now(UTC))
        time.sleep(1.1)
        return found

    project = reader.project(number)
    assert project.counts == Counts(tasks=4, submitted=3, skipped=0)
    made = ls.get(f"/api/projects/{number}/").json()["created_at"]
    assert project.stamp == str(int(datetime.fromisoformat(made).timestamp()))
    first = pull()
    assert (first.read, first.why_all) == (4, "the first reading")
    assert said(first) == [("dark",), ("dark",), ("dark",), ()]
    assert [one.ground_truth for task in first.tasks for one in task.annotations] == [True, False, False]
    assert pull() == Pulled(first.tasks, 0)

    ids = [task.id for task in first.tasks]
    annotated = ls.post(f"/api/tasks/{ids[3]}/annotations/", json={"result": [region("light")]}).json()["id"]
    ls.post(f"/api/tasks/{ids[2]}/annotations/", json={"result": [], "was_cancelled": True}).raise_for_status()
    pulled = pull()
    assert (pulled.read, said(pulled)) == (2, [("dark",), ("dark",), ("dark", "skipped"), ("light",)])

    ls.patch(f"/api/annotations/{annotated}/", json={"result": [region("dark")]}).raise_for_status()
    pulled = pull()
    assert (pulled.read, said(pulled)[3]) == (1, ("dark",))

    ls.delete(f"/api/annotations/{annotated}/").raise_for_status()
    pulled = pull()
    assert said(pulled)[3] == ()

    ls.delete(f"/api/tasks/{ids[1]}/").raise_for_status()
    pulled = pull()
    assert pulled.why_all == "the counts of tasks or annotations do not fit"
    assert [task.id for task in pulled.tasks] == [ids[0], ids[2], ids[3]]

    other = {"model_version": "resnet18-random-20260131T120000-00aa", "score": 0.5, "result": [region("dark")]}
    ls.post(
        f"/api/projects/{number}/import/predictions",
        json=[
            row
            for task in (ids[0], ids[2])
            for row in (signed(label_studio.api_key, task, "Discovered", "light", 0.9), {"task": task, **other})
        ],
    ).raise_for_status()
    verdict = Verdict("Discovered", "kind", "light", 0.9)
    pulled = pull()
    assert (pulled.read, [task.verdicts for task in pulled.tasks]) == (0, [(verdict,), (verdict,), ()])

    [listed] = ls.get("/api/predictions/", params={"task": ids[2]}).json()[:1]
    forged, changed = {"score": 0.7}, signed(label_studio.api_key, ids[2], "Discovered", "light", 0.8)
    for change, scores in ((forged, [0.9]), (changed, [0.9, 0.8])):
        ls.patch(f"/api/predictions/{listed['id']}/", json=change).raise_for_status()
        pulled = pull()
        assert pulled.read == 1
        assert [verdict.score for task in pulled.tasks for verdict in task.verdicts] == scores

    ls.request(
        "DELETE", f"/api/projects/{number}/model-versions/", json={"model_version": "consensus/Discovered"}
    ).raise_for_status()
    assert not any(task.verdicts for task in pull().tasks)


@pytest.mark.parametrize("listed", [4, 3])
def test_verdicts_can_be_read_page_by_page(
    label_studio: "RunningLabelStudio",
    ls: httpx.Client,
    reader: LabelStudioClient,
    tmp_path: Path,
    listed: int,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A project with too many predictions for one answer gives the same ones."""
    monkeypatch.setattr("common.label_studio.client._LISTED_PREDICTIONS", listed)
    number = ls.post("/api/projects/", json={"title": "Pages", "label_config": CONFIG}).json()["id"]
    ls.post(f"/api/projects/{number}/import", json=[{"image": f"/{n}.png"} for n in range(3)]).raise_for_status()
    ids = sorted(task.id for task in reader.tasks_alone(number))
    ls.post(
        f"/api/projects/{number}/import/predictions",
        json=[
            row
            for task in ids[:2]
            for row in (
                signed(label_studio.api_key, task, "NoVotes", "dark", 0.5),
                {"task": task, "model_version": "other", "score": 0.5, "result": [region("dark")]},
            )
        ],
    ).raise_for_status()
    assert {version: count for version, (count, _) in reader.version_counts(number).items()} == {
        "consensus/NoVotes": 2,
        "other": 2,
    }
    pulled = Puller(reader, tmp_path).pull(reader.project(number), "digest", datetime.now(UTC))
    verdict = Verdict("NoVotes", "kind", "dark", 0.5)
    assert [task.verdicts for task in pulled.tasks] == [(verdict,), (verdict,), ()]


def test_more_uploads_than_a_page_of_label_studio_can_hold_are_read(
    ls: httpx.Client, reader: LabelStudioClient, samples: "Samples"
) -> None:
    """Label Studio on SQLite fails on a page of a thousand uploaded images; all of them are read."""
    number = ls.post("/api/projects/", json={"title": "Many uploads", "label_config": CONFIG}).json()["id"]
    picture = samples.png("black")
    for start in range(0, 1000, 100):
        files = [(f"{one}.png", (f"{one}.png", picture, "image/png")) for one in range(start, start + 100)]
        ls.post(f"/api/projects/{number}/import", files=files).raise_for_status()
    whole = {"project": number, "page_size": 1000, "include": "id", "fields": "task_only"}
    assert ls.get("/api/tasks", params=whole).status_code == 500  # the trap
    names = {task.data["image"].rsplit("-", 1)[-1] for task in reader.tasks_alone(number)}
    assert names == {f"{one}.png" for one in range(1000)}
    assert len(list(reader.annotated_tasks(number))) == 1000
