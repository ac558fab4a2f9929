"""Who may see what."""

import re
from contextlib import AbstractContextManager
from dataclasses import replace

import pytest
from made_desk import ANN, PASSWORD, REV, SECOND, Desk, send
from made_projects import OWNER

from common.errors import LabelStudioError
from consensus.console import sign_in
from consensus.console.access import LONGEST_S, Role
from consensus.console.app import create_console
from consensus.console.attempts import FEW, MANY, Attempts
from consensus.console.sessions import FRESH_S, Sessions
from consensus.label_studio import Studio

NEEDS = "console_needs"
FILLED = {"project": "7", "task": "101", "name": "MisClassified", "batch": "0123456789ab"}


def addresses(desk: Desk) -> list[tuple[str, str, Role | None]]:
    """Method, address and role of every page."""
    return [
        (method, re.sub(r"<(?:\w+:)?(\w+)>", lambda found: FILLED.get(found[1], "x"), rule.rule),
         getattr(desk.app.view_functions[rule.endpoint], NEEDS, None))
        for rule in desk.app.url_map.iter_rules()
        for method in sorted((rule.methods or set()) - {"HEAD", "OPTIONS"})
        if rule.endpoint != "static"
    ]  # fmt: skip


def test_every_page_says_who_may_see_it(desk: Desk) -> None:
    """A page that forgets to is shown to nobody, and this test fails."""
    pages = addresses(desk)
    assert len(pages) > 10
    assert {path for _, path, needed in pages if needed is None} == set()


def test_without_signing_in_nothing_is_shown(desk: Desk) -> None:
    """From the table of routes: each leads to the door, whatever its method."""
    client = desk.visitor()
    desk.app.config["WTF_CSRF_ENABLED"] = False
    for method, path, needed in [*addresses(desk), ("GET", "/nothing", Role.ADMIN)]:
        answer = client.open(path, method=method)
        if needed is Role.NOBODY:
            assert answer.status_code in (200, 401), path
        else:
            assert (answer.status_code, answer.headers["Location"].startswith("/sign-in")) == (303, True), path
            assert "101" not in answer.text.replace(path, "")
    for file in ("console.css", "console.js"):
        with client.get(f"/static/{file}") as answer:
            assert answer.status_code == 200


@pytest.mark.parametrize(("email", "role"), [(ANN, Role.ANNOTATOR), (REV, Role.REVIEWER)])
def test_each_role_sees_its_pages_alone(desk: Desk, email: str, role: Role) -> None:
    """What asks for more is refused with who may, and how one becomes that."""
    client = desk.signed_in(email)
    desk.app.config["WTF_CSRF_ENABLED"] = False
    refused = 0
    for method, path, needed in addresses(desk):
        if needed is not None and needed > role:
            answer = client.open(path, method=method)
            assert answer.status_code == 403, path
            assert "CONSENSUS_ADMINS" in answer.text
            refused += 1
    assert refused > 3


def test_who_owns_the_key_and_who_is_named_are_admins(desk: Desk) -> None:
    """The settings name the others."""
    for email in (OWNER, SECOND):
        assert desk.signed_in(email).get("/projects/7/").status_code == 200, email


@pytest.mark.parametrize("email", [ANN, "no@example.com"])
def test_a_wrong_password_is_refused_in_the_same_words(desk: Desk, email: str) -> None:
    """Whether there is such an account is not told."""
    client = desk.visitor()
    answer = send(client, "/sign-in", client.get("/sign-in"), email=email, password="wrong")
    assert (answer.status_code, "no such account, or the password" in answer.text) == (401, True)
    assert client.get("/projects/7/").status_code == 303


