"""Exports of a project in memory, whose votes can be counted by hand."""

import csv
import hashlib
import io
import json
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path

import duckdb
import httpx
import pytest
from in_memory_label_studio import URL, InMemoryStudio, Json, choices, config, region
from web_in_memory import Web

from common.errors import FilesError
from common.images.fetch import Fetcher
from consensus.core.dataset.choosing import Choosing
from consensus.core.dataset.names import MARKER
from consensus.errors import ConfigError
from consensus.label_studio import Studio
from consensus.projects.run import run
from consensus.settings import ProjectConfig
from consensus.store.store import Store
from consensus.transfer.export import Exported, Request, write_dataset
from consensus.transfer.export_images import ImageSource
from consensus.transfer.sources.layouts import read_source

NOW = datetime(2026, 1, 1, tzinfo=UTC)
KIND = choices("kind", "cat", "dog", "a/b", "=cat")
PNG = b"\x89PNG\r\n\x1a\n"
ACCOUNTS = {number: f"a{number}@example.com" for number in range(1, 7)}


def task(number: int, given: str | None, *votes: str, **data: object) -> Json:
    """A task whose image was uploaded, with a vote an annotator."""
    annotations = [
        {"id": number * 10 + account, "completed_by": account, "result": [region("kind", vote)]}
        for account, vote in enumerate(votes, start=1)
    ]
    label = {"label": given} if given else {}
    address = {"image": f"/data/upload/7/0123abcd-{number}.png"}
    return {"task_id": number, "data": {**address, **label, **data}, "annotations": annotations}


TASKS = (
    task(1, "cat", *["cat"] * 5),
    task(2, "cat", *["dog"] * 6),
    task(3, "dog"),
    task(4, None, *["a/b"] * 5),
    task(5, None),
    *(task(number, "dog", *["dog"] * 5) for number in range(6, 16)),
)


class Project:
    """A Label Studio in memory, the store of a run on it, and exports of that."""

    def __init__(self, folder: Path, *tasks: Json, controls: tuple[str, ...] = (KIND,)) -> None:
        self.folder = folder
        self.label_studio = InMemoryStudio(config('<Header value="$label"/>', *controls), title="Seven | <b>")
        self.label_studio.accounts = ACCOUNTS
        for made in tasks:
            self.label_studio.add_task(**made)
        self.web = Web(
            {f"/data/upload/7/0123abcd-{made['task_id']}.png": PNG + b"%d" % made["task_id"] for made in tasks}
        )
        self.store = Store.migrated(f"sqlite:///{folder}/store.db")
        self.studio = Studio(self.label_studio.client(), "of a test", lambda _: None)
        self.run()

    def run(self) -> None:
        """Let the reports be those of the votes."""
        run(self.studio, self.store, ProjectConfig(), 7, now=lambda: NOW)

    def export(
        self,
        layout: str = "folders",
        name: str = "out",
        *,
        originals: Path | None = None,
        replace: bool = False,
        **asked: object,
    ) -> Exported:
        """Export it."""
        fetcher = Fetcher(
            base_url=URL,
            authorization=self.studio.client.authorization,
            max_bytes=1000,
            timeout_s=5,
            connect=lambda _: httpx.MockTransport(self.web.answer),
        )
        with closing(fetcher):
            return write_dataset(
                self.studio,
                self.store,
                ImageSource(fetcher, originals),
                Request(7, layout, "consensus export OUT", **asked),  # type: ignore[arg-type]
                self.folder / name,
                now=NOW,
                replace=replace,
            )

    def files(self, name: str = "out") -> dict[str, bytes]:
        """What a folder holds, by path."""
        root = self.folder / name
        return {
            path.relative_to(root).as_posix(): path.read_bytes()
            for path in sorted(root.rglob("*"))
            if path.is_file()
        }

    def rows(self, table: str = "labels.csv", name: str = "out") -> list[dict[str, str]]:
        """A table of CSV."""
        return list(csv.DictReader(io.StringIO((self.folder / name / table).read_text())))


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Project:
    """A project that no test changes."""
    return Project(tmp_path_factory.mktemp("project"), *TASKS)


