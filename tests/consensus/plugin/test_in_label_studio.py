"""The plugin in a real Label Studio, with a real service behind it, through the API and in a browser."""

import shutil
import sys
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import label_studio_server
import pytest
from administrator import Administrator
from environments import label_studio as environment_of
from playwright.sync_api import Page, sync_playwright
from servers import free_port

sys.path.insert(0, str(Path(__file__).parents[1] / "serving"))
from running_service import TOKEN, running

from common.contract import MACHINE_ACCOUNT
from consensus.plugin.installing import install, target_at

pytestmark = pytest.mark.server

CONFIG = """<View>
  <Image name="image" value="$image"/>
  <Choices name="kind" toName="image" choice="single"><Choice value="cat"/><Choice value="dog"/></Choices>
</View>"""
MODEL = "m1"
SCORES = (0.99, 0.98, 0.97, 0.96, 0.6, 0.5)
WAIT_S = 60.0
A1, A2, A3 = "a1@example.com", "a2@example.com", "a3@example.com"


def choice(label: str) -> dict[str, Any]:
    """A region that chooses a label."""
    return {"from_name": "kind", "to_name": "image", "type": "choices", "value": {"choices": [label]}}


@dataclass
class Place:
    """A Label Studio with the plugin, and the service that it calls."""

    url: str
    administrator: Administrator
    account: label_studio_server.Account
    service: str
    project: int

    def act(self, action: str, included: list[int] | None, **form: object) -> httpx.Response:
        """Do what the Data Manager's menu does, and return the answer whatever it is."""
        selected = {"all": False, "included": included} if included is not None else None
        body = {"filters": {"conjunction": "and", "items": []}, "ordering": [], **form}
        return httpx.post(
            f"{self.url}/api/dm/actions/",
            params={"id": f"consensus_{action}", "project": self.project},
            json=body if selected is None else {**body, "selectedItems": selected},
            headers={"Authorization": f"Token {self.account.token}"},
            timeout=60,
        )

    def ended(self, job: dict[str, Any]) -> dict[str, Any]:
        """Wait for work in the background, and return what came of it."""
        pause = threading.Event()
        for _ in range(int(WAIT_S * 5)):
            asked = self.ask(f"/jobs/{job['id']}")
            if asked["finished_at"]:
                assert asked["state"] == "done", asked
                return dict(asked["result"])
            pause.wait(0.2)
        raise AssertionError("it did not end")

    def ask(self, path: str) -> dict[str, Any]:
        """Ask the service."""
        headers = {"Authorization": f"Bearer {TOKEN}"}
        answer = httpx.get(f"{self.service}/api/projects/{self.project}{path}", headers=headers)
        assert answer.status_code == 200, answer.text
        return dict(answer.json())


