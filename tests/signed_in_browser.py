"""A browser in which the administrator of a running Label Studio has signed in."""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from playwright.sync_api import Page, expect, sync_playwright

if TYPE_CHECKING:
    from conftest import RunningLabelStudio

FLAGS = ("--no-sandbox", "--disable-gpu", "--disable-quic", "--disable-background-networking")
"""Of Chromium as root, and without what it would look for outside."""
FIRST_PAGE_MS = 60_000
"""The first page of a server takes long on a busy machine."""


@contextmanager
def signed_in(label_studio: "RunningLabelStudio", chromium_path: str) -> Iterator[Page]:
    """Open a page in a browser of its own."""
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium_path, args=[*FLAGS])
        opened = browser.new_page()
        opened.goto(f"{label_studio.url}/user/login/")
        opened.fill("input[name=email]", label_studio.email)
        opened.fill("input[name=password]", label_studio.password)
        opened.click("button[type=submit]")
        expect(opened).not_to_have_url(re.compile("login"), timeout=FIRST_PAGE_MS)
        yield opened
        browser.close()