def test_folders_hold_the_right_bytes_under_the_label_that_is_believed(project: Project) -> None:
    """Votes win over the given label, nobody's look keeps it, and an item without a label is left out."""
    project.export(name="folders")
    files = project.files("folders")
    images = {path: content for path, content in files.items() if path.endswith(".png")}
    assert images == {
        "cat/1.png": PNG + b"1",
        "dog/2.png": PNG + b"2",
        "dog/3.png": PNG + b"3",
        "a%2Fb/4.png": PNG + b"4",
        **{f"dog/{number}.png": PNG + b"%d" % number for number in range(6, 16)},
    }
    assert {*files} - {*images} == {"labels.csv", "left-out.csv", "README.md", MARKER}
    second, third = project.rows(name="folders")[1:3]
    assert (second["image"], second["label"], second["given"], second["decided_by"]) == (
        "dog/2.png",
        "dog",
        "cat",
        "votes",
    )
    assert (second["report"], second["yes"], second["no"]) == ("Discovered", "6", "0")
    assert (third["label"], third["decided_by"], third["report"], third["at"]) == ("dog", "given", "NoVotes", "")
    [left_out] = project.rows("left-out.csv", "folders")
    assert (left_out["task"], left_out["address"]) == ("5", "/data/upload/7/0123abcd-5.png")
    assert left_out["reason"] == "it came without a label of the control, and the last run saw no vote on it"


@pytest.mark.parametrize("layout", ["folders", "csv", "jsonl", "parquet", "coco", "imagefolder"])
def test_the_same_state_gives_the_same_bytes(project: Project, layout: str) -> None:
    """Also where a folder is replaced."""
    names = f"{layout}-1", f"{layout}-2"
    for name in names:
        project.export(layout, name)
    project.export(layout, names[1], replace=True)
    assert project.files(names[0]) == project.files(names[1])


def test_tables_hold_the_same_labels_and_addresses_that_anybody_can_ask(project: Project) -> None:
    """A CSV, JSON Lines and Parquet differ in how unknown values are written."""
    for layout in ("csv", "jsonl", "parquet"):
        project.export(layout, f"table-{layout}")
    lines = (project.folder / "table-jsonl" / "labels.jsonl").read_text().splitlines()
    rows = [json.loads(line) for line in lines]
    assert rows[0]["image"] == f"{URL}/data/upload/7/0123abcd-1.png"
    parquet = duckdb.sql(f"FROM '{project.folder}/table-parquet/labels.parquet'")
    assert [dict(zip(parquet.columns, row, strict=True)) for row in parquet.fetchall()] == rows
    texts = [{name: "" if value is None else str(value) for name, value in row.items()} for row in rows]
    assert project.rows(name="table-csv") == texts


def test_images_join_a_table_where_they_are_asked_for(project: Project) -> None:
    """Their paths are those within the folder."""
    project.export("csv", "copied", with_images=True)
    assert [row["image"] for row in project.rows(name="copied")][:2] == ["images/1.png", "images/2.png"]
    assert project.files("copied")["images/2.png"] == PNG + b"2"


def test_coco_has_an_annotation_a_label(project: Project) -> None:
    """Ids lead from an annotation to its image and its category."""
    project.export("coco", "coco")
    content = json.loads((project.folder / "coco" / "annotations.json").read_text())
    names = {category["id"]: category["name"] for category in content["categories"]}
    assert list(names.values()) == ["cat", "dog", "a/b", "=cat"]
    images = {image["id"]: image for image in content["images"]}
    labels = {each["image_id"]: names[each["category_id"]] for each in content["annotations"]}
    assert labels.keys() == images.keys()
    assert [labels[number] for number in (1, 2, 3, 4)] == ["cat", "dog", "dog", "a/b"]
    assert len({each["id"] for each in content["annotations"]}) == len(content["annotations"]) == 14


def test_an_imagefolder_has_a_line_for_each_of_its_files(project: Project) -> None:
    """`datasets` wants the path of each under file_name, below the metadata."""
    project.export("imagefolder", "hf")
    lines = (project.folder / "hf" / "metadata.jsonl").read_text().splitlines()
    rows = [json.loads(line) for line in lines]
    files = {path for path in project.files("hf") if path.endswith(".png")}
    assert {row["file_name"] for row in rows} == files
    assert len(rows) == 14
    assert all(row.keys() == rows[0].keys() for row in rows)
    assert rows[1]["label"] == "dog"


