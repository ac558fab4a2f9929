"""The Label Studio in memory answers as the real one: one conversation with both, and what came of each step."""

from __future__ import annotations

from contextlib import closing
from typing import TYPE_CHECKING, Any

import pytest
from administrator import Administrator
from in_memory_label_studio import URL, InMemoryStudio, choices, config, region

from common.errors import RefusedError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from conftest import RunningLabelStudio

HOOK = "http://ml-backend.internal:9090/webhook"


def refused(call: Callable[[], object]) -> str:
    """What Label Studio says against something."""
    with pytest.raises(RefusedError) as error:
        call()
    return str(error.value.reason)


def talk(admin: Administrator) -> Iterator[tuple[str, Any]]:
    """Fill a project, and tell what each step leads to, without any id."""
    project = admin.create_project(config(choices("kind", "dark", "light")))
    dark = [region("kind", "dark", id="a")]
    votes = [{"result": dark}, {"result": dark, "ground_truth": False}]
    admin.import_tasks(project, [{"image": "0"}, {"data": {"image": "1"}, "annotations": votes}, {"image": "2"}])
    first, second, third = tasks = admin.task_ids(project)
    yield "counts", admin.project(project).counts
    yield "ground truths", admin.project_settings(project).ground_truths
    admin.annotate(first, *dark)
    admin.annotate(third, was_cancelled=True)
    yield "counts after a vote and a skip", admin.project(project).counts
    yield "annotated tasks", bool(admin.newest_change(project))
    rows = [
        {"task": task, "model_version": version, "score": 0.5, "result": dark}
        for task, version in ((first, "m1"), (first, "m2"), (second, "m1"), (third, "n1"))
    ]
    yield "stored", admin.import_predictions(project, rows)
    yield "versions", sorted(admin.versions(project))
    yield "counted", sorted((name, count) for name, (count, _) in admin.version_counts(project).items())
    yield "tasks of a version", sorted(map(tasks.index, admin.tasks_with_version(project, "m1")))
    yield "its predictions", [tasks.index(task) for _, task in admin.prediction_ids(project, "m1", 4)]
    gone = {**rows[0], "task": third + 10_000}
    yield (
        "predictions of no task",
        "corresponding task ID couldn't be retrieved"
        in refused(lambda: admin.import_predictions(project, [gone])),
    )
    yield "an unknown version", refused(lambda: admin.show_version(project, "m9"))
    for shown, deleted in (("m1", "m2"), ("m1", "m1")):
        admin.show_version(project, shown)
        admin.delete_version(project, deleted)
        yield f"shown without {deleted}", (admin.project(project).model_version, sorted(admin.versions(project)))
    [(prediction, _)] = admin.prediction_ids(project, "n1", 1)
    admin.change_prediction(prediction, {"score": 0.25})
    for _ in range(2):
        admin.delete_prediction(prediction)
    admin.create_prediction({**rows[0], "cluster": 3})
    yield "its cluster", [row["cluster"] for _, row in admin.predictions(project, 1, "m1")]
    admin.set_overlap(first, 3, closed=False)
    page = admin.task_page(project, page=1, size=2, include="id,overlap,is_labeled")
    yield "a page", [{**row, "id": tasks.index(row["id"])} for row in page]
    yield "nested keys", sorted(next(admin.tasks(project, "id,annotations,was_cancelled"))["annotations"][0])
    yield "without them", sorted(next(admin.tasks(project, "id,data,annotations", fields="task_only")))
    yield "by id", [tasks.index(task["id"]) for task in admin.tasks_by_id(project, "id", [third, third + 10_000])]
    yield "a page too far", refused(lambda: admin.task_page(project, page=9, size=2, include="id"))
    yield from talk_of_imports(admin)
    admin.add_tab(project, {"title": "NoVotes"})
    yield "tabs", [tab["data"]["title"] for tab in admin.tabs(project)]
    admin.add_webhook(project, HOOK, frozenset({"ANNOTATION_CREATED"}), {"X": "1"})
    [hook] = [hook for hook in admin.webhooks() if hook.project_id == project]
    admin.change_webhook(hook, HOOK, frozenset({"TASKS_CREATED"}), {})
    yield "a webhook", [(row.url, row.actions, row.headers) for row in admin.webhooks() if row.id == hook.id]
    admin.delete_webhook(hook)
    yield "webhooks left", [row.id for row in admin.webhooks() if row.id == hook.id]


def talk_of_imports(admin: Administrator) -> Iterator[tuple[str, Any]]:
    """Upload images and make tasks of them."""
    project = admin.make_project("Photos", config(choices("kind", "dark", "light")), {"maximum_annotations": 3})
    yield "its title", admin.project_titles()[project]
    yield "its overlap", admin.project_settings(project).overlap
    uploads = admin.upload_images(project, [(name, b"image") for name in ("b.png", "a.png", "b.png")])
    paths = admin.uploads(project, uploads)
    yield "names in order", [paths[upload_id].rsplit("-")[-1] for upload_id in uploads]
    yield "where they are", {path.split("/")[0] for path in paths.values()}
    yield "all of them", admin.uploads(project) == paths
    yield "tasks made by uploads", admin.task_number(project)
    for files in ([("a.tif", b"image")], [("a.png", b"image")] * 101):
        yield f"{len(files)} {files[0][0]}", bool(refused(lambda files=files: admin.upload_images(project, files)))  # type: ignore[misc]
    yield "uploads after refusals", len(admin.uploads(project))
    tasks = [{"data": {"image": f"/data/{path}", "checksum": name}} for name, path in paths.items()]
    ids = admin.make_tasks(project, tasks)
    rows = list(admin.tasks_after(project, "id,data", ids[0]))
    yield (
        "tasks after the first",
        [(ids.index(row["id"]), row["data"] == tasks[1:][n]["data"]) for n, row in enumerate(rows)],
    )
    yield "their overlap", [row["overlap"] for row in admin.task_page(project, page=1, size=1, include="overlap")]
    wrong = [tasks[0], {"data": {"picture": "1"}}]
    yield "a task without an image", bool(refused(lambda: admin.make_tasks(project, wrong)))
    yield "none of its request", admin.task_number(project)
    storage = {"project": project, "path": "/nowhere/else", "use_blob_urls": True}
    yield "a storage that is not there", bool(refused(lambda: admin.add_storage("localfiles", storage)))
    yield "storages", list(admin.storages(project, ["localfiles", "s3"]))


@pytest.mark.server
def test_it_answers_as_the_real_one(label_studio: RunningLabelStudio) -> None:
    """Step by step; so what the tests in memory show holds for Label Studio."""
    with closing(Administrator(URL, "token", InMemoryStudio())) as in_memory:
        assert list(talk(in_memory)) == list(talk(label_studio.administrator))
