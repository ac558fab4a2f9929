"""Whether the parts fit together."""

import json
import re
import time
from html import unescape

import httpx
import pytest
from flask.testing import FlaskClient
from made_desk import SETTINGS, Desk, fields, send, streamed, words
from made_projects import OWNER, PROJECT
from werkzeug.test import TestResponse

from common.errors import LabelStudioError
from consensus.serving.ml_backend import MLBackend
from consensus.transfer.journal import Journal, journal_file

HOME = f"/projects/{PROJECT}/"
SETUP = f"{HOME}setup"


def checked(desk: Desk, admin: FlaskClient) -> str:
    """The words of the page after its checks."""
    answer = send(admin, f"{SETUP}/check", admin.get(SETUP))
    assert answer.headers["Location"] == SETUP
    pause = time.monotonic() + 20
    while any(not job.finished_at for job in desk.service.background.jobs(PROJECT)):
        assert time.monotonic() < pause
        time.sleep(0.02)
    return words(admin.get(SETUP).text)


def test_checks_are_those_of_the_doctor(desk: Desk, admin: FlaskClient) -> None:
    """With the connections that Label Studio has; before, that nothing was checked."""
    assert "Nothing was checked since the service began" in words(admin.get(SETUP).text)
    desk.made.server.connect("http://backend:9090", "guesses", state="CO", model_version="v3")
    desk.made.server.connect("http://other:9090", "old", state="ER", error_message="Traceback\n  x\nno answer")
    text = checked(desk, admin)
    assert re.search(r"just now \(.* UTC\): 1 to do, \d+ to consider, \d+ fine", text)
    assert "the key lets us in" in text
    assert "kind asks for cat, dog, owl" in text
    assert "guesses at http://backend:9090 answers with v3" in text
    assert "old at http://other:9090: no answer because it suggests nothing" in text
    assert f"Remedy: ml-backend doctor --project {PROJECT}" in text
    assert "Traceback" not in text


def test_the_ml_backend_says_what_its_own_doctor_finds(desk: Desk, admin: FlaskClient) -> None:
    """With what helps; whatever stands in it is text."""
    finding = {
        "about": "project 7",
        "project": PROJECT,
        "check": "webhook",
        "level": "problem",
        "seen": "no webhook <b>leads</b> here\x1b[31m",
        "why": "nothing is learned",
        "remedy": "ml-backend connect --project 7 --url http://backend:9090",
    }
    desk.backend.findings = [finding]
    text = checked(desk, admin)
    assert "no webhook <b>leads</b> here [31m because nothing is learned" in text
    assert "Remedy: ml-backend connect --project 7 --url http://backend:9090" in text
    [asked] = [request for request in desk.backend.requests if request.url.path == "/doctor"]
    assert asked.url.params["project"] == str(PROJECT)


@pytest.mark.parametrize(
    ("answer", "seen"),
    [
        (
            {"findings": [{"level": "bad", "seen": "x", "why": "", "remedy": "", "check": "y"}]},
            "no findings",
        ),
        ({"findings": [7]}, "no findings"),
        ({"findings": 7}, "no findings"),
        ({"findings": [{"level": "fine", "seen": ["x"], "why": "", "remedy": "", "check": "y"}]}, "no findings"),
        ({}, "no findings"),
        (None, "cannot be reached"),
    ],
)
def test_an_ml_backend_that_cannot_be_understood_is_a_finding(
    desk: Desk, admin: FlaskClient, answer: object, seen: str
) -> None:
    """The other checks are there all the same."""

    def answered(request: httpx.Request) -> httpx.Response:
        if answer is None:
            raise httpx.ConnectError("refused", request=request)
        return streamed(200, answer)

    desk.backend.answer = answered
    text = checked(desk, admin)
    assert seen in text
    assert "what it finds itself is not known" in text
    assert "the key lets us in" in text


def test_where_no_ml_backend_is_named_the_setting_is(desk: Desk, admin: FlaskClient) -> None:
    """It is something to consider, and no more."""
    object.__setattr__(desk.service, "ml_backend", MLBackend())
    text = checked(desk, admin)
    assert "set CONSENSUS_ML_BACKEND_URL" in text
    assert " 0 to do" in text


def test_without_a_backend_the_command_that_connects_one_is_named(desk: Desk, admin: FlaskClient) -> None:
    """It is nothing wrong."""
    text = checked(desk, admin)
    assert (
        f"no ML backend is connected because nothing is suggested Remedy: ml-backend connect --project {PROJECT}"
        in text
    )
    assert " 0 to do" in text


