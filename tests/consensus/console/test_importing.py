"""Imports from the pages."""

import json
import re
import sys
import threading
import time
from collections.abc import Callable
from html import unescape
from pathlib import Path
from typing import Any

import pytest
from flask.testing import FlaskClient
from made_desk import OTHER, Desk, fields, send, token_in, words
from made_projects import OWNER, PROJECT
from werkzeug.test import TestResponse

from consensus.console.import_form import ImportForm
from consensus.console.import_jobs import ImportJobs, Pace, StoppedError
from consensus.transfer import importing
from consensus.transfer.datasets import LARGEST_LIST

sys.path.insert(0, str(Path(__file__).parents[1] / "transfer"))
from made_images import make_folders, make_image

NEW, INTO = "/import", f"/projects/{PROJECT}/import"
WAIT_S = 30.0


@pytest.fixture
def datasets(desk: Desk) -> Path:
    """A folder of datasets with ten images of cats and dogs."""
    make_folders(desk.folder / "datasets" / "pets", 10)
    return desk.folder / "datasets"


def ended(client: FlaskClient, answer: TestResponse) -> str:
    """The page of an import once it has ended."""
    assert answer.status_code == 303, words(answer.text)
    ends_at = time.monotonic() + WAIT_S
    while time.monotonic() < ends_at:
        page = client.get(answer.headers["Location"]).text
        if 'hx-trigger="every 1s"' not in page:
            return page
        time.sleep(0.02)
    raise AssertionError(words(page))


def previewed(client: FlaskClient, base: str, query: str = "entry=pets", **form: object) -> str:
    """The page that shows what would be imported."""
    page = client.get(f"{base}?{query}")
    return ended(client, send(client, f"{base}/preview?{query}", page, **form))


def imported(client: FlaskClient, page: str) -> str:
    """The page of the import that a preview leads to."""
    [action] = re.findall(r'action="([^"]+/do[^"]*)"', page)
    return ended(client, client.post(unescape(action), data=fields(page)))


def sources(desk: Desk, project: int) -> dict[str, Any]:
    """The given label of each imported task of a project by its source."""
    rows = (task["data"] for task in desk.made.server.tasks.values() if task["project"] == project)
    return {data["source"]: data.get("given") for data in rows if "source" in data}


def test_a_folder_becomes_a_project(desk: Desk, admin: FlaskClient, datasets: Path) -> None:
    """Chosen, shown, imported, and a run of it begun; the preview says what then happens."""
    page = admin.get(NEW)
    assert "pets" in words(page.text)
    make_image(datasets / "pets" / "cat" / "twin.png", 0)
    (datasets / "pets" / "cat" / "notes.txt").write_text("")
    preview = previewed(admin, NEW, title="Our pets", overlap="2")
    text = words(preview)
    assert "10 images" in text
    assert "would be imported into a new project, Our pets ; 0 were there before, 2 left out" in text
    assert "layout folders (guessed; “Layout” names another)" in text
    assert "Each image is shown to 2 annotators" in text
    assert "other file: 1, duplicate: 1" in text
    assert "cat/twin.png the same image as cat/000.png" in text
    assert re.search(r"Label Images cat 5 dog 5", text)
    assert '<Choice value="cat" />' in unescape(preview)
    assert "Our pets" not in [row["title"] for row in desk.made.server.projects.values()]
    done = imported(admin, preview)
    number = max(desk.made.server.projects)
    assert f"imported into project {number}, Our pets ; 0 were there before, 2 left out" in words(done)
    assert len(sources(desk, number)) == 10
    assert sources(desk, number)["dog/001.png"] == "dog"
    assert [job.kind for job in desk.service.background.jobs(number)] == ["run"]


def test_what_was_left_out_is_a_file(admin: FlaskClient, datasets: Path) -> None:
    """Each with its reason; a name that a spreadsheet would compute is none of its formulas."""
    (datasets / "pets" / "=1+1.png").write_text("no image")
    page = previewed(admin, NEW, title="Our pets")
    for shown in (page, imported(admin, page)):
        [link] = re.findall(r'href="([^"]+left-out/[^"]+)"', shown)
        answer = admin.get(link)
        assert answer.mimetype == "text/csv"
        assert answer.text.startswith("source,kind,reason,labels\n'=1+1.png,not usable,it does not open")
    for name in ("0" * 32, "..%2f..%2fstore", "x"):
        assert admin.get(f"/import/left-out/{name}.csv").status_code == 404


