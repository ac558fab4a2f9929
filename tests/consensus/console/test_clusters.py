"""Images that look alike."""

import re
from html import unescape

import httpx
import pytest
from flask.testing import FlaskClient
from in_memory_label_studio import region
from made_desk import BACKEND, Desk, fields, send, streamed, words
from made_projects import PROJECT
from test_grid import said_of, tiles

from consensus.projects.run import run
from consensus.settings import ProjectConfig

CLUSTERS = f"/projects/{PROJECT}/grid?of=clusters"
CATS, MIXED, UNKNOWN = [101, 103, 105, 107], [102, 104, 109, 119, 125], [126, 128]
"""Of the judged tasks every even one shows a dog, 119 and 120 an owl; nothing is known from 121 on."""


@pytest.fixture(autouse=True)
def patient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Pages that wait until the backend has answered."""
    monkeypatch.setattr("consensus.console.computed.PATIENCE_S", 20.0)


@pytest.fixture
def connected(desk: Desk) -> Desk:
    """A desk of a project with a connection to the backend, which knows three clusters."""
    desk.made.server.connect(BACKEND, "m1", model_version="m1")
    desk.backend.clusters = [
        {"cluster": number, "size": len(tasks), "tasks": tasks}
        for number, tasks in enumerate((CATS, MIXED, UNKNOWN))
    ]
    return desk


def test_the_most_mixed_cluster_is_the_first(connected: Desk, admin: FlaskClient) -> None:
    """With its size, its leading label, and the share that has another one."""
    connected.backend.without = 3
    page = admin.get(CLUSTERS)
    numbers = re.findall(r"cluster=(\d+)", page.text)
    assert numbers == ["1", "0", "2"]
    text = words(page.text)
    assert (
        "3 clusters of m1 , those with the most mixed labels in the last run first. 3 images have no embedding"
        in text
    )
    assert re.search(r"1 5 dog 50 % 2 of 4 with a label", text), text
    assert re.search(r"0 4 cat 0 % 0 of 4 with a label", text), text
    assert re.search(r"2 2 . none has a label", text), text
    assert page.text.count("/picture?") == 4 + 4 + 2


@pytest.mark.usefixtures("connected")
def test_a_cluster_is_a_grid(admin: FlaskClient) -> None:
    """The nearest to its centre first, the farthest, or those with another label than most."""
    one = f"{CLUSTERS}&cluster=1"
    assert tiles(admin.get(one).text) == MIXED
    assert tiles(admin.get(f"{one}&order=far").text) == MIXED[::-1]
    assert tiles(admin.get(f"{one}&order=odd").text) == [109, 119, 102, 104, 125]


def test_a_cluster_says_what_share_is_expected_to_be_wrong(connected: Desk, admin: FlaskClient) -> None:
    """If all get its leading label: of those that something is known of; or another label that one names."""
    with connected.store.snapshot() as snapshot:
        known = snapshot.believed(PROJECT, MIXED)
    for query, label in (("", "dog"), ("&label=cat", "cat")):
        right = [row["posterior"] for row in known if row["label"] == label]
        text = words(admin.get(f"{CLUSTERS}&cluster=1{query}").text)
        share, interval = said_of(right).split(" are expected to be wrong ")
        expected = f"{share} of the 4 that something is known of are expected to be wrong {interval}"
        assert f"5 of 5 images. If all are set to {label} , {expected}. Known by the votes" in text
    assert "How many are wrong is not known" in words(admin.get(f"{CLUSTERS}&cluster=2").text)


def test_a_label_is_set_for_a_cluster_and_taken_back(connected: Desk, admin: FlaskClient) -> None:
    """As of any grid; predictions, and so the label stream of annotators, stay as they are."""
    predictions = [dict(row) for row in connected.made.server.predictions]
    before = connected.made.state()
    one = f"{CLUSTERS}&cluster=2"
    page = admin.get(one)
    items = [f"{task}:kind" for task in tiles(page.text)]
    asked = send(admin, f"/projects/{PROJECT}/act", page, action="label", label="owl", item=items, back=one)
    desk_back = fields(asked.text)["back"]
    assert desk_back == [one]
    connected.ended(admin.post(f"/projects/{PROJECT}/do", data=fields(asked.text)))
    for task in UNKNOWN:
        assert connected.made.annotations(task)[0]["result"][0]["value"] == {"choices": ["owl"]}
    page = admin.get(one)
    assert words(page.text).count("decided") >= 2
    undo = page.text[page.text.index("Your last action") :]
    action = re.search(r'action="([^"]+/undo)"', undo)
    assert action
    asked = admin.post(action[1], data=fields(undo))
    connected.ended(admin.post(action[1], data=fields(asked.text)))
    assert connected.made.state() == before
    assert [dict(row) for row in connected.made.server.predictions] == predictions


@pytest.mark.usefixtures("connected")
def test_pages_of_clusters_hold_each_once(admin: FlaskClient, monkeypatch: pytest.MonkeyPatch) -> None:
    """In the list of all, and in one."""
    monkeypatch.setattr("consensus.console.grid.LISTED", 2)
    monkeypatch.setattr("consensus.console.grid.TILES", 2)
    for address, count, name in (
        (CLUSTERS, 3, r"cluster=(\d+)\">"),
        (f"{CLUSTERS}&cluster=1", 5, r'value="(\d+):kind'),
    ):
        seen, following = list[str](), address
        while following:
            page = admin.get(following).text
            seen += re.findall(name, page)
            more = re.search(r'rel="next" href="([^"]+)"', page)
            following = unescape(more[1]) if more else ""
        assert (len(seen), len(set(seen))) == (count, count)


def test_ours_alone_is_asked(connected: Desk, admin: FlaskClient) -> None:
    """Somebody has connected a backend of their own: its address is asked for nothing, its version of ours."""
    connected.made.server.connections.clear()
    connected.made.server.connect("http://evil.example:80", "x", model_version="theirs")
    connected.made.server.connect(BACKEND, "m1", model_version="m1")
    assert "3 clusters of m1" in words(admin.get(CLUSTERS).text)
    assert {request.url.host for request in connected.backend.requests} == {"backend.example"}
    asked = [dict(request.url.params) for request in connected.backend.requests]
    assert [each["version"] for each in asked] == ["theirs", "m1"]
    assert {each["project"].split(".")[0] for each in asked} == {str(PROJECT)}
    assert re.fullmatch(r"7\.\d+", asked[0]["project"]), (
        "so that another project of this number is not taken for it"
    )


def test_the_backend_is_asked_once(connected: Desk, admin: FlaskClient) -> None:
    """Not for each page."""
    for query in ("", "&cluster=0", "&cluster=1&order=far"):
        admin.get(CLUSTERS + query)
    assert len(connected.backend.requests) == 1


def test_a_run_or_some_minutes_later_it_is_asked_again(
    connected: Desk, admin: FlaskClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What the labels are and which version answers may have changed."""
    admin.get(CLUSTERS)
    for account in (5, 6, 7):
        connected.made.server.annotate(UNKNOWN[0], [region("kind", "owl")], completed_by=account)
    connected.made.later()
    run(connected.made.connected(), connected.store, ProjectConfig(), PROJECT, now=connected.made.now)
    assert re.search(r"2 2 owl 0 % 0 of 1 with a label", words(admin.get(CLUSTERS).text))
    assert len(connected.backend.requests) == 2
    monkeypatch.setattr("consensus.console.clusters.time.monotonic", lambda: 1e12)
    admin.get(CLUSTERS)
    assert len(connected.backend.requests) == 3


