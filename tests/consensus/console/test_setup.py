"""Whether the parts fit together."""

import re
import time

import pytest
from flask.testing import FlaskClient
from made_desk import Desk, send, words
from made_projects import OWNER, PROJECT

from common.errors import LabelStudioError
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

    def counted() -> None:
        calls.append(1)
        unreachable()

    monkeypatch.setattr(desk.made, "connected", counted)
    for _ in range(3):
        assert "Label Studio to do Label Studio is asleep" in words(admin.get(f"{HOME}health").text)
    assert len(calls) == 1
