"""The console in a browser, before a real Label Studio.

With `SCREENSHOTS=docs` in the environment the pictures of docs/console.md are made anew.
"""

import io
import os
import re
import sys
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import httpx
import pytest
from administrator import Administrator
from PIL import Image
from playwright.sync_api import Browser, Page, Route, expect

sys.path.insert(0, str(Path(__file__).parent))  # where the running console is
from page_faults import faults_of
from running_console import (
    EACH,
    EMAILS,
    KINDS,
    MODEL,
    REVIEWER,
    UNVOTED,
    WRONG,
    Place,
    running_console,
    trained_backend,
)

from common.contract import REPORT_NAMES

pytestmark = pytest.mark.server

WIDTHS = {1280: 800, 390: 800}
BY_KEYS = 20
ENDED_MS = 60_000
expect.set_options(timeout=ENDED_MS)
SCREENSHOTS = Path(os.environ["SCREENSHOTS"]).resolve() if os.environ.get("SCREENSHOTS") else None
LARGEST_SCREENSHOT = 150_000
"""Bytes."""


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    """Both servers, after a run."""
    with running_console(tmp_path_factory.mktemp("console")) as here:
        yield here


@pytest.fixture(scope="module")
def session(place: Place, browser: Browser) -> Any:  # noqa: ANN401 - playwright's
    """What a browser keeps of the administrator, who has signed in by password."""
    context = browser.new_context()
    page = context.new_page()
    page.goto(place.address())
    page.fill("[name=email]", place.account.email)
    page.fill("[name=password]", place.account.password)
    page.press("[name=password]", "Enter")
    expect(page).to_have_url(place.address())
    state = context.storage_state()
    context.close()
    return state


@contextmanager
def opened(browser: Browser, **options: Any) -> Iterator[Page]:  # noqa: ANN401 - playwright's
    """Open a page in a context of its own; nothing may go wrong in it, in its scripts or what it loads."""
    context = browser.new_context(**{"reduced_motion": "reduce"} | options)
    page, problems = context.new_page(), list[str]()
    page.on("console", lambda line: problems.append(line.text) if line.type in ("error", "warning") else None)
    page.on("pageerror", lambda error: problems.append(str(error)))
    yield page
    context.close()
    assert problems == []


@pytest.fixture
def admin(browser: Browser, session: Any) -> Iterator[Page]:  # noqa: ANN401 - playwright's
    """The administrator's page."""
    with opened(browser, storage_state=session) as page:
        yield page


def signed_in_by_token(page: Page, place: Place, token: str, path: str = "") -> None:
    """Ask for a page of the project, and sign in on the way."""
    page.goto(place.address(path))
    page.locator("summary").click()
    page.fill("[name=token]", token)
    page.get_by_role("button", name="Sign in with the token").click()


def test_a_wrong_password_is_refused(place: Place, browser: Browser) -> None:
    """In a sentence, on the page where one types it again; a page of the project is not shown."""
    with browser.new_context() as context:
        page = context.new_page()
        page.goto(place.address("reports"))
        page.fill("[name=email]", place.account.email)
        page.fill("[name=password]", "another-password")
        page.press("[name=password]", "Enter")
        expect(page.get_by_role("alert")).to_contain_text("the password or token is wrong")
        page.goto(place.address("reports"))
        expect(page.get_by_role("heading", name="Sign in")).to_be_visible()


def test_an_annotator_sees_no_reports(place: Place, browser: Browser) -> None:
    """The account of Label Studio is right, and its role too small."""
    with browser.new_context() as context:
        page = context.new_page()
        signed_in_by_token(page, place, place.tokens[EMAILS[0]], "reports")
        expect(page.locator("main")).to_contain_text("may not see this page")
        answer = page.goto(place.address("grid"))
        assert answer is not None
        assert answer.status == httpx.codes.FORBIDDEN