def test_a_label_studio_that_does_not_answer_is_a_finding(
    desk: Desk, admin: FlaskClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The page and the other checks are there all the same."""
    monkeypatch.setattr(desk.made, "connected", unreachable)
    text = checked(desk, admin)
    assert "Label Studio is asleep" in text
    assert "start Label Studio" in text
    assert "its tables are of this version" in text


def unreachable() -> None:
    """As Label Studio that is not there."""
    raise LabelStudioError("Label Studio is asleep")


@pytest.mark.parametrize(("ended", "state"), [(True, "ended"), (False, "at work")])
def test_the_last_import_is_shown(desk: Desk, admin: FlaskClient, *, ended: bool, state: str) -> None:
    """Where this account made it; another project's is not."""
    now = time.time()
    for project, source in ((PROJECT, "/photos"), (8, "/secrets")):
        with Journal(journal_file(desk.folder / "imports", "http://ls", project, "")) as journal:
            journal.begin("http://ls", project, "Pets", source, 200, now - 10)
            journal.progress(sent=100, earlier=20, left_out=5, now=now, ended=ended)
    text = words(admin.get(SETUP).text)
    assert f"The last import ({state}) was of /photos" in text
    assert "100 of 200 images sent, 20 were there before, 5 left out" in text
    assert "/secrets" not in text


def test_the_overview_leads_to_the_health_of_every_part(desk: Desk, admin: FlaskClient) -> None:
    """The store, Label Studio, its ML backends, and whether runs come when they are due."""
    assert f'href="{HOME}health"' in admin.get(HOME).text
    desk.made.server.connect("http://backend:9090", "guesses", state="CO", model_version="v3")
    text = words(admin.get(f"{HOME}health").text)
    assert "Store fine answers" in text
    assert f"Label Studio fine answers, as {OWNER}" in text
    assert "ML backend fine guesses at http://backend:9090 answers with v3" in text
    assert re.search(r"Runs look finished \d+ days ago : one was due at 2026-01-31 13:30 UTC", text)
    assert "`consensus schedule` is at work" in text


def test_health_is_shown_without_label_studio(
    desk: Desk, admin: FlaskClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is asked once in a while, not by every page."""
    calls = list[int]()
    admin.get(HOME)  # who has signed in, and titles, are asked for once in a while too

    def counted() -> None:
        calls.append(1)
        unreachable()

    monkeypatch.setattr(desk.made, "connected", counted)
    for _ in range(3):
        assert "Label Studio to do Label Studio is asleep" in words(admin.get(f"{HOME}health").text)
    assert len(calls) == 1


def filled(page: str) -> dict[str, object]:
    """The form of the settings as a browser would send it."""
    form = page[page.index('class="settings"') : page.index("Preview the change")]
    sent: dict[str, object] = {
        unescape(name): unescape(value)
        for name, value in re.findall(r'<input (?:type="\w+" )?name="([^"]+)"[^>]* value="([^"]*)"', form)
    }
    sent |= {unescape(name): "on" for name in re.findall(r'type="checkbox" name="([^"]+)" checked', form)}
    sent |= {
        unescape(name): unescape(text)
        for name, text in re.findall(r'<textarea name="([^"]+)"[^>]*>([^<]*)<', form)
    }
    for name, options in re.findall(r'<select name="([^"]+)">(.*?)</select>', form):
        chosen = re.search(r"<option selected>([^<]*)", options)
        sent[unescape(name)] = chosen[1] if chosen else ""
    return sent


def previewed(admin: FlaskClient, **changes: object) -> TestResponse:
    """The page that shows a change; the names of fields are dotted."""
    page = admin.get(SETUP)
    form = filled(page.text) | {json.dumps(name.split(".")): value for name, value in changes.items()}
    return send(admin, f"{SETUP}/settings", page, **form)


def test_a_form_that_is_sent_as_it_is_changes_nothing(admin: FlaskClient) -> None:
    """Each field shows what holds."""
    assert "Nothing is changed" in words(previewed(admin).text)


def test_a_change_is_shown_then_written_and_nothing_else_is_lost(desk: Desk, admin: FlaskClient) -> None:
    """The section of the project gets it; the rest of the file stays byte for byte."""
    before = desk.settings_file.read_text()
    page = previewed(admin, **{"policy": "dawid-skene", "review.gold_share": "0.25", "controls.kind.given": "was"})
    text = words(page.text)
    assert "Policy policy default dawid-skene" in text
    assert "Key of the given label controls.kind.given nothing was" in text
    assert "The next run applies it" in text
    assert desk.settings_file.read_text() == before
    answer = admin.post(f"{SETUP}/settings/write", data=fields(page.text))
    assert answer.headers["Location"] == SETUP
    assert desk.settings_file.read_text().startswith(before)
    config = desk.service.config(PROJECT)
    assert (config.policy, config.review.gold_share, config.review.spot_share) == ("dawid-skene", 0.25, 0.02)
    assert (config.controls["kind"].given, config.machines) == ("was", ["bot@example.com"])
    assert desk.service.config(8).policy == "default"
    assert "The settings are written" in words(admin.get(SETUP).text)


def test_what_the_file_says_of_the_project_can_be_taken_out(desk: Desk, admin: FlaskClient) -> None:
    """An empty field; what holds for all projects is not this page's to take."""
    with desk.settings_file.open("a") as file:
        file.write("\n[projects.7]\nguarantee = 0.05\n# stays\n")
    page = previewed(admin, guarantee="")
    admin.post(f"{SETUP}/settings/write", data=fields(page.text))
    assert desk.service.config(PROJECT).guarantee is None
    assert "# stays" in desk.settings_file.read_text()
    answer = previewed(admin, **{"review.spot_share": ""})
    assert (answer.status_code, "review.spot_share cannot be left empty" in words(answer.text)) == (400, True)


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        ("policy", "by dice", "policy is 'by dice'; use one of default,"),
        ("review.gold_share", "much", "review.gold_share is 'much'; use a number"),
        ("review.gold_share", "2", "review.gold_share: Input should be less than 1"),
        ("thresholds.default.confirm", "0.01", "thresh"),
    ],
)
def test_what_cannot_be_set_is_said(desk: Desk, admin: FlaskClient, name: str, value: str, message: str) -> None:
    """Before anything is written."""
    answer = previewed(admin, **{name: value})
    assert (answer.status_code, message in words(answer.text)) == (400, True), words(answer.text)
    assert desk.settings_file.read_text() == SETTINGS