def made_project(administrator: Administrator) -> int:
    """Eight tasks whose given label three people confirm, two they reject, and six that wait for a model's word.

    Suggestions are there for all, sure ones for four of those that wait.
    """
    project = administrator.create_project(CONFIG, "Plugin", maximum_annotations=1)
    tokens = administrator.sign_up([A1, A2, A3])
    ids = {email: number for number, email in administrator.accounts().items()}
    rows = [("cat", "cat", 0.9)] * 8 + [("cat", "dog", 0.9)] * 2 + [("cat", "", score) for score in SCORES]
    administrator.import_tasks(
        project,
        [
            {
                "data": {"image": f"http://images.example.com/{row}.png", "label": given},
                "annotations": [
                    {"completed_by": ids[who], "result": [choice(voted)], "ground_truth": False}
                    for who in tokens
                    if voted
                ],
                "predictions": [{"model_version": MODEL, "score": score, "result": [choice("cat")]}],
            }
            for row, (given, voted, score) in enumerate(rows)
        ],
    )
    administrator.ask("PATCH", f"/api/projects/{project}/", json={"model_version": MODEL})
    return project


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    """Label Studio's package, copied and with the plugin; the service that it calls; a project, after a run."""
    folder = tmp_path_factory.mktemp("plugin")
    (installed,) = environment_of().program("python").parent.parent.glob("lib/python3*/site-packages/label_studio")
    copied = folder / "packages"
    for name in ("label_studio", *(path.name for path in installed.parent.glob("label_studio-*.dist-info"))):
        shutil.copytree(installed.parent / name, copied / name)
    (copied / "web").symlink_to(installed.parent / "web")
    assert install(target_at(copied))
    account = label_studio_server.administrator()
    port = free_port()
    url = f"http://127.0.0.1:{port}"
    settings = folder / "consensus.toml"
    settings.write_text('auto = "auto.toml"\n[controls.kind]\ngiven = "label"\n')
    rules = 'source = "suggestions"\naccept_above = 0.9\nreview_below = 0.6\naudit_share = 0.0\n'
    (folder / "auto.toml").write_text(rules)
    variables = {
        "CONSENSUS_DATABASE_URL": f"sqlite:///{folder}/consensus.db",
        "LABEL_STUDIO_URL": url,
        "LABEL_STUDIO_API_KEY": account.token,
        "CONSENSUS_CONFIG": str(settings),
    }
    with running(folder, **variables) as (service, _):
        extra = {"PYTHONPATH": str(copied), "CONSENSUS_URL": service, "CONSENSUS_API_TOKEN": TOKEN}
        studio = label_studio_server.start(folder / "base", port=port, extra=extra)
        try:
            with Administrator(url, account.token) as administrator:
                here = Place(url, administrator, account, service, made_project(administrator))
                answer = here.act("update_reports", [])
                assert (answer.status_code, answer.json()["kind"]) == (202, "run"), answer.text
                assert here.ended(answer.json())["reports"]["MisClassified"] == 2
                yield here
        finally:
            studio.stop()


def test_the_menu_has_the_actions(place: Place) -> None:
    """Five of them, none off, and each dialog's form says what it would do in the tab."""
    actions = {
        row["title"]: row
        for row in place.administrator.ask("GET", "/api/dm/actions/", params={"project": place.project})
        if row["id"].startswith("consensus_")
    }
    assert list(actions) == [
        "Accept suggestions above…",
        "Accept the proposed labels",
        "Ask for more votes",
        "Send to review",
        "Update consensus reports",
    ]
    assert not any(row.get("disabled") for row in actions.values())
    form = place.administrator.ask(
        "GET",
        f"/api/dm/actions/{actions['Accept suggestions above…']['id']}/form/",
        params={"project": place.project},
    )
    outlook = form[0]["fields"][1]["description"]
    assert outlook.startswith("In this tab: 4 of 16 tasks have a suggestion above 0.95"), outlook


def test_a_dialog_speaks_of_the_tab_that_is_open(place: Place) -> None:
    """As the address of the page names it: MisClassified holds two tasks, and both have a proposed label."""
    views = place.administrator.ask("GET", "/api/dm/views/", params={"project": place.project})
    (tab,) = (view["id"] for view in views if view["data"]["title"] == "MisClassified")
    form = httpx.get(
        f"{place.url}/api/dm/actions/consensus_accept_proposals/form/",
        params={"project": place.project},
        headers={
            "Authorization": f"Token {place.account.token}",
            "Referer": f"{place.url}/projects/{place.project}/data?tab={tab}",
        },
        timeout=60,
    ).json()
    assert form[0]["fields"][0]["description"].startswith("In this tab: 2 of 2 tasks have a wrong given label")


def test_an_empty_selection_does_nothing(place: Place) -> None:
    """Label Studio takes it for all tasks; the plugin says that none is selected."""
    for included in ([], None):
        for action in ("accept_suggestions", "accept_proposals", "ask_for_votes", "send_to_review"):
            answer = place.act(action, included, above=0.0)
            assert (answer.status_code, answer.json()) == (409, {"detail": "no task is selected"})
    assert place.ask("/batches")["items"] == []