def test_the_readme_counts_and_says_from_what_to_what(project: Project) -> None:
    """What others wrote breaks no table."""
    project.export("csv", "readme", choosing=Choosing("votes"))
    text = (project.folder / "readme" / "README.md").read_text()
    assert text.startswith("# Seven \\| &lt;b>: kind\n")
    assert "13 labels of 13 images of project 7; 2 left out." in text
    assert "| from \\ to | dog |\n| --- | --- |\n| **cat** | 1 |" in text
    assert "| AllConfirmed | 11 |" in text
    assert "| not confirmed by votes | 1 |" in text
    assert "    consensus export OUT\n" in text


def test_no_cell_of_a_csv_is_a_formula(tmp_path: Path) -> None:
    """A label may look like one."""
    project = Project(tmp_path, task(1, "=cat"), task(2, "cat"))
    project.export("csv")
    assert [row["label"] for row in project.rows()] == ["'=cat", "cat"]


def test_images_that_cannot_be_had_are_left_out_with_the_reason(tmp_path: Path) -> None:
    """The others are there."""
    odd = task(4, "cat") | {"data": {"label": "cat"}}
    local = task(5, "cat", image="file:///etc/passwd")
    project = Project(tmp_path, task(1, "cat"), task(2, "cat"), task(3, "cat"), odd, local)
    project.web.pages["/data/upload/7/0123abcd-2.png"] = 404
    project.web.pages["/data/upload/7/0123abcd-3.png"] = b"x" * 1001
    exported = project.export()
    assert {path for path in project.files() if path.endswith(".png")} == {"cat/1.png"}
    assert exported.failures.keys() == {2, 3, 4, 5}
    reasons = [row["reason"] for row in project.rows("left-out.csv")]
    assert reasons[0] == "the image cannot be had: there is none at its address"
    assert all(reason.startswith("the image cannot be had: ") for reason in reasons)
    assert [row["task"] for row in project.rows()] == ["1"]


@pytest.fixture
def imported(tmp_path: Path) -> Project:
    """A project of images that were imported from a folder: one has changed since, one is another file."""
    originals = tmp_path / "photos"
    (originals / "cat").mkdir(parents=True)
    for name in ("same.png", "changed.png"):
        (originals / "cat" / name).write_bytes(name.encode())
    (tmp_path / "secret.png").write_bytes(b"secret")
    checksums = [hashlib.sha256(name).hexdigest() for name in (b"same.png", b"was another", b"secret", b"secret")]
    sources = ["cat/same.png", "cat/changed.png", "../secret.png", str(tmp_path / "secret.png")]
    tasks = [
        task(number, "cat", source=source, checksum=checksum)
        for number, (source, checksum) in enumerate(zip(sources, checksums, strict=True), start=1)
    ]
    return Project(tmp_path, *tasks)


@pytest.mark.parametrize("link", [None, "hard", "symbolic"])
def test_an_image_is_taken_from_where_it_was_imported_if_it_is_the_same(
    imported: Project, link: str | None
) -> None:
    """What has changed, or lies outside of the folder, is fetched; names are those of the import."""
    originals = imported.folder / "photos"
    imported.export(originals=originals, link=link)
    files = imported.files()
    assert {path: content for path, content in files.items() if path.endswith(".png")} == {
        "cat/same.png": b"same.png",
        "cat/changed.png": PNG + b"2",
        "cat/secret.png": PNG + b"3",
        "cat/secret-2.png": PNG + b"4",
    }
    place, original = imported.folder / "out" / "cat" / "same.png", originals / "cat" / "same.png"
    assert place.is_symlink() == (link == "symbolic")
    assert place.samefile(original) == (link is not None)


def test_a_table_names_the_files_that_were_imported(imported: Project) -> None:
    """Others have their address."""
    imported.export("csv", originals=imported.folder / "photos")
    images = [row["image"] for row in imported.rows()]
    assert images[0] == str(imported.folder / "photos" / "cat" / "same.png")
    assert images[1] == f"{URL}/data/upload/7/0123abcd-2.png"


