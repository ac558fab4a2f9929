"""Rules of auto-annotation and audits in the console."""

import re
from html import unescape
from pathlib import Path

import pytest
from flask.testing import FlaskClient
from in_memory_label_studio import region
from made_desk import Desk, fields, send, words
from made_projects import OWNER, PROJECT

from consensus.assist.auto_rules import AutoFile, read_auto
from consensus.projects.run import run
from consensus.settings import ProjectConfig

RULES = f"/projects/{PROJECT}/assist/rules"
TEXT = "# ours\naccept_above = 0.8  # of all\n\n[labels.dog]\naccept_above = 0.9\n"
FORM = {"source": "suggestions", "accept_above": "0.6", "review_below": "0.1", "audit_share": "0.05"}
LINES = {"label": ["cat", "dog", "owl"], "accept": ["", "0.9", ""], "review": ["", "", "0.3"]}


@pytest.fixture(autouse=True)
def patient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Pages that wait until everything is read."""
    monkeypatch.setattr("consensus.console.rules.PATIENCE_S", 20.0)
    monkeypatch.setattr("consensus.console.assist.PATIENCE_S", 20.0)


@pytest.fixture
def file(desk: Desk, tmp_path: Path) -> Path:
    """A rules file that the settings name."""
    path = tmp_path / "rules" / "auto.toml"
    path.parent.mkdir()
    path.write_text(TEXT)
    object.__setattr__(desk.service, "config", lambda _: ProjectConfig(auto=path))
    return path


def accepted(page: str) -> int:
    """How many would be annotated."""
    match = re.search(r"([\d,]+) would be annotated", words(page))
    assert match, words(page)
    return int(match[1])


def test_a_page_shows_what_the_rules_would_do(desk: Desk, admin: FlaskClient, file: Path) -> None:
    """By label, and nothing is written."""
    before = desk.made.state()
    page = admin.get(RULES).text
    assert "What these rules would do now" in words(page)
    assert accepted(page) == sum(
        score > line
        for score, line in zip([1 - 0.05 * number for number in range(10)], [0.8, 0.9] * 5, strict=True)
    )
    assert str(file) in words(page)
    assert desk.made.state() == before
    admin.get(RULES)
    assert len(desk.service.readings.jobs(PROJECT)) == 1


def test_changed_rules_are_counted_before_they_are_saved(admin: FlaskClient, file: Path) -> None:
    """The form holds what was tried, the file what it held; then comments are kept."""
    page = admin.get(RULES)
    tried = send(admin, RULES, page, action="try", **FORM, **LINES)
    shown = admin.get(tried.headers["Location"])
    assert "What the changed rules would do now" in words(shown.text)
    assert accepted(shown.text) > accepted(page.text)
    assert file.read_text() == TEXT
    digest = fields(shown.text)["digest"][0]
    saved = send(admin, RULES, shown, action="save", digest=digest, **FORM, **LINES)
    assert saved.status_code == 303
    assert "auto.toml is written" in words(admin.get(RULES).text)
    assert file.read_text().startswith("# ours\naccept_above = 0.6  # of all\n")
    assert read_auto(file) == AutoFile.model_validate(
        {"accept_above": 0.6, "review_below": 0.1,
         "labels": {"dog": {"accept_above": 0.9}, "owl": {"review_below": 0.3}}}
    )  # fmt: skip


def test_what_somebody_else_has_changed_is_not_written_over(admin: FlaskClient, file: Path) -> None:
    """The page says so."""
    page = admin.get(RULES)
    file.write_text("accept_above = 0.99\n")
    saved = send(admin, RULES, page, action="save", digest=fields(page.text)["digest"][0], **FORM)
    assert (saved.status_code, "was changed since" in words(saved.text)) == (409, True)
    assert file.read_text() == "accept_above = 0.99\n"


@pytest.mark.parametrize(
    ("changed", "status", "message"),
    [
        ({"accept_above": "2"}, 400, "accept_above"),
        ({"review_below": "0.9"}, 400, "review_below 0.9 is above accept_above 0.6"),
        ({"source": "nothing"}, 400, "source"),
        ({"source": "prediction"}, 400, "names a version"),
        ({"label": "mouse", "accept": "0.5", "review": ""}, 400, "does not offer"),
    ],
)
def test_impossible_rules_are_refused(
    admin: FlaskClient, file: Path, changed: dict[str, str], status: int, message: str
) -> None:
    """Nothing is written."""
    page = admin.get(RULES)
    form = FORM | changed
    saved = send(admin, RULES, page, action="save", digest=fields(page.text)["digest"][0], **form)
    assert (saved.status_code, message in words(saved.text)) == (status, True), words(saved.text)
    assert file.read_text() == TEXT


@pytest.mark.usefixtures("file")
def test_what_cannot_be_written_is_shown_as_lines(admin: FlaskClient, monkeypatch: pytest.MonkeyPatch) -> None:
    """With comments; the button to save is not there, and a form that is sent all the same is refused."""
    monkeypatch.setattr("consensus.console.rules.os.access", lambda *_: False)
    page = admin.get(RULES)
    assert 'value="save"' not in page.text
    assert TEXT in unescape(page.text)
    assert (
        send(admin, RULES, page, action="save", digest=fields(page.text)["digest"][0], **FORM).status_code == 409
    )


def test_without_a_file_rules_can_be_tried(admin: FlaskClient) -> None:
    """The page says how it is named, and what to put into it."""
    page = admin.get(RULES)
    assert "No file is named yet" in words(page.text)
    shown = admin.get(send(admin, RULES, page, action="try", **FORM).headers["Location"])
    assert accepted(shown.text) > 0
    assert "accept_above = 0.6" in shown.text


def test_a_broken_file_is_named(admin: FlaskClient, file: Path) -> None:
    """And not written over."""
    file.write_text("accept_above = ")
    page = admin.get(RULES)
    assert (page.status_code, "is no TOML" in words(page.text), 'value="save"' in page.text) == (200, True, False)


def test_audits_measure_what_was_accepted(desk: Desk, admin: FlaskClient) -> None:
    """With an alarm where less was right than was asked for."""
    address = f"/projects/{PROJECT}/assist/audits"
    assert "Nothing has been audited" in words(admin.get(address).text)
    page = admin.get(f"/projects/{PROJECT}/assist?precision=0.5").text
    start = page.index('/act"')
    form = fields(page[: page.index("</form>", start)]) | {"of_audit_share": "1"}
    asked = admin.post(f"/projects/{PROJECT}/act", data=form)
    desk.ended(admin.post(f"/projects/{PROJECT}/do", data=fields(asked.text)))
    text = words(admin.get(address).text)
    assert "not known: nobody has judged any yet" in text
    for task in desk.made.tasks[20:]:
        for account in (5, 6, 7):
            desk.made.server.annotate(task, [region("kind", "owl")], completed_by=account)
    run(desk.made.connected(), desk.store, ProjectConfig(), PROJECT, now=desk.made.now)
    text = words(admin.get(address).text)
    assert "is below its target" in text
    assert "missed" in text
    assert OWNER in text