def test_suggestions_are_counted_and_accepted(place: Place) -> None:
    """What is selected and sure enough, as annotations of the machine account, in the name of who clicked."""
    tasks = place.administrator.task_ids(place.project)
    counted = place.act("accept_suggestions", tasks[:13], above=0.95, consensus_count=True)
    assert counted.status_code == 409
    assert "Nothing went wrong and nothing was written. 3 of 13 tasks" in counted.json()["detail"]
    done = place.act("accept_suggestions", tasks[:13], above=0.95, consensus_count=False)
    assert (done.status_code, done.json()["async"]) == (202, True), done.text
    (batch,) = place.ended(done.json()["job"])["batches"]
    assert batch["counts"] == {"written": 3}
    assert place.ask(f"/batches/{batch['batch']}")["made_by"] == place.account.email
    accounts = place.administrator.accounts()
    written = [
        (row["id"], accounts[each["completed_by"]])
        for row in place.administrator.whole_tasks(place.project)
        for each in row["annotations"]
        if accounts[each["completed_by"]] not in (A1, A2, A3)
    ]
    assert sorted(written) == [(task, MACHINE_ACCOUNT) for task in tasks[10:13]]


def test_proposals_votes_and_review(place: Place) -> None:
    """The other actions reach their engines: a better label, one more annotator, a place in the queue."""
    tasks = place.administrator.task_ids(place.project)
    done = place.act("accept_proposals", tasks[8:9])
    (batch,) = place.ended(done.json()["job"])["batches"]
    assert batch["counts"] == {"written": 1}
    place.ended(place.act("ask_for_votes", tasks[:1]).json()["job"])
    first = next(row for row in place.administrator.whole_tasks(place.project) if row["id"] == tasks[0])
    assert (first["overlap"], first["is_labeled"]) == (4, False)
    assert place.act("send_to_review", tasks[9:10]).status_code == 202
    assert [row["task"] for row in place.ask("/queues/pending")["items"]] == tasks[9:10]


def test_tasks_that_come_are_annotated_at_once(place: Place) -> None:
    """Label Studio's webhook reaches the service with the token: the sure one is annotated, the other waits."""
    hook = {
        "url": f"{place.service}/webhook",
        "project": place.project,
        "headers": {"Authorization": f"Bearer {TOKEN}"},
        "send_payload": True,
        "send_for_all_actions": False,
        "actions": ["TASKS_CREATED"],
    }
    place.administrator.ask("POST", "/api/webhooks/", json=hook)
    before = {job["id"] for job in place.ask("/jobs")["items"]}
    came = [
        {
            "data": {"image": "http://images.example.com/new.png"},
            "predictions": [{"model_version": MODEL, "score": score, "result": [choice("cat")]}],
        }
        for score in (0.95, 0.4)
    ]
    place.administrator.import_tasks(place.project, came)
    pause = threading.Event()
    for _ in range(int(WAIT_S * 5)):
        jobs = [job for job in place.ask("/jobs")["items"] if job["id"] not in before]
        if jobs:
            break
        pause.wait(0.2)
    done = place.ended(jobs[0])
    assert {name: done[name] for name in ("tasks", "accepted", "pending")} == {
        "tasks": 2,
        "accepted": 1,
        "pending": 1,
    }


@pytest.fixture(scope="module")
def page(place: Place, chromium_path: str) -> Iterator[Page]:
    """The Data Manager, signed in."""
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium_path, args=["--no-sandbox"])
        shown = browser.new_page(viewport={"width": 1300, "height": 850})
        shown.goto(f"{place.url}/user/login")
        shown.fill("input[name=email]", place.account.email)
        shown.fill("input[name=password]", place.account.password)
        shown.press("input[name=password]", "Enter")
        shown.wait_for_load_state()
        yield shown
        browser.close()


def test_in_the_browser(place: Place, page: Page, tmp_path: Path) -> None:
    """The menu lists the actions, the dialog says what would be done, and what is counted is shown."""
    tasks = place.administrator.task_ids(place.project)
    page.goto(f"{place.url}/projects/{place.project}/data")
    for task in tasks[13:16]:
        page.get_by_label(f"Select Task {task}", exact=True).click(timeout=60_000)
    page.get_by_role("button", name="Tasks Actions").click()
    page.get_by_text("Accept suggestions above…").wait_for()
    page.screenshot(path=tmp_path / "menu.png")
    page.get_by_text("Accept suggestions above…").click()
    page.get_by_text("In this tab:").wait_for()
    page.screenshot(path=tmp_path / "dialog.png")
    page.get_by_text("Only count on the selected tasks").click()
    page.locator("button:has-text('OK')").last.click()
    page.get_by_text("Nothing went wrong and nothing was written. 1 of 3 tasks").first.wait_for()
    page.screenshot(path=tmp_path / "counted.png")