@pytest.fixture(scope="module")
def addresses(place: Place, browser: Browser, session: Any) -> list[str]:  # noqa: ANN401 - playwright's
    """The addresses of all pages that links lead to, one of each kind, one of each report and a grid of one."""
    seen: dict[str, str] = {}
    waiting = [place.address(), place.address(f"grid?of=MisClassified&label={KINDS[0]}")]
    waiting += [place.address(f"reports/{name}") for name in REPORT_NAMES]
    with opened(browser, storage_state=session) as page:
        while waiting:
            address = waiting.pop(0)
            if _kind_of(address) in seen or "html" not in page.request.head(address).headers["content-type"]:
                continue
            seen[_kind_of(address)] = address
            page.goto(address)
            links = page.locator("a[href]").evaluate_all("all => all.map((each) => each.href)")
            waiting += [link.partition("#")[0] for link in links if link.startswith(place.address())]
    kinds = [address.removeprefix(place.address()) for address in seen.values()]
    assert len(kinds) > len(REPORT_NAMES) + 12, kinds
    return list(seen.values())


def _kind_of(address: str) -> str:
    """Return what all addresses have in common that lead to pages of the same kind."""
    url = urlsplit(address)
    names = re.sub(r"[^/]*[\d@%][^/]*", "…", url.path)
    return f"{names} {sorted(parse_qs(url.query)) if 'grid' in url.path else ''}"


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", WIDTHS)
def test_each_page_is_whole(
    place: Place,
    addresses: list[str],
    browser: Browser,
    session: Any,  # noqa: ANN401 - playwright's
    scheme: str,
    width: int,
) -> None:
    """Without an error or a breach of its policy, no wider than the window; on a large one axe looks as well."""
    size = {"width": width, "height": WIDTHS[width]}
    faults: dict[str, list[str]] = {}
    with opened(browser, storage_state=session, color_scheme=scheme, viewport=size) as page:
        for address in addresses:
            answer = page.goto(address)
            assert answer is not None
            assert answer.ok, address
            faults[address] = faults_of(page)
    with opened(browser, color_scheme=scheme, viewport=size) as page:
        page.goto(place.address())
        faults["sign-in"] = faults_of(page)
    assert not any(faults.values()), faults


@pytest.mark.skipif(SCREENSHOTS is None, reason="SCREENSHOTS names no folder")
def test_screenshots(place: Place, browser: Browser, session: Any) -> None:  # noqa: ANN401
    """The pictures of the documentation, before anything is done."""
    assert SCREENSHOTS is not None
    with opened(browser, storage_state=session, viewport={"width": 1200, "height": 760}) as page:
        for name, path in {
            "overview": "",
            "reports": "reports/MisClassified",
            "grid": f"grid?of=MisClassified&label={KINDS[0]}",
            "review": "review/misclassified",
            "assist": "assist?above=0.75",
            "people": "people",
        }.items():
            page.goto(place.address(path), wait_until="networkidle")
            file = SCREENSHOTS / f"console-{name}.png"
            with Image.open(io.BytesIO(page.screenshot())) as picture:
                picture.convert("RGB").quantize(256, dither=Image.Dither.NONE).save(file, optimize=True)
            assert file.stat().st_size < LARGEST_SCREENSHOT


def test_rows_are_chosen_with_the_mouse(place: Place, admin: Page) -> None:
    """By a click, a range with shift, all, and the inverse; the number is said, and the focus stays."""
    admin.goto(place.address(f"grid?of=MisClassified&label={KINDS[0]}"))
    boxes, count = admin.locator("input[name=item]"), admin.locator("[data-count]")
    expect(boxes).to_have_count(WRONG)
    boxes.nth(1).click()
    expect(count).to_have_text("1 chosen")
    boxes.nth(4).click(modifiers=["Shift"])
    expect(count).to_have_text("4 chosen")
    expect(boxes.nth(4)).to_be_focused()
    admin.get_by_role("button", name="Invert").click()
    expect(count).to_have_text(f"{WRONG - 4} chosen")
    expect(admin.get_by_role("button", name="Invert")).to_be_focused()
    admin.get_by_label("all of this page").click()
    expect(count).to_have_text(f"{WRONG} chosen")
    admin.get_by_label("all of this page").click()
    expect(count).to_have_text("")
    admin.locator(".tile .picture").first.click()
    expect(count).to_have_text("1 chosen")
    admin.locator(".tile .picture").nth(2).click(modifiers=["Shift"])
    expect(count).to_have_text("3 chosen")


