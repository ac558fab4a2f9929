"""What annotators see of a suggestion in a real Label Studio's label stream, and what is left of it afterwards."""

import re
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from playwright.sync_api import Page, expect
from running_backend import eventually
from signed_in_browser import FIRST_PAGE_MS, signed_in

from ml_backend.core.controls import Control
from ml_backend.core.suggestions import suggestion

if TYPE_CHECKING:
    from conftest import RunningLabelStudio

pytestmark = pytest.mark.server

VERSION = "resnet18-random-20260131T120000-00aa"
PIXEL = "data:image/gif;base64,R0lGODlhAQABAIAAAP///wAAACwAAAAAAQABAAACAkQBADs="
CONFIG = """<View><Image name="image" value="$image"/>
<Choices name="kind" toName="image" required="true"><Choice value="cat"/><Choice value="dog"/></Choices>
<Choices name="traits" toName="image" choice="multiple"><Choice value="old"/><Choice value="wet"/></Choices>
</View>"""
KIND = Control("kind", "image", ("cat", "dog"), multiple=False, image_key="image")
TRAITS = Control("traits", "image", ("old", "wet"), multiple=True, image_key="image")


@pytest.fixture
def page(label_studio: "RunningLabelStudio", chromium_path: str) -> Iterator[Page]:
    """A browser in which the administrator has signed in."""
    with signed_in(label_studio, chromium_path) as opened:
        yield opened


@pytest.mark.parametrize(
    ("least", "click", "ticked", "submitted"),
    [(0.0, None, 2, ["dog"]), (0.0, "cat", 2, ["cat"]), (0.7, "cat", 1, ["cat"]), (0.7, "dog", 1, ["dog"])],
    ids=["accepted", "corrected", "unsure", "unsure and right"],
)
def test_only_what_is_sure_enough_is_ticked_and_nothing_of_the_model_is_submitted(
    label_studio: "RunningLabelStudio",
    page: Page,
    least: float,
    click: str | None,
    ticked: int,
    submitted: list[str],
) -> None:
    """Of a kind with .6 and a trait with .9 both or one are ticked; the annotation holds what its person chose."""
    admin = label_studio.administrator
    project = admin.create_project(CONFIG)
    admin.import_tasks(project, [{"image": PIXEL}])
    [task] = admin.task_ids(project)
    scored = [(KIND, np.array([0.4, 0.6])), (TRAITS, np.array([0.1, 0.9]))]
    least_scores = {"kind": least, "traits": least}
    made = suggestion(scored, task_id=task, model_version=VERSION, least_scores=least_scores)
    assert made is not None
    assert admin.import_predictions(project, [{"task": task, **made}]) == 1
    admin.ask("PATCH", f"/api/projects/{project}/", json={"model_version": VERSION})
    page.goto(f"{label_studio.url}/projects/{project}/data?labeling=1")
    expect(page.locator("input:checked")).to_have_count(ticked, timeout=FIRST_PAGE_MS)
    if click:
        page.get_by_text(click).first.click()
    page.get_by_role("button", name=re.compile("submit", re.IGNORECASE)).first.click()
    assert eventually(lambda: _annotations(admin, task), 60)
    annotations = _annotations(admin, task)
    assert {region["from_name"]: region["value"] for region in annotations[0]["result"]} == {
        "kind": {"choices": submitted},
        "traits": {"choices": ["wet"]},
    }
    of_label_studio = {"id", "from_name", "to_name", "type", "value", "origin"}
    assert all(region.keys() <= of_label_studio for region in annotations[0]["result"])


def _annotations(admin: Any, task: int) -> list[dict[str, Any]]:  # noqa: ANN401 - the fixture's
    whole: dict[str, Any] = admin.ask("GET", f"/api/tasks/{task}")
    annotations: list[dict[str, Any]] = whole["annotations"]
    return annotations
