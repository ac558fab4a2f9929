"""What a page asks about annotators: read by index, on both databases."""

from pathlib import Path

import pytest
from made_store import classification, save, vote

from consensus.store.store import Store

ANN, BOB, RARE = "ann@example.com", "bob@example.com", "rare@example.com"


@pytest.fixture(params=["sqlite", pytest.param("postgresql", marks=pytest.mark.server)])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Store:
    """Two runs of project 7, of twenty tasks with votes of two, and one of a third; and one of another project."""
    is_file = request.param == "sqlite"
    url = f"sqlite:///{tmp_path}/store.db" if is_file else str(request.getfixturevalue("postgres_database_url"))
    made = Store.migrated(url)
    rows = [classification(task, "cat", "") for task in range(1, 21)]
    votes = [vote(task, name) for task in range(1, 21) for name in (ANN, BOB)]
    save(made, rows, votes[:6])
    save(made, rows, [*votes, vote(19, RARE), vote(3, ANN, "red", "colour")])
    save(made, rows[:1], [vote(1, BOB)], project=8)
    return made


def test_the_few_votes_of_somebody_are_found_a_stretch_at_a_time(store: Store) -> None:
    """Each stretch says where the next one begins; no vote is left out, and none is there twice."""
    with store.snapshot() as snapshot:
        for annotator, tasks in ((RARE, [19]), (ANN, list(range(1, 21)))):
            for limit, among in ((100, 100), (3, 100), (100, 7), (3, 7)):
                read, after = list[int](), None
                for _ in range(60):
                    rows, after = snapshot.pages.votes_among(
                        7, "kind", annotator, after=after, limit=limit, among=among
                    )
                    assert len(rows) <= limit
                    read += [row["task"] for row in rows]
                    if after is None:
                        break
                assert read == tasks


def test_a_trust_is_followed_over_the_runs(store: Store) -> None:
    """Of those who are asked for alone, the oldest first; a run that did not see somebody has no row of theirs."""
    with store.snapshot() as snapshot:
        first, second = sorted(row["id"] for row in snapshot.pages.runs(7))
        course = snapshot.pages.trust_course([first, second], [ANN, RARE])
    assert [(row["run"], row["control"], row["annotator"]) for row in course] == [
        (first, "kind", ANN), (second, "colour", ANN), (second, "kind", ANN), (second, "kind", RARE),
    ]  # fmt: skip


def test_the_last_run_says_where_somebody_has_votes(store: Store) -> None:
    """By project, and by control."""
    with store.snapshot() as snapshot:
        projects = {
            name: [row["project"] for row in snapshot.pages.projects_of(name)] for name in (ANN, BOB, "nobody")
        }
        run = snapshot.needed_run(7)["id"]
        controls = [row["control"] for row in snapshot.pages.annotator(run, ANN)]
    assert projects == {ANN: [7], BOB: [7, 8], "nobody": []}
    assert controls == ["colour", "kind"]