def test_what_a_page_waited_for_can_be_chosen(place: Place, admin: Page) -> None:
    """As if it had been there from the beginning."""
    address = place.address(f"grid?of=MisClassified&label={KINDS[0]}")

    def without_images(route: Route) -> None:
        """Answer as while something is read."""
        text = route.fetch().text()
        start, end = text.index('<div id="grid">'), text.rindex("</main>")
        waiting = (
            f'<div id="grid" hx-get="{address}" hx-trigger="every 1s" hx-select="#grid" hx-swap="morph:outerHTML">'
        )
        route.fulfill(body=f"{text[:start]}{waiting}</div>{text[end:]}", content_type="text/html")

    admin.route(address, without_images, times=1)
    admin.goto(address)
    expect(admin.locator("input[name=item]")).to_have_count(WRONG)
    admin.get_by_role("button", name="Invert").click()
    expect(admin.locator("[data-count]")).to_have_text(f"{WRONG} chosen")


def test_what_is_shown_is_written_and_undone(place: Place, admin: Page) -> None:
    """Suggestions chosen in the grid: as many annotations as the preview says, and none of them after the undo."""
    before = place.n_annotations()
    admin.goto(place.address(f"grid?label={KINDS[1]}"))
    n = UNVOTED
    boxes = admin.locator("input[name=item]")
    expect(boxes).to_have_count(n)
    admin.get_by_label("all of this page").click()
    admin.get_by_role("button", name="Accept").click()
    expect(admin.locator(".lead")).to_contain_text(f"{n} of {n} tasks have a suggestion")
    assert faults_of(admin) == []
    admin.get_by_role("button", name="Do it").click()
    back = admin.get_by_role("link", name="Back to where you were")
    expect(back).to_be_focused()
    admin.get_by_text(f"{n} written").wait_for(timeout=ENDED_MS)
    expect(back).to_be_focused()
    assert place.n_annotations() == before + n
    assert faults_of(admin) == []
    admin.get_by_role("button", name="Undo").click()
    expect(admin.locator("main")).to_contain_text(f"{n} would be taken back")
    assert faults_of(admin) == []
    admin.get_by_role("button", name="Take it back").click()
    admin.get_by_text(f"{n} taken back").wait_for(timeout=ENDED_MS)
    assert place.n_annotations() == before
    admin.get_by_role("link", name="Back to where you were").click()
    expect(boxes).to_have_count(n)


def test_images_that_look_alike(place: Place, admin: Page, tmp_path: Path) -> None:
    """Clusters of the ML backend: one gets a label, which is taken back; annotators are served as before."""
    before, stream = place.n_annotations(), stream_of(place)
    with trained_backend(place, tmp_path / "backend"):
        admin.goto(place.address("grid?of=clusters"))
        expect(admin.locator("tbody tr").first).to_be_visible()
        assert faults_of(admin) == []
        admin.locator("tbody th a").first.click()
        boxes = admin.locator("input[name=item]")
        n = boxes.count()
        assert n > 1
        assert faults_of(admin) == []
        admin.get_by_label("all of this page").click()
        expect(admin.locator("[data-count]")).to_have_text(f"{n} chosen")
        admin.get_by_role("button", name="Set it").click()
        admin.get_by_role("button", name="Do it").click()
        admin.get_by_text(f"{n} written").wait_for(timeout=ENDED_MS)
        admin.get_by_role("link", name="Back to where you were").click()
        last = admin.get_by_role("region", name="Your last action")
        expect(last).to_contain_text(f"{n} items")
        assert faults_of(admin) == []
        assert place.n_annotations() == before + n
        last.get_by_role("button", name="Undo").click()
        admin.get_by_role("button", name="Take it back").click()
        admin.get_by_text(f"{n} taken back").wait_for(timeout=ENDED_MS)
        admin.get_by_role("link", name="Back to where you were").click()
        expect(boxes).to_have_count(n)
        expect(last).to_have_count(0)
        assert place.n_annotations() == before
        assert stream_of(place) == stream
        rows = [row for task in place.administrator.whole_tasks(place.project) for row in task["predictions"]]
        assert {row.get("cluster") for row in rows} == {None}


def stream_of(place: Place) -> tuple[object, list[object]]:
    """What the label stream shows an annotator next: the task, and the versions of its suggestions."""
    with Administrator(place.administrator.url, place.tokens[EMAILS[0]]) as annotator:
        shown = annotator.next_task(place.project)
    return shown["id"], [row["model_version"] for row in shown["predictions"]]