def test_a_page_says_that_the_backend_is_being_asked(
    connected: Desk, admin: FlaskClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And asks again until it has answered."""
    monkeypatch.setattr("consensus.console.computed.PATIENCE_S", 0.0)
    turn = connected.console.computed._turn
    with turn:
        page = admin.get(CLUSTERS)
        assert "The ML backend is being asked which images are alike" in words(page.text)
        assert f'content="2; url={CLUSTERS}"' in page.text
        assert f'hx-get="{CLUSTERS}"' in page.text
    monkeypatch.setattr("consensus.console.computed.PATIENCE_S", 20.0)
    assert "3 clusters of m1" in words(admin.get(CLUSTERS).text)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ({"model_version": "m1", "every": 1, "without": 0, "clusters": "many"}, "are no clusters"),
        ({"model_version": "m1", "every": 0, "without": 0, "clusters": []}, "are no clusters"),
        ({"model_version": 3, "every": 1, "without": 0, "clusters": []}, "are no clusters"),
        (
            {
                "model_version": "m1",
                "every": 1,
                "without": 0,
                "clusters": [{"cluster": 0, "size": 1, "tasks": ["1"]}],
            },
            "are no clusters",
        ),
        (
            {
                "model_version": "m1",
                "every": 1,
                "without": 0,
                "clusters": [{"cluster": 0, "size": 1, "tasks": [10**30]}],
            },
            "are no clusters",
        ),
        ([1, 2], "what is no JSON object"),
        ({}, "are no clusters"),
    ],
)
def test_what_are_no_clusters_is_refused(
    connected: Desk, admin: FlaskClient, content: object, message: str
) -> None:
    """With a reason and a link that tries again; the other sources stay."""
    connected.backend.answer = lambda _: streamed(200, content)
    page = admin.get(CLUSTERS)
    assert (page.status_code, message in words(page.text)) == (200, True), words(page.text)
    assert "Try again" in words(page.text)
    connected.backend.answer = None
    assert "3 clusters of m1" in words(admin.get(CLUSTERS).text)


def test_without_a_backend_the_page_says_what_helps(desk: Desk, admin: FlaskClient) -> None:
    """Not connected; of another version than ours trained; refusing; not named where the console runs."""
    assert "ml-backend connect --project 7" in words(admin.get(CLUSTERS).text)
    desk.made.server.connect(BACKEND, "m2", model_version="m2")
    assert "answers 404: no version 'm2'" in words(admin.get(CLUSTERS).text)
    desk.backend.answer = lambda _: httpx.Response(401, content=iter([b""]))
    assert "refuses what ML_BACKEND_BASIC_USER" in words(admin.get(CLUSTERS).text)
    object.__setattr__(desk.service.ml_backend, "url", "")
    assert "set CONSENSUS_ML_BACKEND_URL" in words(admin.get(CLUSTERS).text)


@pytest.mark.parametrize(
    ("query", "status"),
    [
        ("&cluster=9", 404),
        ("&cluster=x", 404),
        (f"&cluster={'9' * 5000}", 404),
        ("&cluster=1&order=sure", 400),
        ("&label=x", 400),
    ],
)
def test_a_cluster_that_is_not_there_is_refused(
    connected: Desk, admin: FlaskClient, query: str, status: int
) -> None:
    """Without a traceback."""
    assert connected.backend.clusters
    assert admin.get(CLUSTERS + query).status_code == status


def test_of_a_large_project_some_images_are_shown(connected: Desk, admin: FlaskClient) -> None:
    """The pages say which share."""
    connected.backend.every = 3
    connected.backend.clusters[0]["size"] = 11
    assert "One of 3 images is shown" in words(admin.get(CLUSTERS).text)
    assert "4 of 4 images, one of 3 of the cluster's 11." in words(admin.get(f"{CLUSTERS}&cluster=0").text)
