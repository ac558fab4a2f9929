import importlib
import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest

from consensus.plugin import consensus_actions as module

TOKEN = "a-token-of-this-test"


class Service(ThreadingHTTPServer):
    """Answers every POST with `status` and `answer`, and keeps what it was asked."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.status, self.answer, self.headers = 202, {"count": 2, "detail": "2 are written"}, {}
        self.asked: list[tuple[str, dict[str, str], dict[str, Any]]] = []

    @property
    def url(self) -> str:
        """Its address."""
        return f"http://127.0.0.1:{self.server_port}"


class Handler(BaseHTTPRequestHandler):
    """One request."""

    server: Service

    def do_POST(self) -> None:
        """Keep and answer."""
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        self.server.asked.append((self.path, dict(self.headers), body))
        self.send_response(self.server.status)
        for name, value in self.server.headers.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(json.dumps(self.server.answer).encode())

    def log_message(self, *_: object) -> None:
        """Say nothing."""


@pytest.fixture
def service(monkeypatch: pytest.MonkeyPatch) -> Iterator[Service]:
    """A service that Label Studio's environment names."""
    with Service() as service:
        threading.Thread(target=service.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()
        monkeypatch.setenv("CONSENSUS_URL", f"{service.url}/")
        monkeypatch.setenv("CONSENSUS_API_TOKEN", TOKEN)
        yield service
        service.shutdown()


@pytest.fixture
def plugin(service: Service, monkeypatch: pytest.MonkeyPatch) -> ModuleType:  # noqa: ARG001 - its environment
    """The file as a Label Studio that it was tested with loads it."""
    monkeypatch.setattr("importlib.metadata.version", lambda _: "1.23.2")
    return importlib.reload(module)


class Query(list[int]):
    """Tasks as Django has them."""

    def order_by(self) -> "Query":
        """In no order."""
        return self

    def values_list(self, *_: str, flat: bool) -> list[int]:
        """Their ids."""
        assert flat
        return list(self)


def request(**data: object) -> SimpleNamespace:
    """What Label Studio passes on of a person's click."""
    return SimpleNamespace(GET={}, data=data, user=SimpleNamespace(email="ana@example.com"))


PROJECT = SimpleNamespace(id=7)
SELECTED = {"all": False, "included": [5, 3]}


def test_the_selected_tasks_are_sent_with_who_asks(plugin: ModuleType, service: Service) -> None:
    """Under the token, with a key of its own; what goes on is said as such."""
    asked = request(selectedItems=SELECTED, above="0.9")
    answer = plugin.consensus_accept_suggestions(PROJECT, Query([5, 3]), request=asked)
    assert answer == {"response_code": 202, "async": True, "count": 2, "detail": "2 are written"}
    plugin.consensus_accept_proposals(PROJECT, Query([5]), request=request(selectedItems=SELECTED))
    (path, headers, body), (_, others, proposals) = service.asked
    assert (path, headers["Authorization"]) == ("/api/projects/7/accept", f"Bearer {TOKEN}")
    assert body == {
        "source": "suggestions", "above": 0.9, "tasks": [3, 5], "made_by": "ana@example.com", "dry_run": False,
    }  # fmt: skip
    assert proposals["source"] == "proposals"
    assert headers["Idempotency-Key"] != others["Idempotency-Key"]


def test_each_action_has_its_route(plugin: ModuleType, service: Service) -> None:
    """The reports are those of the project: no selection is sent."""
    for action in (
        plugin.consensus_ask_for_votes,
        plugin.consensus_send_to_review,
        plugin.consensus_update_reports,
    ):
        action(PROJECT, Query([1]), request=request(selectedItems={"all": True, "excluded": []}))
    assert [path.rpartition("/")[2] for path, _, _ in service.asked] == ["ask", "review", "runs"]
    assert service.asked[2][2] == {"made_by": "ana@example.com"}


@pytest.mark.parametrize("toggle", [True, "true", 1])
def test_a_count_is_shown_and_nothing_written(plugin: ModuleType, service: Service, toggle: object) -> None:
    """Label Studio shows answers of actions only as errors: it says that it is none."""
    service.status, service.answer = 200, {"count": 2, "detail": "2 of 2 tasks have a suggestion."}
    asked = request(selectedItems=SELECTED, above=0.9, consensus_count=toggle)
    answer = plugin.consensus_accept_suggestions(PROJECT, Query([3, 5]), request=asked)
    assert answer["response_code"] == 409
    assert answer["detail"] == "Nothing went wrong and nothing was written. 2 of 2 tasks have a suggestion."
    assert service.asked[0][2]["dry_run"] is True


@pytest.mark.parametrize(
    "selected",
    [None, {}, {"all": False}, {"all": False, "included": []}, {"included": []}, "[]", "not json", {"all": 1}]
    + [{"all": all_, "included": [1]} for all_ in (1, "true", None)],
)
def test_an_empty_selection_is_never_all(plugin: ModuleType, service: Service, selected: object) -> None:
    """Whatever the query holds: Label Studio's own is then all that the filter leaves."""
    answer = plugin.consensus_ask_for_votes(PROJECT, Query([1, 2, 3]), request=request(selectedItems=selected))
    assert (answer["response_code"], answer["detail"]) == (409, "no task is selected")
    assert service.asked == []


@pytest.mark.parametrize("token", ["one\nanother", "\u0442\u043e\u043a\u0435\u043d"])
def test_a_token_that_no_header_can_hold_is_not_shown(
    plugin: ModuleType, monkeypatch: pytest.MonkeyPatch, token: str
) -> None:
    """The person is told which setting it is; Python's own error quotes it."""
    monkeypatch.setenv("CONSENSUS_API_TOKEN", token)
    answer = plugin.consensus_ask_for_votes(PROJECT, Query([1]), request=request(selectedItems=SELECTED))
    assert (answer["response_code"], "cannot be sent" in answer["detail"]) == (424, True)


def test_a_selection_from_elsewhere_is_refused(plugin: ModuleType, service: Service) -> None:
    """One that the address or a stored view holds is not the one in the body."""
    asked = request(selectedItems=SELECTED, view=3)
    assert "in the body" in plugin.consensus_ask_for_votes(PROJECT, Query([1]), request=asked)["detail"]
    asked = request(selectedItems=SELECTED)
    asked.GET = {"query": "{}"}
    assert "in the body" in plugin.consensus_ask_for_votes(PROJECT, Query([1]), request=asked)["detail"]
    assert service.asked == []


def test_too_many_tasks_are_refused(plugin: ModuleType, service: Service) -> None:
    """With the number that is allowed."""
    asked = request(selectedItems={"all": True, "excluded": [4]})
    answer = plugin.consensus_ask_for_votes(PROJECT, Query(range(10_001)), request=asked)
    assert "more than 10,000 tasks are selected" in answer["detail"]
    assert service.asked == []
    plugin.consensus_ask_for_votes(PROJECT, Query(range(10_000)), request=asked)
    assert len(service.asked[0][2]["tasks"]) == 10_000


@pytest.mark.parametrize("above", [None, "", "much", -0.1, 1.1, "nan"])
def test_a_score_that_is_none_is_refused(plugin: ModuleType, service: Service, above: object) -> None:
    """It is said with its value."""
    asked = request(selectedItems=SELECTED, above=above)
    answer = plugin.consensus_accept_suggestions(PROJECT, Query([3]), request=asked)
    assert f"is {above!r}: name one from 0 to 1" in answer["detail"]
    assert service.asked == []


def test_what_goes_wrong_is_one_sentence(
    plugin: ModuleType, service: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The service's own, or that it refuses the token, leads elsewhere, or is not there; never the token."""
    details = []
    for status, said in ((503, {"error": "the database is away"}), (401, {}), (500, {}), (302, {})):
        service.status, service.answer = status, said
        service.headers = {"Location": f"{service.url}/elsewhere"} if status == 302 else {}
        asked = request(selectedItems=SELECTED)
        details.append(plugin.consensus_ask_for_votes(PROJECT, Query([3]), request=asked)["detail"])
    monkeypatch.setenv("CONSENSUS_URL", "http://127.0.0.1:9")
    answer = plugin.consensus_ask_for_votes(PROJECT, Query([3]), request=request(selectedItems=SELECTED))
    host = f"127.0.0.1:{service.server_port}"
    assert details == [
        "the database is away",
        f"the consensus service at {host} refuses CONSENSUS_API_TOKEN: both need the same one",
        f"the consensus service at {host} answers 500",
        f"the consensus service at {host} answers 302",
    ]
    assert answer["detail"] == (
        "the consensus service at 127.0.0.1:9 does not answer: is `consensus serve` running there?"
    )
    assert answer["response_code"] == 424
    assert [path for path, _, _ in service.asked] == ["/api/projects/7/ask"] * 4


def test_a_dialog_says_what_would_be_done_in_the_tab(
    plugin: ModuleType, service: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And asks whether to do it or to count; without the service it says that, and opens all the same."""
    monkeypatch.setattr(plugin, "tab_tasks", lambda _: [1, 2])
    service.status, service.answer = 200, {"count": 2, "detail": "2 of 2 tasks have a suggestion."}
    action = next(each for each in plugin.actions if each["title"] == "Accept suggestions above…")
    (row,) = action["dialog"]["form"](SimpleNamespace(email="ana@example.com"), PROJECT)
    assert [field["type"] for field in row["fields"]] == ["number", "toggle"]
    assert row["fields"][1]["description"] == "In this tab: 2 of 2 tasks have a suggestion."
    assert service.asked[0][2]["tasks"] == [1, 2]
    monkeypatch.setenv("CONSENSUS_URL", "http://127.0.0.1:9")
    (row,) = action["dialog"]["form"](SimpleNamespace(email="ana@example.com"), PROJECT)
    assert "does not answer" in row["fields"][1]["description"]


@pytest.mark.parametrize(
    ("version", "url", "reason"),
    [
        ("1.24.0", "http://127.0.0.1:9", "tested with Label Studio 1.23.2 and not with 1.24.0: it does nothing"),
        ("1.23.2", "", "CONSENSUS_URL is not set in Label Studio's environment"),
        ("1.23.2", "127.0.0.1:9091", "CONSENSUS_URL must begin with http"),
    ],
)
def test_where_it_cannot_work_it_is_off_and_says_why(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, version: str, url: str, reason: str
) -> None:
    """In the menu, in the log of Label Studio, and to who calls all the same."""
    monkeypatch.setenv("CONSENSUS_URL", url)
    monkeypatch.setenv("CONSENSUS_API_TOKEN", TOKEN)
    monkeypatch.setattr("importlib.metadata.version", lambda _: version)
    plugin = importlib.reload(module)
    assert all(action["disabled"] and reason in action["disabled_reason"] for action in plugin.actions)
    assert reason in caplog.text
    answer = plugin.consensus_update_reports(PROJECT, Query(), request=request())
    assert (answer["response_code"], reason in answer["detail"]) == (409, True)


def test_actions_are_what_label_studio_reads(plugin: ModuleType) -> None:
    """Names of their own, none with `delete`, which its pages take for a deletion, and a permission each."""
    names = [action["entry_point"].__name__ for action in plugin.actions]
    assert len({*names}) == 5
    assert all(name.startswith("consensus_") and "delete" not in name for name in names)
    assert all(action["permission"] == "tasks.change" and "disabled" not in action for action in plugin.actions)