def test_a_file_that_has_changed_meanwhile_is_not_written(desk: Desk, admin: FlaskClient) -> None:
    """Somebody's work would be lost."""
    page = previewed(admin, policy="wilson")
    desk.settings_file.write_text("model_votes = true\n" + SETTINGS)
    answer = admin.post(f"{SETUP}/settings/write", data=fields(page.text))
    assert (answer.status_code, "has changed meanwhile" in words(answer.text)) == (400, True)
    assert desk.service.config(PROJECT).policy == "default"


def test_only_what_the_form_has_can_be_written(desk: Desk, admin: FlaskClient) -> None:
    """A file of rules, or trust, is set by whoever has the file."""
    form = fields(previewed(admin, policy="wilson").text)
    for changes in ('[[["auto"], "/etc/passwd"]]', '[[["controls", "x", "given"], "y"]]', "[]", "nonsense"):
        answer = admin.post(f"{SETUP}/settings/write", data=form | {"changes": changes})
        assert answer.status_code == 400, changes
    assert desk.settings_file.read_text() == SETTINGS


def test_a_file_that_cannot_be_written_gets_its_lines_from_the_page(
    admin: FlaskClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As in docker compose, which mounts it read-only."""
    monkeypatch.setattr("consensus.console.setup.is_writable", lambda _: False)
    page = previewed(admin, policy="wilson", machines="a@example.com\nb@example.com")
    assert '[projects.7]\npolicy = "wilson"\nmachines = ["a@example.com", "b@example.com"]' in unescape(page.text)
    assert "Write it" not in page.text
    assert admin.post(f"{SETUP}/settings/write", data=fields(page.text)).status_code == 400


def test_a_settings_file_that_cannot_be_read_is_said(desk: Desk, admin: FlaskClient) -> None:
    """The rest of the page is there."""
    desk.settings_file.write_text("policy = 'none of them'")
    text = words(admin.get(SETUP).text)
    assert "policy: Input should be 'default'" in text
    assert "Check now" in text


def test_a_run_counts_what_changed_settings_would_report(desk: Desk, admin: FlaskClient) -> None:
    """Behind the page, and nothing is written."""
    page = previewed(admin, policy="dawid-skene")
    answer = admin.post(f"{SETUP}/settings/count", data=fields(page.text))
    desk.ended(answer)
    assert "Discovered 20 5" in words(admin.get(answer.headers["Location"]).text)
    assert desk.settings_file.read_text() == SETTINGS
