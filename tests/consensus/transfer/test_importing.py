import json
import random
import shutil
import sys
import tomllib
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx
import pytest
from in_memory_label_studio import InMemoryStudio, choices, config

from common.errors import LabelStudioError
from common.files import held
from consensus.errors import ConfigError, SourceError, StoreError
from consensus.transfer import importing, targets
from consensus.transfer.failures import FailureLog, read_failures
from consensus.transfer.import_options import ImportOptions
from consensus.transfer.import_outcome import ImportOutcome
from consensus.transfer.importing import run_import
from consensus.transfer.journal import statuses
from consensus.transfer.project_settings import add_settings
from consensus.transfer.sources.layouts import read_source
from consensus.transfer.sources.records import Reading, Record

sys.path.insert(0, str(Path(__file__).parent))
from made_images import make_folders, make_image

TITLE = "Photos Q4"


class KilledError(BaseException):
    """The end of a program from outside."""


@pytest.fixture
def studio() -> InMemoryStudio:
    """A Label Studio without a project of the title."""
    return InMemoryStudio()


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Ten images in two folders."""
    return make_folders(tmp_path / "photos", 10)


@pytest.fixture
def small_groups(monkeypatch: pytest.MonkeyPatch) -> None:
    """Few images a request, so that an import has many of them."""
    monkeypatch.setattr(importing, "_TASKS_A_REQUEST", 4)


def imported(
    studio: InMemoryStudio,
    source: Path | Reading,
    tmp_path: Path,
    *,
    dry_run: bool = False,
    **options: Any,  # noqa: ANN401 - of ImportOptions
) -> ImportOutcome:
    """The outcome of an import."""
    reading = source if isinstance(source, Reading) else read_source(source, None)
    project, sleep = options.pop("project", TITLE), options.pop("sleep", lambda _seconds: None)
    log = FailureLog(tmp_path / "log.jsonl")
    chosen = ImportOptions(project, **{"batch": 2, "parallel": 2, **options})
    return run_import(
        studio.client(),
        reading,
        "photos",
        chosen,
        tmp_path / "imports",
        log,
        dry_run=dry_run,
        threads=2,
        sleep=sleep,
    )


def tasks_of(studio: InMemoryStudio) -> list[dict[str, Any]]:
    """The data of the tasks, in the order of the source."""
    return sorted((task["data"] for task in studio.tasks.values()), key=lambda data: data["source"])


def test_a_project_is_made_with_the_labels_and_images_of_the_source(
    studio: InMemoryStudio, folder: Path, tmp_path: Path
) -> None:
    """Each task has its label and the bytes of its file; three annotators see it."""
    outcome = imported(studio, folder, tmp_path)
    assert (outcome.sent, outcome.earlier, outcome.left_out) == (10, 0, [])
    project = studio.projects[outcome.target.project_id or 0]
    assert (project["title"], project["maximum_annotations"]) == (TITLE, 3)
    assert [name for name in ("cat", "dog") if f'<Choice value="{name}" />' in project["label_config"]] == [
        "cat",
        "dog",
    ]
    contents = {f"/data/{upload['file']}": upload["content"] for upload in studio.uploads.values()}
    for data in tasks_of(studio):
        assert data["given"] == data["source"].split("/")[0]
        assert contents[data["image"]] == (folder / data["source"]).read_bytes()


def test_a_dry_run_sends_and_writes_nothing(studio: InMemoryStudio, folder: Path, tmp_path: Path) -> None:
    """What it shows is what the import then does."""
    make_image(folder / "cat" / "twin.png", 0)
    shown = imported(studio, folder, tmp_path, dry_run=True)
    assert studio.writes == []
    assert {path.name for path in tmp_path.iterdir()} == {"photos"}
    done = imported(studio, folder, tmp_path)
    assert (shown.sent, shown.left_out, shown.labels) == (done.sent, done.left_out, done.labels)
    assert shown.target.label_config == done.target.label_config


def test_the_same_import_again_sends_nothing(studio: InMemoryStudio, folder: Path, tmp_path: Path) -> None:
    """Also without its journal: the tasks tell what they are of."""
    imported(studio, folder, tmp_path)
    for lost in (False, True):
        if lost:
            shutil.rmtree(tmp_path / "imports")
        studio.requests.clear()
        outcome = imported(studio, folder, tmp_path)
        assert (outcome.sent, outcome.earlier, outcome.left_out, studio.writes) == (0, 10, [], [])


def test_what_is_left_out_is_named_and_logged(studio: InMemoryStudio, folder: Path, tmp_path: Path) -> None:
    """Duplicates with their twin, and what does not open; the rest is imported."""
    make_image(folder / "dog" / "zz.png", 0)
    (folder / "cat" / "zz.png").write_bytes(b"GIF89a")
    cut = (folder / "dog" / "001.png").read_bytes()[:-30]
    (folder / "dog" / "zzz.png").write_bytes(cut)
    make_image(folder / "dog" / "zzzz.png", 77, "TIFF")
    outcome = imported(studio, folder, tmp_path)
    reasons = {each.source: each.reason for each in outcome.left_out}
    assert reasons.pop("dog/zz.png") == "the same image as cat/000.png, which has the label cat and not dog"
    assert reasons.pop("cat/zz.png").startswith("it does not open")
    assert reasons.pop("dog/zzz.png").startswith("it does not open")
    assert reasons.pop("dog/zzzz.png").startswith("TIFF is shown by no browser")
    assert (reasons, outcome.sent, len(outcome.failures)) == ({}, 10, 3)
    lines = [json.loads(line) for line in (tmp_path / "log.jsonl").read_text().splitlines()]
    assert Counter(line["kind"] for line in lines) == {"duplicate": 1, "not usable": 3}


def test_what_failed_is_imported_once_it_is_mended(studio: InMemoryStudio, folder: Path, tmp_path: Path) -> None:
    """The log is the source then; duplicates of it are no images to be tried again."""
    (folder / "cat" / "zz.png").write_bytes(b"broken")
    make_image(folder / "dog" / "zz.png", 0)
    imported(studio, folder, tmp_path)
    make_image(folder / "cat" / "zz.png", "mended")
    outcome = imported(studio, read_failures(tmp_path / "log.jsonl"), tmp_path)
    assert (outcome.sent, outcome.left_out) == (1, [])
    assert [data["given"] for data in tasks_of(studio) if data["source"] == "cat/zz.png"] == ["cat"]


def test_images_of_the_project_are_duplicates(studio: InMemoryStudio, folder: Path, tmp_path: Path) -> None:
    """Under another name, or with another label; the task is named."""
    imported(studio, folder, tmp_path)
    other = tmp_path / "other"
    shutil.copytree(folder / "cat", other / "dog")
    outcome = imported(studio, other, tmp_path)
    first = next(number for number, task in studio.tasks.items() if task["data"]["source"] == "cat/000.png")
    assert outcome.left_out[0].reason == (
        f"the same image as task {first} of the project (cat/000.png), which has the label cat and not dog"
    )
    assert (outcome.sent, len(outcome.left_out)) == (0, 5)


def test_deleted_tasks_come_back_only_when_asked(studio: InMemoryStudio, folder: Path, tmp_path: Path) -> None:
    """A person who deleted a task does not get it back by importing what is new."""
    imported(studio, folder, tmp_path)
    del studio.tasks[min(studio.tasks)]
    outcome = imported(studio, folder, tmp_path)
    assert (outcome.sent, outcome.earlier) == (0, 9)
    assert "was deleted in Label Studio since" in outcome.left_out[0].reason
    assert imported(studio, folder, tmp_path, restore=True).sent == 1


def test_unknown_labels_are_named_and_added_when_asked(
    studio: InMemoryStudio, folder: Path, tmp_path: Path
) -> None:
    """Until then their images are left out; the rest of the label config stays."""
    imported(studio, folder, tmp_path)
    make_image(folder / "bird" / "1.png")
    outcome = imported(studio, folder, tmp_path)
    assert [(each.source, each.kind) for each in outcome.left_out] == [("bird/1.png", "label")]
    assert "no label bird on control 'label'" in outcome.left_out[0].reason
    outcome = imported(studio, folder, tmp_path, add_labels=True)
    assert (outcome.sent, outcome.target.added) == (1, ("bird",))
    assert studio.projects[outcome.target.project_id or 0]["label_config"].count("<Choice ") == 3


def test_several_labels_make_a_multiple_choice(studio: InMemoryStudio, tmp_path: Path) -> None:
    """Then every task holds a list; a project of one label an image refuses those with several."""
    paths = [make_image(tmp_path / f"{number}.png") for number in range(2)]
    records = [Record("0.png", ("cat", "dog"), paths[0]), Record("1.png", ("cat",), paths[1])]
    outcome = imported(studio, Reading(records), tmp_path)
    assert 'choice="multiple"' in (outcome.target.label_config or "")
    assert [data["given"] for data in tasks_of(studio)] == [["cat", "dog"], ["cat"]]
    studio.projects[outcome.target.project_id or 0]["label_config"] = config(choices("label", "cat", "dog"))
    third = Record("2.png", ("cat", "dog"), make_image(tmp_path / "2.png"))
    assert "takes one label an image" in imported(studio, Reading([third]), tmp_path).left_out[0].reason


def test_a_verification_shows_the_given_label(studio: InMemoryStudio, folder: Path, tmp_path: Path) -> None:
    """Images without a label are left out, now and when the project is there and still empty."""
    make_image(folder / "top.png")
    outcome = imported(studio, folder, tmp_path, verify=True)
    assert (outcome.sent, [each.source for each in outcome.left_out]) == (10, ["top.png"])
    project = studio.projects[outcome.target.project_id or 0]
    assert all(text in project["label_config"] for text in ("$given", "yes", "no", "unsure"))
    studio.tasks.clear()
    shutil.rmtree(tmp_path / "imports")
    assert imported(studio, folder, tmp_path).sent == 10


def test_addresses_stay_where_they_are(studio: InMemoryStudio, tmp_path: Path) -> None:
    """They are not fetched; the same address is a duplicate."""
    records = [Record(name, ("cat",), address=name) for name in ("https://a.example/1.png", "s3://b/2.png")]
    outcome = imported(studio, Reading([*records, Record("again", ("cat",), address="s3://b/2.png")]), tmp_path)
    assert [data["image"] for data in tasks_of(studio)] == ["https://a.example/1.png", "s3://b/2.png"]
    assert (outcome.left_out[0].reason, studio.uploads) == ("the same image as s3://b/2.png", {})
    assert imported(studio, Reading(records), tmp_path).earlier == 2


def test_an_existing_project_keeps_its_keys(studio: InMemoryStudio, folder: Path, tmp_path: Path) -> None:
    """Of the image and of the given label, whatever they are called."""
    label_config = '<View><Image name="image" value="$photo"/>' + choices("kind", "cat", "dog") + "</View>"
    studio.add_project(label_config, 9, title=TITLE)
    studio.add_task({"photo": "/1.png", "label": "cat"}, project=9)
    imported(studio, folder, tmp_path)
    added = [task["data"] for task in studio.tasks.values() if "source" in task["data"]]
    assert {frozenset(data) for data in added} == {frozenset({"photo", "label", "source", "checksum"})}


@pytest.mark.parametrize(
    ("label_config", "options", "sentence"),
    [
        (config(), {}, "has 0 choices about an image"),
        (config(choices("a", "x"), choices("b", "y")), {}, r"2 choices about an image \(a, b\); name one"),
        (config('<Text name="t" value="$text"/>', choices("a", "x")), {}, "need text as well as an image"),
        (config(choices("a", "x")), {"control": "b"}, "no choices 'b' about an image; it has a"),
        (config(choices("a", "x")), {"verify": True}, "leave --verify out"),
        (config(choices("a", "x")), {"overlap": 5}, "shows each task to 1 annotators"),
    ],
)
def test_a_project_that_does_not_fit_is_refused(
    studio: InMemoryStudio, folder: Path, tmp_path: Path, label_config: str, options: dict[str, Any], sentence: str
) -> None:
    """With what helps, before anything is sent."""
    studio.add_project(label_config, 9, title=TITLE)
    with pytest.raises(ConfigError, match=sentence):
        imported(studio, folder, tmp_path, **options)
    assert studio.writes == []


def test_a_project_is_named_by_its_id_or_one_title(studio: InMemoryStudio, folder: Path, tmp_path: Path) -> None:
    """An id that is not there makes no project, nor does a title that two have, or that Label Studio refuses."""
    assert imported(studio, folder, tmp_path, project=f" {TITLE} ").target.title == TITLE
    for number in (8, 9):
        studio.add_project(config(choices("a", "cat", "dog")), number, title=TITLE)
    with pytest.raises(ConfigError, match="projects 8, 9 all have the title"):
        imported(studio, folder, tmp_path)
    with pytest.raises(ConfigError, match="no project 77"):
        imported(studio, folder, tmp_path, project="77")
    with pytest.raises(ConfigError, match="Label Studio takes 3 to 50"):
        imported(studio, folder, tmp_path, project="ab")
    assert imported(studio, folder, tmp_path, project="9").sent == 10


def test_a_project_that_was_made_meanwhile_is_no_second_one(
    studio: InMemoryStudio, folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Two imports that begin together make one project."""
    original = importing.make_project

    def later(*arguments: Any) -> Any:  # noqa: ANN401 - as it is called
        studio.add_project(config(choices("label", "cat", "dog")), 9, title=TITLE)
        return original(*arguments)

    monkeypatch.setattr(importing, "make_project", later)
    with pytest.raises(ConfigError, match="was made meanwhile; the same command imports into it"):
        imported(studio, folder, tmp_path)
    monkeypatch.undo()
    assert imported(studio, folder, tmp_path).target.project_id == 9


