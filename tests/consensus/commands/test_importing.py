"""`consensus import` and `consensus import-status` as the shell calls them."""

import json
import os
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from in_memory_label_studio import InMemoryStudio

from consensus.commands import importing
from consensus.transfer.journal import Journal, journal_file

sys.path.insert(0, str(Path(__file__).parents[1] / "transfer"))
from made_images import make_folders, make_image

Call = Callable[..., tuple[int, str, str]]


@pytest.fixture
def studio(monkeypatch: pytest.MonkeyPatch) -> InMemoryStudio:
    """The Label Studio that the command speaks to."""
    made = InMemoryStudio()
    monkeypatch.setattr(importing, "studio_client", made.client)
    return made


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    """Six images, and one that is there twice."""
    folder = make_folders(tmp_path / "photos", 6)
    make_image(folder / "dog" / "twin.png", 0)
    return folder


def test_import_says_what_it_guessed_and_did(shell: Call, studio: InMemoryStudio, photos: Path) -> None:
    """A duplicate is named and no failure; the same again sends nothing; the status is that of the last."""
    status, out, err = shell("import", photos, "--project", "Photos Q4")
    assert status == 0
    assert "layout folders (guessed" in out
    assert '[projects.8.controls.label]\ngiven = "given"\n' in out
    assert out.splitlines()[-1].startswith("6 images imported (")
    assert "left out (duplicate): dog/twin.png: the same image as cat/000.png" in err
    studio.requests.clear()
    assert (
        shell("import", photos, "--project", "Photos Q4")[1]
        .splitlines()[-1]
        .endswith("6 imported before, 1 duplicates, 0 other files, 0 failed")
    )
    assert studio.writes == []
    (row,) = json.loads(shell("import-status", "--json")[1])
    fields = ("project_id", "state", "total", "sent", "earlier", "left_out", "waiting", "left_s")
    assert [row[name] for name in fields] == [8, "ended", 7, 0, 6, 1, 0, None]
    assert "Photos Q4" in shell("import-status")[1]


def test_a_dry_run_shows_the_whole_plan(shell: Call, studio: InMemoryStudio, photos: Path) -> None:
    """The label config, the labels with their counts, the settings; nothing is sent and nothing written."""
    out = shell("import", photos, "--project", "Photos Q4", "--dry-run", "--overlap", 2)[1]
    assert '<Choice value="cat" />' in out
    assert "each image is shown to 2 annotators" in out
    assert "[projects.ID.controls.label]" in out
    assert out.splitlines()[-1].startswith("6 images would be imported, nothing is sent (")
    assert studio.writes == []
    assert not Path("home").exists()


def test_failures_have_a_status_and_a_log(shell: Call, photos: Path, studio: InMemoryStudio) -> None:
    """With which they are imported once they are mended."""
    (photos / "cat" / "broken.png").write_text("<html>")
    status, out, _ = shell("import", photos, "--project", "Photos Q4", "--json")
    printed = json.loads(out)
    assert (status, printed["sent"], [row["kind"] for row in printed["left_out"]]) == (
        3, 6, ["not usable", "duplicate"],
    )  # fmt: skip
    make_image(photos / "cat" / "broken.png", "mended")
    status, out, _ = shell("import", "--retry", printed["log"], "--project", printed["project"], "--json")
    assert (status, json.loads(out)["sent"], len(studio.tasks)) == (0, 1, 7)


@pytest.mark.usefixtures("studio")
def test_a_source_or_a_log(shell: Call, photos: Path) -> None:
    """One of them has to be named."""
    for words in ([], [photos, "--retry", photos]):
        status, _, err = shell("import", *words, "--project", "Photos Q4")
        assert (status, "name a SOURCE, or with --retry the log" in err) == (1, True)


def test_the_status_of_an_import_that_is_at_work_or_was_killed(shell: Call, tmp_path: Path) -> None:
    """With the rate and the time left; without a sign of life for minutes it was stopped."""
    for number, seen in ((3, time.time()), (4, time.time() - 600)):
        path = journal_file(tmp_path / "home" / "consensus" / "imports", "http://studio", number, "")
        with Journal(path) as journal:
            journal.begin("http://studio", number, "Photos", "/photos", 100, seen - 10)
            journal.progress(sent=20, earlier=30, left_out=10, now=seen)
    at_work, killed = json.loads(shell("import-status", "--json")[1])
    assert (at_work["state"], round(at_work["rate"]), at_work["waiting"], at_work["left_s"]) == (
        "at work",
        2,
        40,
        20,
    )
    assert (killed["state"], killed["left_s"]) == ("stopped", None)
    out = shell("import-status", "--project", 4)[1]
    assert "no sign of life; the same command goes on" in out
    assert "at work" not in out


def test_labels_that_look_alike_are_pointed_out(shell: Call, photos: Path, studio: InMemoryStudio) -> None:
    """They are two labels all the same."""
    make_image(photos / "Cat" / "1.png")
    err = shell("import", photos, "--project", "Photos Q4", "--dry-run")[2]
    assert "note: labels that look alike: 'Cat', 'cat'" in err
    assert studio.writes == []


def test_the_status_before_any_import(shell: Call) -> None:
    """Says that there is none."""
    assert shell("import-status")[2] == "note: no import was begun by this account\n"


def test_names_that_are_no_utf_8_are_imported_or_named(
    shell: Call, studio: InMemoryStudio, tmp_path: Path
) -> None:
    """As another system has written them: an image is imported, a label that nobody can read is left out."""
    folder, strange = tmp_path / "photos", os.fsdecode(b"caf\xe9")
    for number, path in enumerate((folder / "cat" / f"{strange}.png", folder / strange / "1.png")):
        make_image(path, number)
    (folder / "cat" / f"{strange}.txt").write_text("")
    status, _, err = shell("import", folder, "--project", "Photos Q4")
    assert status == 3
    assert "the label 'caf\\udce9' has letters that cannot be shown" in err
    assert [task["data"]["source"] for task in studio.tasks.values()] == [r"cat/caf\udce9.png"]
    status, out, _ = shell("import", folder, "--project", "Photos Q4", "--json")
    printed = json.loads(out)
    assert (printed["earlier"], len(printed["left_out"])) == (1, 2)
    status, out, _ = shell("import", "--retry", printed["log"], "--project", "Photos Q4", "--json")
    assert {row["source"] for row in json.loads(out)["left_out"]} == {r"caf\udce9/1.png"}


def test_a_name_that_no_file_can_have_is_left_out(shell: Call, studio: InMemoryStudio, photos: Path) -> None:
    """The others are imported."""
    rows = [f"photos/{name},cat\n" for name in ("x" * 300 + ".png", "cat/000.png")]
    (photos.parent / "list.csv").write_text("image,label\n" + "".join(rows))
    status, out, _ = shell("import", photos.parent / "list.csv", "--project", "Photos Q4", "--json")
    assert (status, json.loads(out)["sent"], len(studio.tasks)) == (3, 1, 1)


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("image,label\na,b.png,cat\n", "row 1: it has more cells than the head"),
        ('image,label\na.png,"c\nat"\n', r"the label 'c\nat' has letters that cannot be shown"),
    ],
)
def test_why_nothing_of_a_source_makes_a_project(
    shell: Call, studio: InMemoryStudio, tmp_path: Path, text: str, sentence: str
) -> None:
    """The first reason is said, not that there were no labels."""
    (tmp_path / "list.csv").write_text(text)
    status, _, err = shell("import", tmp_path / "list.csv", "--project", "Photos Q4")
    assert status == 1
    assert sentence in err
    assert studio.writes == []