def test_the_slider_shows_what_accept_writes(place: Place, admin: Page) -> None:
    """Moved by keys, it counts at once; as many annotations are written, and none of them after the undo."""
    before, lowest = place.n_annotations(), 0.75
    surer = [
        row["score"] > lowest
        for task in place.administrator.whole_tasks(place.project)
        for row in task["predictions"]
        if row["model_version"] == MODEL and not task["annotations"]
    ]
    n = sum(surer)
    assert 0 < n < len(surer)
    admin.goto(place.address("assist?above=0.85"))
    slider = admin.get_by_role("slider", name="Score above")
    slider.focus()
    for _ in range(20):  # by half a hundredth each
        admin.keyboard.press("ArrowLeft")
    expect(admin.locator("[name=above]")).to_have_value(str(lowest))
    accept = admin.get_by_role("button", name=f"Accept {n}", exact=True)
    expect(accept).to_be_visible()
    expect(admin.get_by_role("status")).to_contain_text(f"{n} of {len(surer)} open suggestions would be accepted")
    expect(slider).to_be_focused()
    accept.click()
    expect(admin.locator(".lead")).to_contain_text(f"{n} tasks have a suggestion above {lowest}")
    admin.get_by_role("button", name="Do it").click()
    admin.get_by_text(f"{n} written").wait_for(timeout=ENDED_MS)
    assert place.n_annotations() == before + n
    admin.get_by_role("button", name="Undo").click()
    admin.get_by_role("button", name="Take it back").click()
    admin.get_by_text(f"{n} taken back").wait_for(timeout=ENDED_MS)
    assert place.n_annotations() == before


def test_all_that_match_wait_for_review_and_no_more(place: Place, admin: Page) -> None:
    """The wrong labels of one annotator, by task: as many as the page counts, as one batch, which is undone."""
    admin.goto(place.address("reports/MisClassified"))
    admin.get_by_label("Voted by").fill(EMAILS[0])
    admin.get_by_label("Sort").select_option("by task")
    admin.get_by_role("button", name="Show").click()
    expect(admin).to_have_url(re.compile(r"annotator=annotator1.*sort=task"))
    boxes = admin.locator("input[name=item]")
    tasks = boxes.evaluate_all("all => all.map((each) => parseInt(each.value))")
    assert tasks == sorted(tasks)
    assert tasks
    with admin.expect_download() as download:
        admin.get_by_role("link", name="CSV").click()
    assert len(download.value.path().read_text().splitlines()) == len(tasks) + 1
    admin.locator("summary", has_text="With all that match").click()
    assert faults_of(admin) == []
    admin.get_by_label("With all that match").get_by_role("button", name="Send to review").click()
    expect(admin.locator(".lead")).to_have_text(f"{len(tasks)} tasks wait for a reviewer.")
    admin.get_by_role("button", name="Do it").click()
    admin.get_by_text(f"{len(tasks)} written").wait_for(timeout=ENDED_MS)
    admin.goto(place.address("review"))
    expect(admin.get_by_role("link", name="pending")).to_contain_text(str(len(tasks)))
    admin.goto(place.address("history/batches"))
    expect(admin.locator("tbody tr").first).to_contain_text("sent to review", ignore_case=True)
    admin.get_by_role("button", name="Undo").first.click()
    expect(admin.locator("main")).to_contain_text(f"{len(tasks)} would be taken back")
    admin.get_by_role("button", name="Take it back").click()
    admin.get_by_text(f"{len(tasks)} taken back").wait_for(timeout=ENDED_MS)


def test_without_scripts(place: Place, browser: Browser) -> None:
    """Signing in, choosing rows of a report, what it would do, doing it, waiting, and undoing."""
    before = place.n_annotations()
    with opened(browser, java_script_enabled=False) as page:
        signed_in_by_token(page, place, place.account.token, "reports/MisClassified")
        page.locator("input[name=item]").first.check()
        page.get_by_role("button", name="Accept what is proposed").click()
        expect(page.locator(".lead")).to_contain_text("1 of 1 tasks have a wrong given label")
        page.get_by_role("button", name="Do it").click()
        page.get_by_text("1 written").wait_for(timeout=ENDED_MS)
        assert place.n_annotations() == before + 1
        page.get_by_role("button", name="Undo").click()
        page.get_by_role("button", name="Take it back").click()
        page.get_by_text("1 taken back").wait_for(timeout=ENDED_MS)
        assert place.n_annotations() == before
        page.get_by_role("link", name="Back to where you were").click()
        page.get_by_role("navigation", name="Pages of the project").get_by_role("link", name="Review").click()
        page.get_by_role("link", name=re.compile("misclassified")).click()
        page.get_by_role("link", name="Skip").click()
        page.get_by_role("button", name="Sign out").click()
        expect(page.get_by_role("heading", name="Sign in")).to_be_visible()


