"""What is wrong with how a page looks."""

from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Page

NO_PICTURE = "a picture that is not there"


def faults_of(page: Page) -> list[str]:
    """Return what is wrong with how a page looks, and with whom it leaves out."""
    wider = page.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth")
    faults = [f"wider than the window by {wider} pixels"] if wider > 0 else []
    pictures = page.locator("img").evaluate_all("all => all.filter((each) => each.complete && !each.naturalWidth)")
    faults += [NO_PICTURE] if pictures else []
    wide = page.evaluate("innerWidth > 600")
    for violation in Axe().run(page).response["violations"] if wide else []:
        if violation["impact"] in ("serious", "critical"):
            places = [node["html"][:200] for node in violation["nodes"][:3]]
            faults.append(f"{violation['id']}: {violation['help']}: {places}")
    return faults
