"""`consensus doctor`, where Label Studio is a function; its answers are those of a real one."""

import json
from collections.abc import Callable
from pathlib import Path

import httpx
import pytest
from in_memory_label_studio import URL, InMemoryStudio, choices, config

from consensus.commands import doctor
from consensus.label_studio import Studio
from consensus.settings import settings
from consensus.store.database import Database

CONTROL = choices("kind", "cat", "dog")
REGIONS = choices("part", "ear", perRegion="true")
Shell = Callable[..., tuple[int, str, str]]
Examine = Callable[..., tuple[int, dict[tuple[str, str], str]]]


@pytest.fixture
def examine(shell: Shell, monkeypatch: pytest.MonkeyPatch) -> Examine:
    """Calls the command; returns its status, and what was seen by check and level."""

    def _examine(
        *options: object, label_config: str = config(CONTROL), overlap: int = 3, status: int = 200
    ) -> tuple[int, dict[tuple[str, str], str]]:
        label_studio = InMemoryStudio(label_config, title="Seven")
        for tasks in (overlap, 1):
            label_studio.add_task({}, overlap=tasks)
        if status != httpx.codes.OK:
            label_studio.faults["GET /api/(?!version)"] = httpx.Response(status, json={"detail": "no"})
        monkeypatch.setenv("LABEL_STUDIO_URL", URL)
        monkeypatch.setenv("LABEL_STUDIO_API_KEY", "token")
        monkeypatch.setattr(doctor, "studio", lambda _: Studio(label_studio.client()))
        ended, shown, _ = shell("doctor", "--json", *options)
        findings = json.loads(shown)["findings"]
        for row in findings:
            assert row["level"] == "fine" or (row["why"] and row["remedy"])
        return ended, {(row["check"], row["level"]): row["seen"] for row in findings}

    return _examine


def test_what_is_in_order_ends_with_0(examine: Examine) -> None:
    """A store without a run is to be considered, and no fault."""
    status, seen = examine()
    assert status == 0
    assert seen["key", "fine"] == "the key lets us in"
    assert seen["controls", "fine"] == "kind asks for cat, dog"
    assert seen["tables", "warning"] == "it is empty"
    assert not [level for _, level in seen if level == "problem"]


def test_nothing_is_changed(examine: Examine, tmp_path: Path) -> None:
    """No store is made by looking for one."""
    examine()
    assert not [path for path in tmp_path.rglob("*") if path.is_file()]


def test_each_control_that_is_passed_over_has_its_reason(examine: Examine) -> None:
    """A project without any other is a problem."""
    assert examine(label_config=config(CONTROL, REGIONS))[1]["controls", "warning"] == (
        "part is passed over: it labels regions, not tasks (perRegion)"
    )
    status, seen = examine("--project", 7, label_config=config(REGIONS))
    assert (status, seen["controls", "problem"]) == (1, "it has no <Choices> about whole tasks")


def test_overlap_of_one_is_one_vote_a_task(examine: Examine) -> None:
    """Nobody can agree or disagree then."""
    assert "have overlap 1" in examine(overlap=1)[1]["overlap", "warning"]
    assert ("overlap", "fine") in examine(overlap=2)[1]


def test_a_key_that_is_refused_and_a_server_that_fails(examine: Examine) -> None:
    """The reason is Label Studio's own; of the projects nothing is asked."""
    status, seen = examine(status=401)
    assert (status, "(401)" in seen["key", "problem"]) == (1, True)
    assert ("controls", "fine") not in seen
    assert examine(status=503)[0] == 1


def test_a_project_that_is_not_there(examine: Examine) -> None:
    """It is named."""
    status, seen = examine("--project", 9)
    assert (status, "has no project 9" in seen["project", "problem"]) == (1, True)


def test_missing_settings_are_named(shell: Shell) -> None:
    """They are a finding, and the store is looked at all the same."""
    status, shown, _ = shell("doctor")
    assert status == 1
    assert "LABEL_STUDIO_URL and LABEL_STUDIO_API_KEY are not set" in shown
    assert "the store is" in shown


@pytest.mark.parametrize(
    ("content", "check", "level"),
    [
        ("nonsense = 1", "settings file", "problem"),
        ("[projects.7.controls.kinds]\nkind = 'choices'", "settings file", "problem"),
        ("[controls.kinds]\nkind = 'choices'", "settings file", "warning"),
        ("policy = 'majority'", "settings file", "fine"),
    ],
)
def test_a_settings_file_that_does_not_fit(
    examine: Examine, tmp_path: Path, content: str, check: str, level: str
) -> None:
    """What a run would refuse is a problem; a control that may be another project's is not."""
    path = tmp_path / "consensus.toml"
    path.write_text(content)
    status, seen = examine("--config", path)
    assert (check, level) in seen
    assert status == (level == "problem")


def test_tables_of_an_older_version(examine: Examine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The remedy is to migrate."""
    Database(f"sqlite:///{tmp_path}/consensus.db").migrate()
    assert ("tables", "fine") in examine()[1]
    monkeypatch.setattr(Database, "revision", lambda _: "0003")
    status, seen = examine()
    assert (status, seen["tables", "problem"]) == (1, "its tables are of an older version (0003)")


def test_a_store_in_a_folder_that_is_missing(
    examine: Examine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A run makes the file and not its folder, but for the account's own."""
    monkeypatch.setenv("CONSENSUS_DATABASE_URL", f"sqlite:///{tmp_path}/nowhere/consensus.db")
    status, seen = examine()
    assert (status, "nowhere of the store is missing" in seen["place", "problem"]) == (1, True)
    monkeypatch.delenv("CONSENSUS_DATABASE_URL")
    settings.cache_clear()
    assert examine()[0] == 0
