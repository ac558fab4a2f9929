"""`consensus export` as a person calls it, on a Label Studio in memory."""

import json
from collections.abc import Callable, Iterator
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path

import pytest
from in_memory_label_studio import InMemoryStudio, choices, config
from typer.testing import CliRunner

from consensus import cli
from consensus.commands import exporting
from consensus.label_studio import Studio
from consensus.projects.run import run
from consensus.settings import ProjectConfig
from consensus.store.store import Store

Call = Callable[..., tuple[int, str]]


@pytest.fixture
def call(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Call]:
    """Calls `consensus export` on a project of three tasks; the address of one image is none."""
    label_studio = InMemoryStudio(config('<Header value="$label"/>', choices("kind", "cat", "dog")))
    label_studio.accounts = {1: "a1@example.com"}
    photos = tmp_path / "photos"
    photos.mkdir()
    for number in (1, 2, 3):
        (photos / f"{number}.jpg").write_bytes(b"%d" % number)
        data = {"image": f"odd://{number}", "label": "cat", "source": f"{number}.jpg"}
        label_studio.add_task(data | {"checksum": CHECKSUMS[number - 1]}, task_id=number)
    label_studio.add_task({"image": "odd://4", "label": "dog"}, task_id=4)
    studio = Studio(label_studio.client(), "of a test", lambda _: None)
    store = Store.migrated(f"sqlite:///{tmp_path}/store.db")
    run(studio, store, ProjectConfig(), 7, now=lambda: datetime(2026, 1, 1, tzinfo=UTC))
    monkeypatch.setattr(exporting, "studio", lambda: studio)
    monkeypatch.setattr(exporting, "store", lambda: store)
    monkeypatch.chdir(tmp_path)
    runner = CliRunner()

    def _call(*words: str) -> tuple[int, str]:
        done = runner.invoke(cli.app, ["export", "--project", "7", *words])
        if done.exception and not isinstance(done.exception, SystemExit):
            raise done.exception
        return done.exit_code, done.output

    with closing(studio):
        yield _call


CHECKSUMS = (
    "6b86b273ff34fce19d6b804eff5a3f5747ada4eaa22f1d49c01e52ddb7875b4b",
    "d4735e3a265e16eee03f59718b9b5d03019c07d8b6c51f90da3a666eec13ab35",
    "4e07408562bedb8b60ce05c1decfe3ad16b72230967de01f640b7e4729b49fce",
)


def test_an_image_that_cannot_be_had_is_named_and_the_status_says_so(call: Call) -> None:
    """The others are written; the README has the command with what was asked for."""
    status, text = call("--images", "photos", "--link", "symbolic", "made")
    assert status == 3
    assert "3 labels of 3 tasks written to made: given 3" in text
    assert "left out: 1: the image cannot be had" in text
    assert sorted(path.name for path in Path("made/cat").iterdir()) == ["1.jpg", "2.jpg", "3.jpg"]
    readme = Path("made/README.md").read_text()
    assert "    consensus export --project 7 --layout folders --link symbolic --images photos OUT\n" in readme


def test_a_program_gets_the_counts(call: Call) -> None:
    """Nothing is missing from a table of addresses."""
    status, text = call("--layout", "csv", "--only", "given", "--json", "made")
    assert (status, json.loads(text)) == (
        0,
        {
            "project": 7,
            "control": "kind",
            "labels": 4,
            "tasks": 4,
            "changed": 0,
            "decided_by": {"given": 4},
            "left_out": {},
            "images_failed": 0,
        },
    )


@pytest.mark.parametrize(
    ("words", "why"),
    [
        (("--link", "hard", "made"), "name that with --images"),
        (("--images", "photos", "photos"), "lies in photos"),
        (("--image-hosts", "a b", "made"), "--image-hosts: 'a b' is no host"),
        (("photos",), "no export has made it"),
        ((".",), "while this command runs in it"),
        (("no/such/folder",), "No such file"),
    ],
)
def test_what_cannot_be_done_is_said_before_anything_is_written(
    call: Call, words: tuple[str, ...], why: str
) -> None:
    """Nothing is there afterwards."""
    with pytest.raises(Exception, match=why):
        call(*words)
    assert not [path for path in Path().iterdir() if path.name in ("made", "no") or path.name.startswith(".p")]