def test_a_decision_since_the_last_run_is_in_the_export_and_gone_once_undone(tmp_path: Path) -> None:
    """It names who decided and the batch."""
    project = Project(tmp_path, *TASKS)
    what = {"project": 7, "task": 3, "control": "kind", "at": NOW, "source": "review", "batch": "b1"}
    made = {**what, "label": "cat", "verdict": "corrected", "decided_by": "boss@example.com"}
    project.store.decisions.log([made])
    project.export("csv")
    third = project.rows()[2]
    assert (third["label"], third["decided_by"], third["batch"]) == ("cat", "boss@example.com", "b1")
    assert (third["at"], third["confidence"]) == ("2026-01-01T00:00:00Z", "1.0")
    [row] = project.store.decisions.standing(7)
    project.store.decisions.log([{**made, "label": "", "verdict": "undone", "undoes": row["id"]}])
    project.export("csv", replace=True)
    assert project.rows()[2]["decided_by"] == "given"


def test_a_decision_on_yes_or_no_is_about_the_given_label(tmp_path: Path) -> None:
    """Yes keeps it, no leaves the item out, whatever the votes say."""
    check = choices("check", "Correct", "Wrong")
    tasks = [task(number, "cat") for number in (1, 2, 3)]
    project = Project(tmp_path, *tasks, controls=(check,))
    logged = {"project": 7, "control": "check", "at": NOW, "source": "review", "decided_by": "boss@example.com"}
    project.store.decisions.log(
        [
            {**logged, "task": 1, "label": "Correct", "verdict": "confirmed"},
            {**logged, "task": 2, "label": "Wrong", "verdict": "corrected"},
        ]
    )
    project.export("csv")
    assert [(row["task"], row["label"], row["decided_by"]) for row in project.rows()] == [
        ("1", "cat", "boss@example.com"),
        ("3", "cat", "given"),
    ]
    [left_out] = project.rows("left-out.csv")
    assert left_out["reason"] == "decided to have none of the labels: boss@example.com"


def test_ground_truth_is_its_authors_decision(tmp_path: Path) -> None:
    """It settles the label at the next run."""
    project = Project(tmp_path, *TASKS)
    truth = {"id": 999, "completed_by": 2, "ground_truth": True, "result": [region("kind", "cat")]}
    project.label_studio.tasks[3]["annotations"].append(
        project.label_studio.tasks[2]["annotations"][0] | truth | {"updated_at": "2026-02-03T04:05:06.000000Z"}
    )
    project.run()
    project.export("csv")
    third = project.rows()[2]
    assert (third["label"], third["decided_by"], third["at"]) == ("cat", ACCOUNTS[2], "2026-02-03T04:05:06Z")
    assert (third["report"], third["confidence"], third["upper"]) == ("Discovered", "1.0", "1.0")


def test_several_labels_of_a_task_are_a_row_each(tmp_path: Path) -> None:
    """In folders the image lies under each; an imagefolder has them as a list."""
    traits = choices("kind", "eggs", "cilia", choice="multiple")
    both = [region("kind", "eggs", "cilia")]
    made = task(1, None)
    made["annotations"] = [{"id": number, "completed_by": number, "result": both} for number in range(1, 7)]
    others = [task(number, None, *["eggs"] * 6) for number in range(2, 12)]
    project = Project(tmp_path, made, *others, controls=(traits,))
    project.export()
    assert project.files()["eggs/1.png"] == project.files()["cilia/1.png"] == PNG + b"1"
    assert [(row["task"], row["label"], row["given"]) for row in project.rows()][:2] == [
        ("1", "cilia", "[]"),
        ("1", "eggs", "[]"),
    ]
    project.export("imagefolder", "hf")
    columns = "task, file_name, label, given, decided_by"
    first = duckdb.sql(f"SELECT {columns} FROM '{tmp_path}/hf/metadata.parquet' ORDER BY task").fetchall()[0]
    assert first == (1, "images/1.png", ["cilia", "eggs"], [], ["votes", "votes"])
    project.export("csv", "table")
    project.export("coco", "coco", with_images=True)
    for source in ("hf", "table/labels.csv", "coco/annotations.json"):
        imported = read_source(tmp_path / source, None)
        assert imported.left_out == []
        assert len(imported.records) == 11
        assert imported.records[0].labels == ("cilia", "eggs")