def test_a_source_without_labels_makes_no_project(studio: InMemoryStudio, tmp_path: Path) -> None:
    """There would be nothing to choose from."""
    make_image(tmp_path / "photos" / "1.png")
    with pytest.raises(SourceError, match="no image of the source has a label"):
        imported(studio, tmp_path / "photos", tmp_path)


def test_the_settings_file_is_added_to_and_never_overwritten(
    studio: InMemoryStudio, folder: Path, tmp_path: Path
) -> None:
    """What a person wrote stays byte for byte, also where it speaks of the control already."""
    path = tmp_path / "consensus.toml"
    path.write_text('policy = "wilson"  # ours\n[projects.8.trust]\n"a@example.com" = 0.5')
    outcome = imported(studio, folder, tmp_path, config=path)
    text = path.read_text()
    assert text.startswith('policy = "wilson"  # ours\n[projects.8.trust]\n"a@example.com" = 0.5\n\n')
    section = tomllib.loads(text)["projects"][str(outcome.target.project_id)]["controls"]
    assert (section, outcome.settings) == ({"label": {"given": "given"}}, "added")
    assert imported(studio, folder, tmp_path, config=path).settings == "said"
    path.write_text(f"[projects]\n{outcome.target.project_id} = {{policy = 'wilson'}}\n")
    before = path.read_text()
    assert imported(studio, folder, tmp_path, config=path).settings == "lines"
    assert path.read_text() == before