def test_guessing_is_slowed_down(desk: Desk) -> None:
    """After so many attempts even the right password waits; another account does not."""
    client = desk.visitor()
    page = client.get("/sign-in")
    answers = [send(client, "/sign-in", page, email=ANN, password=f"guess {n}") for n in range(FEW)]
    assert {answer.status_code for answer in answers} == {401}
    late = send(client, "/sign-in", page, email=ANN.upper(), password=PASSWORD)
    assert (late.status_code, int(late.headers["Retry-After"]) > 0) == (429, True)
    assert send(client, "/sign-in", page, email=REV, password=PASSWORD).status_code == 303


def test_a_token_does_not_clear_the_attempts_at_a_password(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever has an account could guess the password of another one for ever."""
    monkeypatch.setattr(sign_in, "_by_token", lambda *_: (20, ANN))
    client = desk.visitor()
    page = client.get("/sign-in")
    for n in range(FEW):
        assert send(client, "/sign-in", page, email=REV, password=f"guess {n}").status_code == 401
    other = desk.visitor()
    assert send(other, "/sign-in", other.get("/sign-in"), email=REV, token="mine").status_code == 303
    assert send(client, "/sign-in", page, email=REV, password="one more").status_code == 429


def test_wrong_tokens_lock_no_right_one_out(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody can guess one, and anybody could send many."""
    monkeypatch.setattr(sign_in, "_by_token", lambda _, token: (20, ANN) if token == "right" else None)
    client = desk.visitor()
    page = client.get("/sign-in")
    for n in range(FEW + 1):
        assert send(client, "/sign-in", page, token=f"wrong {n}").status_code == 401
    assert send(client, "/sign-in", page, token="right").status_code == 303


def test_a_team_behind_one_address_signs_in(desk: Desk) -> None:
    """Behind a proxy all have its address: only attempts that fail count against it."""
    for _ in range(MANY + 1):
        desk.signed_in(REV)
    for n in range(MANY):
        assert desk.console.door.places.wait("127.0.0.1") == 0, n
    assert desk.console.door.places.wait("127.0.0.1") > 0


def test_attempts_are_forgotten_with_time() -> None:
    """Two in ten seconds: the third waits until the first is ten seconds old."""
    moments = iter([0.0, 4.0, 9.0, 10.0])
    attempts = Attempts(2, 10.0, lambda: next(moments))
    assert [attempts.wait("a") for _ in range(4)] == [0.0, 0.0, 1.0, 0.0]


def test_a_session_ends(desk: Desk) -> None:
    """After its time, and when one signs out."""
    client = desk.signed_in(OWNER)
    send(client, "/sign-out", client.get("/projects/7/"))
    assert client.get("/projects/7/").status_code == 303
    client = desk.signed_in(OWNER)
    with client.session_transaction() as session:
        session["since"] -= LONGEST_S
    assert client.get("/projects/7/").status_code == 303


def test_a_copied_cookie_ends_with_the_session(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    """Signing out ends all sessions of the account, and of no other; a new one begins after it."""
    client, other = desk.signed_in(OWNER), desk.signed_in(SECOND)
    copied = client.get_cookie("consensus_session")
    assert copied
    thief = desk.visitor()
    thief.set_cookie("consensus_session", copied.value)
    assert thief.get("/projects/7/").status_code == 200
    send(client, "/sign-out", client.get("/projects/7/"))
    assert [each.get("/projects/7/").status_code for each in (thief, other)] == [303, 200]
    monkeypatch.setitem(desk.console.__dict__, "sessions", Sessions(desk.service))  # as after a restart
    assert thief.get("/projects/7/").status_code == 303
    assert desk.signed_in(OWNER).get("/projects/7/").status_code == 200


def test_an_account_that_is_gone_sees_nothing(desk: Desk) -> None:
    """Within minutes of its removal from Label Studio, and no sooner is that asked again."""
    clock = [0.0]
    object.__setattr__(desk.console, "sessions", Sessions(desk.service, lambda: clock[0]))
    client = desk.signed_in(SECOND)
    server = desk.made.server
    assert client.get("/projects/7/").status_code == 200
    del server.accounts[22]
    assert client.get("/projects/7/").status_code == 200
    clock[0] += FRESH_S
    assert client.get("/projects/7/").status_code == 303
    server.accounts[22] = SECOND
    clock[0] += FRESH_S
    assert client.get("/projects/7/").status_code == 200


def test_who_owns_the_key_no_more_is_no_admin_by_it(desk: Desk) -> None:
    """The session alone makes nobody an admin."""
    client = desk.signed_in(OWNER)
    with client.session_transaction() as session:
        session["email"] = ANN
    assert client.get("/projects/7/").status_code == 403


def test_without_label_studio_sessions_go_on(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    """What cannot be asked ends none."""
    client = desk.signed_in(SECOND)

    def unreachable() -> AbstractContextManager[Studio]:
        raise LabelStudioError("it does not answer")

    unreached = Sessions(replace(desk.service, studio=unreachable))
    monkeypatch.setitem(desk.console.__dict__, "sessions", unreached)
    assert client.get("/projects/7/").status_code == 200


def test_a_form_of_another_site_does_nothing(desk: Desk) -> None:
    """Without the token of the session, or with that of another one, it is refused."""
    client, other = desk.signed_in(OWNER), desk.signed_in(SECOND)
    page = other.get("/projects/7/reports")
    for form in ({}, {"csrf_token": "x"}):
        assert client.post("/projects/7/run", data=form).status_code == 400
    answer = send(client, "/projects/7/run", page)
    assert (answer.status_code, "earlier session" in answer.text) == (400, True)
    assert desk.service.background.jobs(7) == []


@pytest.mark.parametrize(
    "address",
    [
        "https://evil.example",
        "//evil.example",
        "///evil.example",
        "////evil.example",
        "/\t/evil.example",
        "\t//evil.example",
        " //evil.example",
        "/\\evil.example",
        "javascript:x",
        "",
    ],
)
def test_nobody_is_led_to_another_site(desk: Desk, address: str) -> None:
    """After signing in one comes back to a page of ours."""
    client = desk.visitor()
    answer = send(client, "/sign-in", client.get("/sign-in"), email=OWNER, password=PASSWORD, next=address)
    assert answer.headers["Location"] == "/"


def test_one_comes_back_to_what_one_asked_for(desk: Desk) -> None:
    """With its filters."""
    client = desk.visitor()
    door = client.get("/projects/7/reports/MisClassified?label=cat")
    page = client.get(door.headers["Location"])
    asked = re.search(r'name="next" value="([^"]*)"', page.text)
    assert asked
    answer = send(client, "/sign-in", page, email=OWNER, password=PASSWORD, next=asked[1])
    assert answer.headers["Location"] == "/projects/7/reports/MisClassified?label=cat"


def test_pages_are_kept_by_no_cache_and_run_no_foreign_script(desk: Desk) -> None:
    """Also those that refuse; the cookie is out of reach of scripts."""
    client = desk.visitor()
    answers = [client.get("/sign-in"), client.get("/nothing"), desk.signed_in(ANN).get("/projects/7/")]
    for answer in answers:
        assert answer.headers["Content-Security-Policy"].startswith("default-src 'self'")
        assert answer.headers["Cache-Control"] == "private, no-store"
    cookie = client.get("/sign-in").headers.get("Set-Cookie", "") or answers[0].headers["Set-Cookie"]
    assert "HttpOnly" in cookie
    assert "SameSite=Lax" in cookie


def test_the_cookie_of_a_session_goes_to_the_console_alone(desk: Desk) -> None:
    """Its neighbours behind a proxy, as Label Studio, do not get it; without a proxy it is for all paths."""
    assert "Path=/;" in f"{desk.visitor().get('/sign-in').headers['Set-Cookie']};"
    behind = replace(desk.console, public_url="https://labels.example.org/consensus")
    cookie = create_console(behind).test_client().get("/sign-in").headers["Set-Cookie"]
    assert {"Path=/consensus", "Secure", "HttpOnly"} <= set(cookie.split("; "))
