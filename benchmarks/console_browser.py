"""What a person waits for in a browser: the first paint of pages of a large store, and the pace of review."""

import io
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import numpy as np
from console_pages import HOME, Pages
from PIL import Image
from playwright.sync_api import Browser, Page, expect, sync_playwright
from werkzeug.serving import WSGIRequestHandler, make_server

ROOT = Path(__file__).resolve().parent.parent
sys.path += [str(ROOT / "scripts"), str(ROOT / "tests"), str(ROOT / "tests" / "consensus" / "console")]

import browser as installed  # noqa: E402 - neither scripts/ nor tests/ is a package
from running_console import REVIEWER, running_console  # noqa: E402
from signed_in_browser import FLAGS  # noqa: E402

SHOWN = {"report": f"{HOME}/reports/MisClassified", "grid": f"{HOME}/grid?of=MisClassified&label=cat"}
ITEMS, ANSWERED_MS, HEIGHT = 20, 60_000, 2_400
PAINTED = "performance.getEntriesByName('first-contentful-paint')[0].startTime"
IN_SIGHT = (
    "[...document.querySelectorAll('img.picture')].filter(each => each.getBoundingClientRect().top < innerHeight)"
)
SEEN, NUMBER, NOW = f"{IN_SIGHT}.every(each => each.naturalWidth)", f"{IN_SIGHT}.length", "performance.now()"


class Quiet(WSGIRequestHandler):
    """The console's server, which writes no line for each request."""

    def log_request(self, *_: object) -> None:
        """Do nothing."""


@contextmanager
def images() -> Iterator[tuple[str, Counter[str]]]:
    """Serve a photograph at every path; yield the address, and how often each path was asked for."""
    noise = np.random.default_rng(0).integers(0, 255, (60, 80, 3), dtype=np.uint8)
    written, asked = io.BytesIO(), Counter[str]()
    Image.fromarray(noise).resize((1200, 900)).save(written, "JPEG")
    photograph = written.getvalue()

    class Answer(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            asked[self.path] += 1
            self.send_response(200)
            self.send_header("Content-Type", "image/jpeg")
            self.send_header("Content-Length", str(len(photograph)))
            self.end_headers()
            self.wfile.write(photograph)

        def log_message(self, *_: object) -> None:
            """Do nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Answer)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_address[1]}", asked
    server.shutdown()
    server.server_close()


@contextmanager
def chromium() -> Iterator[Browser]:
    """Open a browser."""
    path = installed.find()
    if path is None:
        raise SystemExit("no chromium or google-chrome on the PATH")
    with sync_playwright() as playwright:
        opened = playwright.chromium.launch(executable_path=path, args=[*FLAGS])
        yield opened
        opened.close()


def painted(pages: Pages, asked: Counter[str], n: int) -> dict[str, dict[str, float]]:
    """Open pages in a browser that has seen none of them; the server has made their small pictures before.

    Returns
    -------
    dict of str to dict
        Milliseconds until the first paint and until all pictures in sight are there (median, 95th percentile),
        and how many these are.
    """
    server = make_server("127.0.0.1", 0, pages.app, threaded=True, request_handler=Quiet)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    url, figures = f"http://127.0.0.1:{server.server_port}", dict[str, dict[str, float]]()
    cookie = {"name": "consensus_session", "value": pages.cookie(), "url": url}
    with chromium() as browser:
        for name, path in SHOWN.items():
            rows = []
            for _ in range(n + 1):
                context = browser.new_context(viewport={"width": 1280, "height": HEIGHT})
                context.add_cookies([cookie])  # type: ignore[list-item]
                page = context.new_page()
                page.goto(url + path, wait_until="load")
                patience = time.monotonic() + ANSWERED_MS / 1000
                while not page.evaluate(SEEN):
                    if time.monotonic() > patience:
                        raise SystemExit(f"not all pictures of {path} are shown")
                    page.wait_for_timeout(20)
                rows.append([float(page.evaluate(each)) for each in (PAINTED, NOW, NUMBER)])
                context.close()
            paint, seen, pictures = np.array(rows[1:]).T  # the first has them made
            figures[name] = {
                "paint": float(np.median(paint)),
                "paint_p95": float(np.percentile(paint, 95)),
                "pictures_seen": float(np.median(seen)),
                "pictures_seen_p95": float(np.percentile(seen, 95)),
                "pictures": float(pictures.max()),
            }
    server.shutdown()
    if not asked or max(asked.values()) > 1:
        raise SystemExit(f"an image was made small {max(asked.values(), default=0)} times")
    return figures


def items_a_minute() -> float:
    """Let a reviewer press a key as soon as the next item is there, on a real Label Studio; return the pace."""
    with (
        tempfile.TemporaryDirectory(prefix="review-") as folder,
        running_console(Path(folder)) as place,
        chromium() as browser,
    ):
        page = browser.new_page()
        page.goto(place.address("review/misclassified"))
        page.locator("summary").click()
        page.fill("[name=token]", place.tokens[REVIEWER])
        page.get_by_role("button", name="Sign in with the token").click()
        began = time.perf_counter()
        _work(page)
        return 60 * ITEMS / (time.perf_counter() - began)


def _work(page: Page) -> None:
    item = page.locator("article.item")
    for number in range(ITEMS):
        page.wait_for_load_state()  # the keys work once the script has begun
        name = item.get_attribute("aria-label")
        page.keyboard.press("wq"[number % 2])
        expect(page.locator(".notice")).to_contain_text(f"{name}: ", timeout=ANSWERED_MS)