def test_the_settings_file_is_added_to_by_one_import_at_a_time(
    studio: InMemoryStudio, folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One into another project would lose what the first has added."""
    free = []

    def watched(*arguments: Any) -> bool:  # noqa: ANN401 - of add_settings
        with held(tmp_path / "imports" / "settings.lock", wait=False) as is_free:
            free.append(is_free)
        return add_settings(*arguments)

    monkeypatch.setattr(importing, "add_settings", watched)
    assert imported(studio, folder, tmp_path, config=tmp_path / "new.toml").settings == "added"
    assert free == [False]


def test_a_journal_that_cannot_be_written_is_said_before_anything_is_sent(
    studio: InMemoryStudio, folder: Path, tmp_path: Path
) -> None:
    """In one sentence."""
    (tmp_path / "imports").write_text("")
    with pytest.raises(StoreError, match=r"the journal of imports in .* cannot be written: File exists"):
        imported(studio, folder, tmp_path)
    assert studio.writes == []


def test_a_new_settings_file_is_made(studio: InMemoryStudio, folder: Path, tmp_path: Path) -> None:
    """Where the one that is named is not there."""
    path = tmp_path / "new.toml"
    assert imported(studio, folder, tmp_path, config=path, verify=True).settings == "added"
    assert list(tomllib.loads(path.read_text())["projects"].values()) == [
        {"controls": {"check": {"kind": "verification", "given": "given"}}}
    ]


def test_one_image_that_is_refused_keeps_no_other_out(
    studio: InMemoryStudio, folder: Path, tmp_path: Path
) -> None:
    """A batch that Label Studio refuses is sent in halves."""

    def refuse(request: httpx.Request) -> httpx.Response | None:
        if b"-004.png" not in request.content:
            return None
        return httpx.Response(400, json={"detail": "no 4, please"})

    studio.faults["POST /import"] = refuse
    outcome = imported(studio, folder, tmp_path)
    assert (outcome.sent, [each.source for each in outcome.left_out]) == (9, ["cat/004.png"])
    assert outcome.left_out[0].reason.endswith("no 4, please")


def test_labels_that_cannot_be_shown_or_chosen(
    studio: InMemoryStudio, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A label config could not hold them; a column with a text in each row is no column of labels."""
    labels = ("a\x1b", "b", "c", "$d")
    paths = [make_image(tmp_path / f"{number}.png") for number in range(4)]
    records = [Record(path.name, (label,), path) for path, label in zip(paths, labels, strict=True)]
    outcome = imported(studio, Reading(records), tmp_path)
    assert [each.reason for each in outcome.left_out] == [
        r"the label 'a\x1b' has letters that cannot be shown",
        "the label '$d' begins as a key of the task does in Label Studio",
    ]
    assert outcome.target.labels == ("b", "c")
    monkeypatch.setattr(targets, "MOST_LABELS", 1)
    with pytest.raises(SourceError, match=r"the source has 2 labels, such as 'b'; is that the column of labels"):
        imported(studio, Reading(records), tmp_path, project="Another")


def test_a_file_that_changes_meanwhile_is_left_out(studio: InMemoryStudio, folder: Path, tmp_path: Path) -> None:
    """Its task would have the checksum of another file."""
    reading = read_source(folder, None)
    original = importing.batches

    def batches(*arguments: Any) -> Any:  # noqa: ANN401 - as it is called
        (folder / "dog" / "009.png").write_bytes(b"changed")
        return original(*arguments)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(importing, "batches", batches)
        outcome = imported(studio, reading, tmp_path)
    assert [(each.source, each.reason) for each in outcome.left_out] == [
        ("dog/009.png", "the file was changed while it was imported")
    ]
    assert outcome.sent == 9


def test_too_many_requests_are_waited_out(studio: InMemoryStudio, folder: Path, tmp_path: Path) -> None:
    """A proxy's 429 is no refusal of the images."""
    count = 0

    def busy(_request: httpx.Request) -> httpx.Response | None:
        nonlocal count
        count += 1
        return httpx.Response(429, json={"detail": "later"}) if count % 3 == 0 else None

    studio.faults["POST /import$"] = busy
    assert imported(studio, folder, tmp_path, parallel=1).sent == 10


def test_a_token_that_ends_is_said_and_nothing_is_tried_again(
    studio: InMemoryStudio, folder: Path, tmp_path: Path
) -> None:
    """With a new one the same command goes on."""
    studio.faults["POST /import$"] = httpx.Response(401, json={"detail": "Invalid token."})
    with pytest.raises(LabelStudioError, match="refused the token"):
        imported(studio, folder, tmp_path, parallel=1)
    assert studio.writes.count("POST /api/projects/8/import") <= 5  # each batch once
    studio.faults.clear()
    assert imported(studio, folder, tmp_path).sent == 10


def assert_whole(studio: InMemoryStudio, n_images: int) -> None:
    """Every image has one task, one project was made, and no task is without its file."""
    assert Counter(data["source"] for data in tasks_of(studio)) == Counter(
        {f"{('cat', 'dog')[number % 2]}/{number:03}.png": 1 for number in range(n_images)}
    )
    assert [project["title"] for project in studio.projects.values()].count(TITLE) == 1
    addresses = {f"/data/{upload['file']}" for upload in studio.uploads.values()}
    assert {data["image"] for data in tasks_of(studio)} <= addresses


def fault_at(
    studio: InMemoryStudio, number: int, fault: Callable[[], BaseException], when: str
) -> Callable[[], None]:
    """Let the n-th request end so, before or after it took effect; after a kill, none is answered."""
    count = 0

    def answer(request: httpx.Request) -> None:
        nonlocal count
        count += 1
        raised = fault()
        if count == number:
            if when == "after":
                studio.faults.clear()
                studio.handle_request(request)
                studio.faults.update(faults)
            raise raised
        if count > number and isinstance(raised, KilledError):
            raise raised

    faults = dict.fromkeys(("GET .", "POST .", "PATCH ."), answer)
    studio.faults.update(faults)
    return studio.faults.clear


@pytest.mark.usefixtures("small_groups")
@pytest.mark.parametrize("when", ["before", "after"])
@pytest.mark.parametrize("number", range(1, 27))
def test_killed_at_any_request_and_started_again(
    studio: InMemoryStudio, folder: Path, tmp_path: Path, number: int, when: str
) -> None:
    """Nothing is doubled and nothing lost, nor is a file uploaded twice."""
    revive = fault_at(studio, number, KilledError, when)
    try:
        imported(studio, folder, tmp_path)
    except KilledError:
        pass
    else:
        assert len(studio.requests) < number
    revive()
    imported(studio, folder, tmp_path)
    assert_whole(studio, 10)
    assert len(studio.uploads) == 10


@pytest.mark.usefixtures("small_groups")
@pytest.mark.parametrize("seed", range(12))
def test_killed_again_and_again(studio: InMemoryStudio, folder: Path, tmp_path: Path, seed: int) -> None:
    """At random requests, until an import comes to its end."""
    draw = random.Random(seed)
    for _ in range(50):
        revive = fault_at(studio, draw.randint(4, 12), KilledError, draw.choice(["before", "after"]))
        try:
            imported(studio, folder, tmp_path)
        except KilledError:
            revive()
        else:
            break
    revive()
    imported(studio, folder, tmp_path)
    assert_whole(studio, 10)


@pytest.mark.usefixtures("small_groups")
@pytest.mark.parametrize("when", ["before", "after"])
@pytest.mark.parametrize("number", range(1, 10))
@pytest.mark.parametrize("status", [0, 500, 502])
def test_a_lost_answer_ends_no_import(
    studio: InMemoryStudio, folder: Path, tmp_path: Path, number: int, when: str, status: int
) -> None:
    """After a POST it looks for what arrived, and sends only what did not."""
    answer = httpx.Response(status, json={"detail": "database is locked"}) if status else None
    count = 0

    def fault(request: httpx.Request) -> httpx.Response | None:
        nonlocal count
        count += 1
        if count != number:
            return None
        if when == "after":
            studio.faults.clear()
            studio.handle_request(request)
            studio.faults["POST ."] = fault
        if answer is None:
            raise httpx.ReadTimeout("late")
        return answer

    studio.faults["POST ."] = fault
    try:
        outcome = imported(studio, folder, tmp_path)
        assert (outcome.sent, outcome.left_out) == (10, [])
    except LabelStudioError:
        assert number == 1  # the project: the same command finds it, or makes it
        studio.faults.clear()
        imported(studio, folder, tmp_path)
    assert_whole(studio, 10)


@pytest.mark.usefixtures("small_groups")
def test_tasks_that_arrive_after_the_kill_are_waited_for(
    studio: InMemoryStudio, folder: Path, tmp_path: Path
) -> None:
    """Label Studio goes on with a request whose sender is dead."""
    late: list[httpx.Request] = []

    def kill(request: httpx.Request) -> None:
        if request.headers["content-type"] == "application/json":
            late.append(request)
            raise KilledError

    studio.faults["POST /import$"] = kill
    with pytest.raises(KilledError):
        imported(studio, folder, tmp_path)
    studio.faults.clear()

    def sleep(_seconds: float) -> None:
        while late:
            studio.handle_request(late.pop())

    outcome = imported(studio, folder, tmp_path, sleep=sleep)
    assert_whole(studio, 10)
    assert (outcome.sent, outcome.earlier, outcome.doubled) == (6, 4, [])


@pytest.mark.usefixtures("small_groups")
def test_tasks_that_arrive_later_still_are_named(studio: InMemoryStudio, folder: Path, tmp_path: Path) -> None:
    """Nobody can wait for ever: where a request was at work for longer, its doubles are said."""
    late: list[httpx.Request] = []

    def kill(request: httpx.Request) -> None:
        if request.headers["content-type"] == "application/json":
            late.append(request)
            raise KilledError

    studio.faults["POST /import$"] = kill
    with pytest.raises(KilledError):
        imported(studio, folder, tmp_path)
    n_made = 0

    def arrive(request: httpx.Request) -> None:
        nonlocal n_made
        n_made += request.headers["content-type"] == "application/json"
        if n_made == 3 and late:
            studio.handle_request(late.pop())

    studio.faults = {"POST /import$": arrive}
    outcome = imported(studio, folder, tmp_path)
    assert len(outcome.doubled) == 4
    assert {len(tasks.split(", ")) for tasks in outcome.doubled} == {2}


def test_two_imports_at_once_are_refused(studio: InMemoryStudio, folder: Path, tmp_path: Path) -> None:
    """The second says so; and while the first is at work, its status can be read."""
    seen: list[Any] = []

    def meanwhile(_request: httpx.Request) -> None:
        studio.faults.clear()
        with pytest.raises(StoreError, match="another import into project"):
            imported(studio, folder, tmp_path)
        seen.extend(statuses(tmp_path / "imports"))

    studio.faults["POST /import$"] = meanwhile
    imported(studio, folder, tmp_path, parallel=1)
    assert [(status.title, status.total, status.sent, status.waiting, status.ended) for status in seen] == [
        (TITLE, 10, 0, 10, 0.0)
    ]
    (after,) = statuses(tmp_path / "imports")
    assert (after.sent, after.waiting, after.ended >= after.began) == (10, 0, True)
