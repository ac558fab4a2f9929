"""The order of the label stream, with faults from memory and for real on Label Studio."""

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import pytest
from in_memory_label_studio import InMemoryStudio, region
from training_parts import client_of
from training_parts import label_studio as made_project

from ml_backend.label_studio.client import LabelStudioClient
from ml_backend.label_studio.ordering import UNCERTAINTY, store_in_order
from ml_backend.settings import Settings
from ml_backend.training.publish import store_version

if TYPE_CHECKING:
    from conftest import RunningLabelStudio, Samples

V1 = "resnet18-random-20260131T120000-00aa"
MADE_AT = datetime(2026, 1, 31, 12, tzinfo=UTC)


@pytest.fixture
def studio() -> InMemoryStudio:
    """A project of four tasks."""
    return made_project({number: [] for number in range(1, 5)})


def prediction(task: int, score: float) -> dict[str, Any]:
    """A suggestion with a score."""
    return {"task": task, "model_version": V1, "score": score, "result": [region("kind", "dark", id="a")]}


def stored_in_order(studio: InMemoryStudio, clock: list[float] | None = None) -> list[int]:
    """Store three of four tasks: 1 and 2 in a cluster, 3 in another, 4 without one."""
    times = iter(clock or [0.0] * 9)
    tasks = [prediction(1, 0.3), prediction(2, 0.2), prediction(3, 0.9), prediction(4, 0.1)]
    done = store_in_order(
        client_of(studio),
        tasks,
        {1: 0, 2: 0, 3: 1},
        made_at=MADE_AT,
        count=2,
        limit_s=10,
        clock=lambda: next(times),
    )
    return sorted(done)


def test_the_most_uncertain_of_each_cluster_are_stored_with_it(studio: InMemoryStudio) -> None:
    """Of two places one goes to each cluster; a task without a cluster is left for the bulk import."""
    assert stored_in_order(studio) == [2, 3]
    first, second = (row["cluster"] for row in studio.predictions)
    assert second - first == 1
    assert 0 <= first < second < 2**31


def test_what_is_refused_is_left_for_the_import(studio: InMemoryStudio) -> None:
    """A task that fails costs only itself."""
    del studio.tasks[2]
    assert stored_in_order(studio) == [3]


def test_what_takes_too_long_is_left_for_the_import(studio: InMemoryStudio) -> None:
    """After the limit no more are stored one by one."""
    assert stored_in_order(studio, [0.0, 1.0, 11.0]) == [2]


@pytest.mark.server
def test_the_label_stream_serves_uncertain_tasks_of_other_clusters(
    label_studio: "RunningLabelStudio", samples: "Samples"
) -> None:
    """Clusters take turns by lowest score; the task without one has its turn as if it were a cluster."""
    admin = label_studio.administrator
    project_id = admin.create_project(samples.config, sampling=UNCERTAINTY)
    admin.import_tasks(project_id, [{"image": f"{number}.png"} for number in range(5)])
    tasks = admin.task_ids(project_id)
    scores = dict(zip(tasks, (0.9, 0.3, 0.2, 0.5, 0.95), strict=True))
    client = LabelStudioClient(
        Settings.model_validate(
            {"label_studio_url": label_studio.url, "label_studio_api_key": label_studio.api_key}
        )
    )
    project = client.project(project_id)
    assert project.sampling == UNCERTAINTY
    stored = store_version(
        client,
        project,
        [prediction(task, score) for task, score in scores.items()],
        annotated=frozenset(),
        cluster_of={tasks[0]: 0, tasks[1]: 0, tasks[2]: 0, tasks[3]: 1, tasks[4]: 1},
        made_at=MADE_AT,
        ordered=4,
    )
    assert stored == 5
    assert client.tasks_with_version(project_id, V1) == set(tasks)
    client.show_version(project_id, V1)
    client.close()
    served = []
    for _ in range(4):
        served.append(admin.next_task(project_id)["id"])
        admin.annotate(served[-1], *prediction(0, 0)["result"])
    assert served == [tasks[2], tasks[3], tasks[0], tasks[1]]
