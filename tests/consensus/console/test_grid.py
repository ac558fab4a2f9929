"""Many images at once."""

import re

import pytest
from flask.testing import FlaskClient
from made_desk import Desk, fields, send, words
from made_projects import PROJECT

GRID = f"/projects/{PROJECT}/grid"


def tiles(page: str) -> list[int]:
    """The tasks of a page, in its order."""
    return [int(task) for task in re.findall(r'name="item" value="(\d+):kind"', page)]


def test_a_grid_shows_open_suggestions_of_one_label(desk: Desk, admin: FlaskClient) -> None:
    """The surest first, or the least sure; with how many there are and the share that is expected to be wrong."""
    waiting = desk.made.tasks[20:]
    page = admin.get(f"{GRID}?label=dog")
    assert tiles(page.text) == waiting[1::2]
    assert "5 of 5 images; of these" in words(page.text)
    assert re.search(r"% are expected to be wrong \(.* by \d+ like them that were judged\)", words(page.text))
    assert tiles(admin.get(f"{GRID}?label=dog&order=unsure").text) == waiting[1::2][::-1]


def test_pages_of_a_grid_hold_each_image_once(admin: FlaskClient, monkeypatch: pytest.MonkeyPatch) -> None:
    """In both orders, and of a report."""
    monkeypatch.setattr("consensus.console.grid.TILES", 2)
    for query, count in (("label=cat", 5), ("label=cat&order=unsure", 5), ("of=Discovered&label=cat", 9)):
        address, seen = f"{GRID}?{query}", list[int]()
        for _ in range(9):
            page = admin.get(address).text
            seen += tiles(page)
            following = re.search(r'rel="next" href="([^"]+)"', page)
            if not following:
                break
            address = following[1].replace("&amp;", "&")
        assert (len(seen), len(set(seen))) == (count, count), query


def test_what_a_grid_says_is_what_accepting_writes(desk: Desk, admin: FlaskClient) -> None:
    """Two of a page: the count that is shown is the count that is written, by the machine account."""
    page = admin.get(f"{GRID}?label=dog")
    chosen = tiles(page.text)[:2]
    items = [f"{task}:kind" for task in chosen]
    asked = send(admin, f"/projects/{PROJECT}/act", page, action="suggested", item=items, back=GRID)
    assert "2 of 2 tasks have a suggestion" in words(asked.text)
    desk.ended(admin.post(f"/projects/{PROJECT}/do", data=fields(asked.text)))
    for task in chosen:
        [annotation] = desk.made.annotations(task)
        assert annotation["result"][0]["value"] == {"choices": ["dog"]}
        assert annotation["completed_by"] == desk.made.machine
    assert set(tiles(admin.get(f"{GRID}?label=dog").text)).isdisjoint(chosen)


@pytest.mark.parametrize(
    ("query", "message"),
    [("of=nothing", "a grid is of"), ("control=x", "no control 'x'"), ("label=x", "no label 'x'")],
)
def test_a_grid_of_what_is_not_there_is_refused(admin: FlaskClient, query: str, message: str) -> None:
    """With what there is."""
    answer = admin.get(f"{GRID}?{query}")
    assert (answer.status_code, message in words(answer.text)) == (400, True)