def test_images_come_into_the_project_of_the_page(desk: Desk, admin: FlaskClient, datasets: Path) -> None:
    """Labels that it does not offer are named, and left out or added."""
    make_image(datasets / "pets" / "fox" / "1.png")
    text = words(previewed(admin, INTO))
    assert f"10 images (1.9 kB) would be imported into project {PROJECT}" in re.sub(
        r"\([^)]+\)", "(1.9 kB)", text, count=1
    )
    assert "1 label that the project does not offer: fox" in text
    assert "“Add labels that the project does not offer” adds what is missing" in text
    page = previewed(admin, INTO, add_labels="on")
    assert "Labels that would be added: fox" in words(page)
    assert "11 images" in words(imported(admin, page))
    assert sources(desk, PROJECT)["fox/1.png"] == "fox"
    assert "fox" in desk.made.server.project["label_config"]
    again = words(previewed(admin, INTO))
    assert "0 images" in again
    assert "11 were there before, 0 left out" in again


def test_the_settings_file_gets_the_section_of_the_project(desk: Desk, admin: FlaskClient, datasets: Path) -> None:
    """Where it can be written; what it said before stays."""
    assert datasets
    before = desk.settings_file.read_text()
    imported(admin, previewed(admin, NEW, title="Our pets", verify="on"))
    after = desk.settings_file.read_text()
    assert after.startswith(before)
    assert 'kind = "verification"' in after


