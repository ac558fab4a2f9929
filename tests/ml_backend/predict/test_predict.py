from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from structlog.testing import capture_logs

from ml_backend.core.reach import Reach
from ml_backend.core.suggestions import Ticking
from ml_backend.embedding.gather import Gathered, ImageRef
from ml_backend.predict import predict as predicting
from ml_backend.predict.predict import Predictions, predict, predict_gathered

if TYPE_CHECKING:
    from conftest import Samples


@dataclass
class KnownImages:
    """A gatherer that knows the vectors of some addresses, fails on the rest, and keeps what it was asked."""

    vectors: dict[str, np.ndarray]
    asked: list[dict[str, Any]] = field(default_factory=list)

    def gather(self, refs: Sequence[ImageRef], **options: object) -> Gathered:
        """The vectors that are known."""
        self.asked.append(options)
        vectors = {ref: self.vectors[ref.url] for ref in refs if ref.url in self.vectors}
        return Gathered(vectors, {ref: "missing" for ref in refs if ref not in vectors}, embedded=len(vectors))


@pytest.fixture
def ask(samples: "Samples") -> Callable[..., Predictions]:
    """Predicts tasks with a model of dark and light images."""

    def ask(tasks: Sequence[object], **options: object) -> Predictions:
        given = {
            "artifact": samples.trained(),
            "controls": [samples.kind],
            "gatherer": KnownImages({"dark": samples.dark, "light": samples.light}),
            "backbones": None,
            "deadline_s": 10.0,
            "model_wait_s": 10.0,
        }
        return predict(tasks, **(given | options))

    return ask


def task(number: object, url: object = "dark") -> dict[str, object]:
    """A task as Label Studio sends it."""
    return {"id": number, "data": {"image": url}}


def choices(done: Predictions) -> list[list[str]]:
    """What each entry suggests."""
    return [entry and entry["result"][0]["value"]["choices"] for entry in done.entries]


def test_every_entry_is_in_its_place(ask: Callable[..., Predictions]) -> None:
    """Whatever the tasks hold, there are as many entries, in order, and each empty one has its reason."""
    broken = [
        None,
        7,
        "task",
        [],
        {},
        {"id": 1},
        {"id": 1, "data": []},
        task("1"),
        task(None),
        task(10**20),
        task(1, {}),
    ]
    done = ask([task(1), *broken, task(2, "light"), task(3, "gone")])
    assert choices(done) == [["dark"], *[[]] * 11, ["light"], []]
    assert done.reasons == dict.fromkeys(range(1, 11), "bad_task") | {11: "missing", 13: "missing"}
    assert (done.embedded, done.cached) == (2, 0)


def test_what_resembles_nothing_annotated_is_named_so(ask: Callable[..., Predictions], samples: "Samples") -> None:
    """It gets nothing, also from an image that lies among the clusters; the others get what they got."""
    artifact = samples.trained()
    roots = np.sign(samples.dark[None]) * np.sqrt(np.abs(samples.dark[None]))
    reach = Reach(roots / np.linalg.norm(roots), 0.01)
    done = ask([task(1), task(2, "light")], artifact=replace(artifact, model=replace(artifact.model, reach=reach)))
    assert choices(done) == [["dark"], []]
    assert done.reasons == {1: "unlike_annotated"}


def test_what_is_ticked_is_for_the_settings_to_say(ask: Callable[..., Predictions], samples: "Samples") -> None:
    """A request and what is stored for the whole project tick the same; what is not ticked keeps its score."""
    for ticking, ticked in ((Ticking(0, 0), ["dark"]), (Ticking(1, 0), [])):
        [entry] = ask([task(1)], ticking=ticking).entries
        gathered = Gathered({ImageRef.of(1, "image", {"image": "dark"}): samples.dark})
        [stored] = predict_gathered(samples.trained(), gathered, ticking=ticking)
        assert stored.pop("task") == 1
        assert stored == entry
        assert entry["result"][0]["value"]["choices"] == ticked
        assert 0.5 < entry["score"] < 1


def test_the_same_image_counts_for_each_task(ask: Callable[..., Predictions]) -> None:
    """Tasks that show the same picture, and the same task twice, get an entry each."""
    done = ask([task(1), task(2), task(1)])
    assert choices(done) == [["dark"]] * 3
    assert done.entries[0] == done.entries[2] != done.entries[1]


def test_a_task_that_cannot_be_suggested_costs_no_other(
    ask: Callable[..., Predictions], monkeypatch: pytest.MonkeyPatch
) -> None:
    """An error that nobody thought of, while an entry is written, leaves that entry empty."""
    whole = predicting.suggestion

    def fails(pairs: object, *, task_id: int, **how: object) -> object:
        if task_id == 2:
            raise ZeroDivisionError
        return whole(pairs, task_id=task_id, **how)

    monkeypatch.setattr(predicting, "suggestion", fails)
    done = ask([task(1), task(2), task(3)])
    assert choices(done) == [["dark"], [], ["dark"]]
    assert done.reasons == {1: "unexpected_ZeroDivisionError"}


def test_a_model_that_fails_leaves_all_empty(ask: Callable[..., Predictions], samples: "Samples") -> None:
    """Where scores cannot be computed, the answer still has an entry for each task, and the log says why."""
    trained = samples.trained()
    wrong = replace(trained.model.clusters, mean=np.zeros(3, dtype=np.float32))
    with capture_logs() as lines:
        done = ask(
            [task(1), task(2, "gone")],
            artifact=replace(trained, model=replace(trained.model, clusters=wrong)),
        )
    assert (done.entries, done.reasons) == ([[], []], {0: "scoring_failed", 1: "missing"})
    assert lines[0]["event"] == "scoring_failed"


def test_the_project_and_the_deadline_reach_the_images(
    ask: Callable[..., Predictions], samples: "Samples"
) -> None:
    """Images are looked up for the project that asks, with the key of its model."""
    gatherer = KnownImages({})
    ask([task(1)], gatherer=gatherer, project_id=7)
    assert (gatherer.asked[0]["project_id"], gatherer.asked[0]["embedding_key"]) == (7, samples.embedding_key)
    assert gatherer.asked[0]["ends_at"] < float("inf")
