"""Label Studio as the demo's administrator and annotators use it: the calls that make and fill the project."""

from __future__ import annotations

from typing import TYPE_CHECKING

from administrator import Administrator, file_name

from demonstration.digits import LABELS
from demonstration.errors import DemoError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from demonstration.annotators import Answer
    from demonstration.digits import Digit

CONTROL, IMAGE = "digit", "image"
TITLE = "Handwritten digits"

LABEL_CONFIG = f"""\
<View>
  <Image name="{IMAGE}" value="${IMAGE}"/>
  <Choices name="{CONTROL}" toName="{IMAGE}" choice="single" showInLine="true">
    {" ".join(f'<Choice value="{label}"/>' for label in LABELS)}
  </Choices>
</View>
"""


class Studio(Administrator):
    """A Label Studio as one account sees it."""

    def make_project(self, annotators: int) -> int:
        """Make the project; each task may be annotated by everybody."""
        settings = {"maximum_annotations": annotators, "show_skip_button": True}
        return self.create_project(LABEL_CONFIG, TITLE, **settings)

    def upload_digits(self, project: int, digits: Sequence[Digit]) -> dict[str, int]:
        """Upload images, make a task of each with its given label, and return the tasks by file name."""
        addresses = self.upload(project, {digit.name: digit.png for digit in digits})
        self.import_tasks(
            project, [{"data": {IMAGE: addresses[digit.name], "given": digit.given}} for digit in digits]
        )
        tasks = {file_name(task["data"][IMAGE]): task["id"] for task in self.tasks(project, "id,data")}
        if tasks.keys() != addresses.keys():
            raise DemoError(f"Label Studio made {len(tasks)} tasks of {len(digits)} images.")
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
