"""Label Studio as the demo's administrator and annotators use it: the calls that make and fill the project."""

from __future__ import annotations

from typing import TYPE_CHECKING

from administrator import Administrator

from demonstration.errors import DemoError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from demonstration.annotators import Answer

CONTROL, IMAGE = "digit", "image"
TITLE = "Handwritten digits"


class Studio(Administrator):
    """A Label Studio as one account sees it."""

    def tasks_by_name(self, project: int, expected: int) -> dict[str, int]:
        """Return the tasks by the name that the file of their image had."""
        tasks = {image_name(task["data"]): task["id"] for task in self.tasks(project, "id,data")}
        if len(tasks) != expected:
            raise DemoError(f"Label Studio has {len(tasks)} tasks of {expected} images.")
        return tasks

    def connect_backend(self, project: int, url: str) -> None:
        """Connect an ML backend as Settings > Model does; Label Studio then tells it of annotations."""
        self.add_connection(project, url, "Digits backend", None)
        if not any(hook.url.startswith(url) for hook in self.webhooks() if hook.project_id == project):
            raise DemoError(f"Label Studio made no webhook for {url}: it would never train.")

    def submit(self, task: int, answer: Answer) -> None:
        """Submit an annotation, or a skip."""
        region = {
            "id": f"{CONTROL}-{task}",
            "from_name": CONTROL,
            "to_name": IMAGE,
            "type": "choices",
            "value": {"choices": [answer.label]},
        }
        result = [region] if answer.label else []
        self.annotate(task, *result, was_cancelled=answer.label is None, lead_time=2.0)


def image_name(data: Mapping[str, str]) -> str:
    """Name of the file that a task's image was imported from.

    >>> image_name({"source": "3/image-012.png"})
    'image-012.png'
    """
    return data["source"].rsplit("/", 1)[-1]