def test_a_reviewer_works_by_keyboard_alone(place: Place, browser: Browser) -> None:
    """Twenty items: taken, kept, chosen by number, skipped, and one taken back."""
    before = place.n_annotations()
    with opened(browser) as page:
        signed_in_by_token(page, place, place.tokens[REVIEWER], "review/misclassified")
        item = page.locator("article.item")
        for number in range(BY_KEYS):
            page.wait_for_load_state()  # the keys work once the script has begun
            name = item.get_attribute("aria-label")
            page.keyboard.press(("w", "q", "2")[number % 3])
            expect(page.locator(".notice")).to_contain_text(f"{name}: ", timeout=ENDED_MS)
        assert place.n_annotations() == before + BY_KEYS
        page.wait_for_load_state()
        page.keyboard.press("z")
        expect(page.locator(".notice")).to_contain_text("Taken back.")
        assert place.n_annotations() == before + BY_KEYS - 1
        page.wait_for_load_state()
        first = item.get_attribute("aria-label")
        page.keyboard.press("s")
        expect(item).not_to_have_attribute("aria-label", str(first))
        page.wait_for_load_state()
        page.keyboard.press("?")
        expect(page.locator("details.keys")).to_have_attribute("open", "")


def test_annotators_see_nothing_of_it(place: Place) -> None:
    """What their label stream shows next has suggestions of the model at most."""
    versions = {
        row["model_version"]
        for task in place.administrator.whole_tasks(place.project)
        for row in task["predictions"]
    }
    assert any(version.startswith("consensus/") for version in versions), versions
    with Administrator(place.administrator.url, place.tokens[EMAILS[0]]) as annotator:
        shown = annotator.next_task(place.project)
    assert {row["model_version"] for row in shown["predictions"]} <= {MODEL}
    assert "consensus" not in str(shown["data"])


def test_images_are_imported_and_the_dataset_is_taken_away(place: Place, browser: Browser) -> None:
    """Chosen, shown, imported with progress, seen in Label Studio, and exported after its run."""
    with opened(browser) as admin:
        signed_in_by_token(admin, place, place.account.token, "setup")
        admin.get_by_role("link", name="or into a new one").click()
        assert faults_of(admin) == []
        admin.get_by_role("link", name="shapes").click()
        admin.get_by_label("Title").fill("More shapes")
        assert faults_of(admin) == []
        admin.get_by_role("button", name="Preview").click()
        lead = admin.locator(".lead")
        expect(lead).to_contain_text(f"{len(KINDS) * EACH} images")
        expect(lead).to_contain_text("would be imported into a new project, More shapes")
        assert faults_of(admin) == []
        assert "More shapes" not in place.administrator.project_titles().values()
        admin.get_by_role("button", name="Import").click()
        expect(lead).to_contain_text("imported into project")
        assert faults_of(admin) == []
        project = next(
            number for number, title in place.administrator.project_titles().items() if title == "More shapes"
        )
        data = [row["data"] for row in place.administrator.whole_tasks(project)]
        assert {row["source"]: row["given"] for row in data} == {
            f"{folder.name}/{path.name}": folder.name
            for folder in (place.datasets / "shapes").iterdir()
            for path in folder.iterdir()
        }
        admin.get_by_role("link", name="To the overview").click()  # once its first run has ended
        expect(admin.get_by_role("heading", name="What it cost")).to_be_visible()
        admin.get_by_role("link", name="Set-up", exact=True).click()
        admin.get_by_role("button", name="Export the labels").click()
        with admin.expect_download() as download:
            admin.get_by_role("link", name="Download the dataset").click()
        with zipfile.ZipFile(download.value.path()) as archive:
            assert {"README.md", "labels.csv", "left-out.csv"} <= {*archive.namelist()}