def test_an_interrupted_import_goes_on(
    desk: Desk, admin: FlaskClient, datasets: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By the form of its page; nothing is sent twice."""
    assert datasets
    monkeypatch.setattr(importing, "_TASKS_A_REQUEST", 4)
    stopping = Pace.__call__

    def stop_late(pace: Pace, step: str, done: int, total: int, /) -> None:
        pace.is_stopping = done > 4  # with the first group made, and some of the next one uploaded
        stopping(pace, step, done, total)

    preview = previewed(admin, INTO)
    monkeypatch.setattr(Pace, "__call__", stop_late)
    page = imported(admin, preview)
    assert "It was stopped. The same form goes on, and imports nothing twice." in words(page)
    assert 0 < len(sources(desk, PROJECT)) < 10
    monkeypatch.setattr(Pace, "__call__", stopping)
    assert "were there before, 0 left out" in words(imported(admin, page))
    assert len(sources(desk, PROJECT)) == 10
    assert sum("source" in task["data"] for task in desk.made.server.tasks.values()) == 10


@pytest.fixture
def waiting(monkeypatch: pytest.MonkeyPatch) -> Callable[[], None]:
    """An import that reads for as long as nobody lets it go on."""
    going, read = threading.Event(), ImportJobs._read

    def slow(jobs: ImportJobs, form: Any) -> Any:  # noqa: ANN401 - as it is
        going.wait(WAIT_S)
        return read(jobs, form)

    monkeypatch.setattr(ImportJobs, "_read", slow)
    return going.set


def test_two_imports_into_a_project_are_refused(
    desk: Desk, admin: FlaskClient, datasets: Path, waiting: Callable[[], None]
) -> None:
    """The second says whose the first is; another project's is none of its business."""
    assert datasets
    page = admin.get(f"{INTO}?entry=pets")
    first = send(admin, f"{INTO}/do?entry=pets", page)
    second = send(admin, f"{INTO}/do?entry=pets", page)
    assert (second.status_code, f"begun by {OWNER}" in words(second.text)) == (409, True)
    assert f"An import is at work, begun by {OWNER}" in words(admin.get(INTO).text)
    [link] = re.findall(r'href="([^"]+)">How far it is', admin.get(INTO).text)
    assert unescape(link) == first.headers["Location"]
    assert "Reads the source." in words(admin.get(first.headers["Location"]).text)
    assert "The import that is at work" in words(admin.get(f"/projects/{PROJECT}/setup").text)
    other = send(admin, f"{NEW}/do?entry=pets", page, title="Others")
    waiting()
    assert "10 images" in words(ended(admin, first))
    assert "10 images" in words(ended(admin, other))
    assert len(sources(desk, PROJECT)) == 10


def test_an_import_can_be_stopped(
    desk: Desk, admin: FlaskClient, datasets: Path, waiting: Callable[[], None]
) -> None:
    """Before it sends anything, too."""
    assert datasets
    answer = send(admin, f"{INTO}/do?entry=pets", admin.get(f"{INTO}?entry=pets"))
    page = admin.get(answer.headers["Location"])
    [action] = re.findall(r'action="([^"]+/stop[^"]*)"', page.text)
    assert send(admin, unescape(action), page).status_code == 303
    waiting()
    assert "It was stopped." in words(ended(admin, answer))
    assert sources(desk, PROJECT) == {}


def test_how_far_it_is_follows_from_its_pace() -> None:
    """Images a second, and the seconds that are left."""
    now = [100.0]
    pace = Pace(ImportForm(None, "pets", "", "pets", {}), lambda: now[0])
    assert pace.left_s is None
    pace("images", 0, 50)
    now[0] += 10
    pace("images", 20, 50)
    assert (pace.rate, pace.left_s) == (2.0, 15.0)
    pace.is_stopping = True
    with pytest.raises(StoppedError):
        pace("images", 21, 50)


@pytest.mark.parametrize("name", ["a\nb", '"><script>alert(1)', "مرحبا", "a&b=c#d?e", "x" * 200, "%2e%2e"])
def test_any_name_can_be_chosen_and_is_no_markup(
    desk: Desk, admin: FlaskClient, datasets: Path, name: str
) -> None:
    """Line breaks, quotes, from right to left, what an address is made of."""
    make_image(datasets / name / "cat" / "1.png")
    link = next(
        link
        for link in re.findall(r'href="([^"]+entry=[^"]+)"', admin.get(f"{INTO}?find={''}").text)
        if "pets" not in link
    )
    page = admin.get(unescape(link))
    assert "<script>alert" not in page.text
    [action] = re.findall(r'action="([^"]+/preview[^"]*)"', page.text)
    done = imported(admin, ended(admin, send(admin, unescape(action), page)))
    assert "1 image" in words(done)
    assert "<script>alert" not in done
    assert sources(desk, PROJECT) == {"cat/1.png": "cat"}


def test_many_entries_are_pages(admin: FlaskClient, datasets: Path) -> None:
    """And found by a part of their name."""
    for number in range(120):
        (datasets / f"list-{number:03}.csv").touch()
    address, seen = NEW, list[str]()
    while address:
        page = admin.get(address).text
        seen += re.findall(r"<bdi>(list-\d+\.csv)</bdi>", page)
        following = re.search(r'rel="next" href="([^"]+)"', page)
        address = unescape(following[1]) if following else ""
    assert len(seen) == len(set(seen)) == 120
    assert re.findall(r"<bdi>(list-\d+\.csv)</bdi>", admin.get(f"{NEW}?find=LIST-07").text) == [
        f"list-07{digit}.csv" for digit in range(10)
    ]


@pytest.mark.parametrize(
    "query", ["entry=../secret", "entry=%2Fetc", "entry=out", "entry=..", "entry=a%00b", "entry="]
)
def test_nothing_outside_can_be_chosen(desk: Desk, admin: FlaskClient, datasets: Path, query: str) -> None:
    """By whatever name; nothing of it is shown."""
    make_image(desk.folder / "secret" / "hush" / "1.png")
    (datasets / "out").symlink_to(desk.folder / "secret")
    assert "out" not in re.findall(r"<bdi>([^<]+)</bdi>", admin.get(INTO).text)
    page = admin.get(f"{INTO}?{query}")
    assert 'role="alert"' in page.text
    for step in ("preview", "do"):
        answer = send(admin, f"{INTO}/{step}?{query}", page)
        text = words(ended(admin, answer) if answer.status_code == 303 else answer.text)
        assert "hush" not in text
        assert re.search("the folder of datasets has no|Choose what is to be imported", text)
    answer = send(admin, f"{INTO}/preview?entry=pets", page, root="../secret")
    assert "the folder of datasets has no '../secret'" in words(ended(admin, answer))


def test_a_list_in_the_folder_leads_nowhere_else(desk: Desk, admin: FlaskClient, datasets: Path) -> None:
    """Its other images are left out, and say so."""
    make_image(desk.folder / "secret.png")
    names = [
        "pets/cat/000.png",
        "/etc/passwd",
        "../secret.png",
        "file:///etc/passwd",
        str(desk.folder / "secret.png"),
    ]
    (datasets / "list.csv").write_text("image,label\n" + "".join(f"{name},cat\n" for name in names))
    done = words(imported(admin, previewed(admin, INTO, "entry=list.csv")))
    assert "1 image" in done
    assert done.count("it lies outside of the folder of datasets") == 4
    assert sources(desk, PROJECT) == {"pets/cat/000.png": "cat"}


def sent(admin: FlaskClient, content: bytes, name: str = "list.csv") -> TestResponse:
    """The answer to a list that somebody sends."""
    return posted(admin, f"{INTO}/list", content, name, token_in(admin.get(INTO)))


def posted(client: FlaskClient, path: str, content: bytes, name: str, token: str = "") -> TestResponse:
    """The answer to a form with a file."""
    form = (
        f'--x\r\nContent-Disposition: form-data; name="csrf_token"\r\n\r\n{token}\r\n'
        f'--x\r\nContent-Disposition: form-data; name="list"; filename="{name}"\r\n\r\n'
    )
    body = form.encode() + content + b"\r\n--x--\r\n"
    return client.post(path, data=body, content_type="multipart/form-data; boundary=x")


def test_a_list_of_addresses_can_be_sent(desk: Desk, admin: FlaskClient) -> None:
    """Its images stay where they are; what is a file of this machine is left out."""
    rows = [("https://images.example/1.png", "cat"), ("s3://bucket/2.png", "dog"), ("/etc/passwd", "cat")]
    content = "".join(json.dumps({"image": name, "label": label}) + "\n" for name, label in rows)
    answer = sent(admin, content.encode(), "<b>list.jsonl")
    page = admin.get(answer.headers["Location"])
    assert "<b>list" not in page.text
    query = answer.headers["Location"].partition("?")[2]
    preview = previewed(admin, INTO, query)
    assert "Label Studio shows nothing of s3://bucket until the project has a storage" in words(preview)
    assert "/etc/passwd it is no address" in words(preview)
    imported(admin, preview)
    assert sources(desk, PROJECT) == dict(rows[:2])


def test_lists_that_are_none_are_refused(admin: FlaskClient) -> None:
    """In words; those that are too large before they are read."""
    for content, name, why in (
        (b"PK", "photos.zip", "a list is a file of"),
        (b"", "list.csv", "the list has 0 bytes"),
    ):
        answer = sent(admin, content, name)
        assert (answer.status_code, why in words(answer.text)) == (400, True)
    assert sent(admin, b"x" * (9 << 20)).status_code == 303
    assert sent(admin, b"x" * (LARGEST_LIST + (9 << 20))).status_code == 413


def test_larger_forms_are_for_admins_and_for_lists(desk: Desk, admin: FlaskClient) -> None:
    """Everybody else's are refused before they are read, and so are other forms."""
    reviewer, large = desk.signed_in(OTHER), b"x" * (9 << 20)
    for client, path in ((reviewer, f"{INTO}/list"), (desk.visitor(), f"{INTO}/list"), (admin, f"{INTO}/preview")):
        assert posted(client, path, large, "list.csv").status_code == 413, path


def test_without_a_folder_the_page_says_how_to_name_one(desk: Desk, admin: FlaskClient) -> None:
    """With the command to copy; lists of addresses can be sent all the same."""
    desk.console.imports._datasets = None
    text = words(admin.get(INTO).text)
    assert "CONSENSUS_IMPORT_DIR names the folder" in text
    assert f"consensus import FOLDER --project {PROJECT}" in text
    answer = send(admin, f"{INTO}/do?entry=pets", admin.get(INTO))
    assert "CONSENSUS_IMPORT_DIR names no folder" in words(ended(admin, answer))
    assert sent(admin, b"image,label\nhttp://x.example/1.png,cat\n").status_code == 303


@pytest.mark.parametrize(
    ("form", "why"),
    [
        ({"title": "12"}, "digits alone"),
        ({"title": "x"}, "Label Studio takes 3 to 50"),
        ({"title": "Pets", "layout": "zip"}, "that there is not"),
        ({"title": "Pets", "nested": "no"}, "that there is not"),
        ({"title": "Pets", "overlap": "-1"}, "use a whole number"),
        ({"title": "Pets", "layout": "csv"}, "pets is a folder; for the layout csv name the file"),
        ({"title": "Pets", "control": "a b", "verify": "on"}, ""),
    ],
)  # fmt: skip
def test_what_cannot_be_is_said(admin: FlaskClient, datasets: Path, form: dict[str, str], why: str) -> None:
    """In the words of the form; nothing is a fault of ours."""
    assert datasets
    answer = send(admin, f"{NEW}/preview?entry=pets", admin.get(f"{NEW}?entry=pets"), **form)
    text = words(ended(admin, answer) if answer.status_code == 303 else answer.text)
    assert why in text
    assert "internal error" not in text


def test_what_was_filled_in_can_be_changed(admin: FlaskClient, datasets: Path) -> None:
    """The form has it still."""
    assert datasets
    page = previewed(admin, NEW, title='My "pets"', layout="folders", nested="last", verify="on", control="asks")
    [link] = re.findall(r'href="([^"]+)">Change something', page)
    form = admin.get(unescape(link)).text
    for there in (
        'value="My &#34;pets&#34;"',
        "<option selected>folders",
        'value="last" selected',
        'name="verify" checked',
    ):
        assert there in form
    assert 'name="control" value="asks"' in form


def test_after_a_restart_of_the_service_the_page_goes_on(desk: Desk, admin: FlaskClient, datasets: Path) -> None:
    """Its address has the whole form; an import of another project is none of its."""
    assert datasets
    answer = send(admin, f"{NEW}/preview?entry=pets", admin.get(f"{NEW}?entry=pets"), title="Our pets")
    ended(admin, answer)
    job = answer.headers["Location"].partition("?")[0].rpartition("/")[2]
    page = admin.get(f"{INTO}/jobs/{job}?entry=pets&nested=last").text
    assert "The service was started again since" in words(page)
    assert "Our pets" not in words(page)
    assert "10 images" in words(imported(admin, page))
    assert len(sources(desk, PROJECT)) == 10