def test_a_project_with_several_controls_wants_a_name(tmp_path: Path) -> None:
    """The message has the names."""
    second = choices("second", "x", "y")
    project = Project(tmp_path, *TASKS, controls=(KIND, second))
    with pytest.raises(ConfigError, match="name one of kind, second with --control"):
        project.export("csv")
    with pytest.raises(ConfigError, match="no control 'third'"):
        project.export("csv", control="third")
    project.export("csv", control="second")
    assert project.rows() == []
    assert not [path for path in tmp_path.iterdir() if path.name.startswith(".out")]


def test_nothing_is_replaced_that_no_export_made(project: Project) -> None:
    """And what an export made only if that is asked for."""
    mine = project.folder / "mine"
    mine.mkdir()
    (mine / "thesis.txt").write_text("all of it")
    for replace in (False, True):
        with pytest.raises(FilesError, match="no export has made it"):
            project.export("csv", "mine", replace=replace)
    assert project.files("mine") == {"thesis.txt": b"all of it"}
    project.export("csv", "twice")
    with pytest.raises(FilesError, match="--replace"):
        project.export("csv", "twice")
    with pytest.raises(FilesError, match="it is no folder"):
        project.export("csv", "store.db")


class Interrupted(Exception):  # noqa: N818 - of this test alone
    """The end of a process."""


@pytest.mark.parametrize("after", [0, 1, 7])
def test_what_is_interrupted_leaves_what_was_there(project: Project, after: int) -> None:
    """No scratch folder stays behind."""
    name = f"interrupted-{after}"
    project.export("folders", name)
    before = project.files(name)
    (project.folder / name / "dog" / "2.png").write_bytes(b"so that one sees which it is")
    answer, answers = project.web.answer, iter(range(100))

    def answer_so_often(request: httpx.Request) -> httpx.Response:
        if next(answers) >= after:
            raise Interrupted
        return answer(request)

    project.web.answer = answer_so_often  # type: ignore[method-assign]
    try:
        with pytest.raises(Interrupted):
            project.export("folders", name, replace=True)
    finally:
        project.web.answer = answer  # type: ignore[method-assign]
    assert project.files(name) == before | {"dog/2.png": b"so that one sees which it is"}
    assert not [path for path in project.folder.iterdir() if path.name.startswith(".")]
    project.export("folders", name, replace=True)
    assert project.files(name) == before


@pytest.mark.parametrize(
    ("layout", "source"),
    [
        ("folders", ""),
        ("csv", "labels.csv"),
        ("jsonl", "labels.jsonl"),
        ("parquet", "labels.parquet"),
        ("coco", "annotations.json"),
        ("imagefolder", ""),
    ],
)
def test_what_is_exported_can_be_imported(tmp_path: Path, layout: str, source: str) -> None:
    """Labels and images are the same, whatever the labels are called, and nothing is left out."""
    labels = ["cat", "a/b", "=cat", "-1", "CON"]
    control = choices("kind", *labels)
    tasks = [task(number, label) for number, label in enumerate(labels, start=1)]
    project = Project(tmp_path, *tasks, controls=(control,))
    project.export(layout, with_images=True)
    reading = read_source(tmp_path / "out" / source, None)
    assert reading.left_out == []
    assert {record.path.read_bytes(): record.labels for record in reading.records if record.path} == {
        PNG + b"%d" % number: (label,) for number, label in enumerate(labels, start=1)
    }


@pytest.mark.parametrize("layout", ["csv", "jsonl", "parquet", "coco"])
@pytest.mark.parametrize("address", ["//host/1.png", "http://[x/1.png", "http://h/" + "x" * 5000 + ".png"])
def test_an_address_that_nobody_can_ask_for_ends_no_export_of_addresses(
    tmp_path: Path, layout: str, address: str
) -> None:
    """It stands there as the task has it."""
    odd = task(1, "cat")
    odd["data"]["image"] = address
    exported = Project(tmp_path, odd).export(layout)
    assert ([each.label for each in exported.dataset.labels], exported.failures) == (["cat"], {})
