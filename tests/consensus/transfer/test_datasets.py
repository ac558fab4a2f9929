"""What somebody may import who sees no files of this machine."""

import json
import os
import sys
import time
from collections.abc import Callable
from pathlib import Path

import duckdb
import pytest

from consensus.errors import SourceError
from consensus.transfer.datasets import LARGEST_FILE, LARGEST_LIST, MOST_LISTS, Datasets, SentLists
from consensus.transfer.sources.layouts import SourceOptions

sys.path.insert(0, str(Path(__file__).parent))
from made_images import make_folders, make_image


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder of datasets, and beside it what is nobody's business."""
    make_folders(tmp_path / "datasets" / "pets", 4)
    make_image(tmp_path / "secret" / "cat" / "private.png")
    (tmp_path / "secret" / "metadata.csv").write_text("file_name,label\nroot:x:0:0,secret\n")
    return tmp_path / "datasets"


def test_only_what_can_be_a_source_is_listed(folder: Path) -> None:
    """Neither hidden files, archives, names that no address has, nor links out of the folder."""
    for name in ("list.csv", "notes.txt", "photos.zip", ".hidden.csv", "a\nb.csv"):
        (folder / name).write_text("")
    with open(os.fsencode(folder) + b"/caf\xe9.csv", "wb"):  # noqa: PTH123 - a name that is no UTF-8
        pass
    (folder / "out").symlink_to(folder.parent / "secret")
    (folder / "passwords.csv").symlink_to("/etc/passwd")
    (folder / "again").symlink_to("pets")
    (folder / "round").symlink_to("round")
    os.mkfifo(folder / "pipe.csv")
    assert [each.name for each in Datasets(folder).all()] == ["a\nb.csv", "again", "list.csv", "pets"]
    assert [len(Datasets(folder).read(name, None).records) for name in ("pets", "again")] == [4, 4]


@pytest.mark.parametrize(
    "name",
    ["", ".", "..", "../secret", "pets/cat", "/etc", "pets/../../secret", "out", "nothing", "a\0b", "x" * 999],
)
def test_nothing_else_can_be_named(folder: Path, name: str) -> None:
    """Neither as a source nor as where its images are."""
    (folder / "out").symlink_to(folder.parent / "secret")
    for use in (Datasets(folder).place, lambda name: Datasets(folder).read(name, None)):
        with pytest.raises(SourceError, match=r"the folder of datasets has no|is no folder, and no file"):
            use(name)


def listed(folder: Path, *names: str) -> Path:
    """A list of images."""
    path = folder / "list.csv"
    path.write_text("image,label\n" + "".join(f'"{name}",cat\n' for name in names))
    return path


def test_lists_that_name_other_files_do_not_get_them(folder: Path) -> None:
    """Absolute, by dots, by a file address, encoded, or by a link; what lies in the folder is taken."""
    secret = folder.parent / "secret" / "cat" / "private.png"
    (folder / "pets" / "link.png").symlink_to(secret)
    names = [
        "pets/cat/000.png", "http://images.example/1.png", str(secret), "/etc/passwd", "../secret/cat/private.png",
        f"file://{secret}", "file:///%65tc/passwd", "pets/../../secret/cat/private.png", "pets/link.png",
    ]  # fmt: skip
    reading = Datasets(folder).read(listed(folder, *names).name, None)
    assert [record.source for record in reading.records] == names[:2]
    assert [each.source for each in reading.left_out] == names[2:]
    assert {each.reason for each in reading.left_out} == {"it lies outside of the folder of datasets"}
    assert {each.path for each in reading.left_out} == {None}


def coco(folder: Path, name: str) -> str:
    """A COCO file with one image."""
    image = {"id": 1, "file_name": name}
    labels = {"categories": [{"id": 1, "name": "cat"}], "annotations": [{"image_id": 1, "category_id": 1}]}
    (folder / "coco.json").write_text(json.dumps({"images": [image], **labels}))
    return "coco.json"


def voc(folder: Path, name: str) -> str:
    """A Pascal VOC annotation of one image."""
    (folder / "voc").mkdir()
    named = f"<annotation><filename>{name}</filename><object><name>cat</name></object></annotation>"
    (folder / "voc" / "1.xml").write_text(named)
    return "voc"


def export(folder: Path, name: str) -> str:
    """An export of Label Studio with one task."""
    (folder / "export.json").write_text(json.dumps([{"data": {"image": name, "label": "cat"}}]))
    return "export.json"


def lines(folder: Path, name: str) -> str:
    """A list in JSON Lines."""
    (folder / "list.jsonl").write_text(json.dumps({"image": name, "label": "cat"}))
    return "list.jsonl"


@pytest.mark.parametrize("made", [coco, voc, export, lines])
@pytest.mark.parametrize(
    "name", ["{}/secret/cat/private.png", "../secret/cat/private.png", "file://{}/secret/cat/private.png"]
)
def test_no_layout_leads_out(folder: Path, made: Callable[[Path, str], str], name: str) -> None:
    """Whatever names the image."""
    reading = Datasets(folder).read(made(folder, name.format(folder.parent)), None)
    assert (reading.records, [each.kind for each in reading.left_out]) == ([], ["refused"])


@pytest.mark.parametrize("place", ["pets", "pets/cat", "other/linked"])
@pytest.mark.parametrize("leads_to", ["secret", "secret/metadata.csv", "nothing"])
def test_a_folder_with_a_link_out_is_refused(folder: Path, place: str, leads_to: str) -> None:
    """Before anything of it is read: a list behind it would be shown. Also behind a link that stays inside."""
    (folder / "other" / "linked").mkdir(parents=True)
    (folder / place / "metadata.csv").symlink_to(folder.parent / leads_to)
    (folder / "pets" / "dog" / "more").symlink_to(folder / "other")
    with pytest.raises(
        SourceError, match=r"metadata.csv' is a link out of the folder of datasets or to nothing"
    ) as error:
        Datasets(folder).read("pets", None)
    assert str(folder.parent) not in str(error.value)


def test_a_pipe_in_a_folder_is_not_waited_for(folder: Path) -> None:
    """Nobody may ever write to it."""
    os.mkfifo(folder / "pets" / "metadata.csv")
    with pytest.raises(SourceError, match="neither a file nor a folder"):
        Datasets(folder).read("pets", "imagefolder")


def test_links_in_a_circle_end(folder: Path) -> None:
    """A folder that holds itself."""
    (folder / "pets" / "self").symlink_to(folder / "pets")
    (folder / "pets" / "all").symlink_to(folder)
    assert len(Datasets(folder).read("pets", "folders").records) == 4


def test_images_are_where_somebody_says(folder: Path) -> None:
    """In another folder of the folder of datasets."""
    listed(folder, "cat/000.png")
    datasets = Datasets(folder)
    reading = datasets.read("list.csv", None, SourceOptions(root=datasets.place("pets")))
    assert [record.path for record in reading.records] == [folder / "pets" / "cat" / "000.png"]


def test_messages_name_no_folder_of_this_machine(folder: Path) -> None:
    """But what lies in the folder."""
    (folder / "list.csv").write_text("a,b\n1,2\n")
    with pytest.raises(SourceError, match=r"which column of list\.csv holds"):
        Datasets(folder).read("list.csv", None)
    with pytest.raises(SourceError, match="CONSENSUS_IMPORT_DIR names is not there"):
        Datasets(folder / "nowhere")


def test_images_of_coco_beside_their_annotations_are_found(folder: Path) -> None:
    """And called as they are in the folder of datasets, wherever that is."""
    make_image(folder / "set" / "images" / "1.png")
    coco(folder / "set", "1.png")
    (folder / "top.json").symlink_to("set/coco.json")
    assert [record.source for record in Datasets(folder).read("top.json", None).records] == ["set/images/1.png"]


def test_a_list_that_was_sent_has_addresses_alone(tmp_path: Path, folder: Path) -> None:
    """Files of this machine are no more its than those of who sent it."""
    lists = SentLists(tmp_path / "lists")
    names = [
        "s3://bucket/1.png",
        "https://images.example/2.png",
        str(folder / "pets/cat/000.png"),
        "../x.png",
        "file:///etc/passwd",
    ]
    kept = lists.add("C:\\fakepath\\list.csv", listed(tmp_path, *names).read_bytes())
    reading = lists.read(kept, None)
    assert [record.address for record in reading.records] == names[:2]
    assert [each.source for each in reading.left_out] == names[2:]
    assert all("it is no address" in each.reason for each in reading.left_out)


@pytest.mark.parametrize(
    ("name", "content", "why"),
    [
        ("list.exe", b"x", "a list is a file of .csv"),
        ("list.zip", b"PK", "a list is a file of .csv"),
        ("list.csv", b"", "the list has 0 bytes"),
        ("list.csv", b"x" * (LARGEST_LIST + 1), "are taken"),
    ],
)  # fmt: skip
def test_what_is_no_list_is_not_kept(tmp_path: Path, name: str, content: bytes, why: str) -> None:
    """By its name or its size."""
    with pytest.raises(SourceError, match=why):
        SentLists(tmp_path / "lists").add(name, content)


@pytest.mark.parametrize("name", ["../secret.csv", "x.csv", "/etc/passwd", f"{'0' * 64}.csv", f"{'0' * 64}.csv\n"])
def test_only_lists_that_were_sent_are_read(tmp_path: Path, name: str) -> None:
    """By the name that they got."""
    with pytest.raises(SourceError, match="send it again"):
        SentLists(tmp_path / "lists").read(name, None)


def test_a_list_with_nonsense_in_it_is_refused_in_words(tmp_path: Path) -> None:
    """Without the name of its file here."""
    lists = SentLists(tmp_path / "lists")
    for content in (b"[" * 100_000, b'{"images": 7}', b"\xff\xfe", b"nonsense"):
        with pytest.raises(SourceError) as error:
            lists.read(lists.add("x.json", content), None)
        assert str(tmp_path) not in str(error.value)


def test_only_so_many_lists_are_kept(tmp_path: Path) -> None:
    """The latest."""
    lists = SentLists(tmp_path / "lists")
    names = list[str]()
    for number in range(MOST_LISTS + 3):
        names.append(lists.add("x.csv", str(number).encode()))
        os.utime(tmp_path / "lists" / names[-1], (number, number))
    lists.add("x.csv", b"last")
    assert not (tmp_path / "lists" / names[0]).exists()
    assert (tmp_path / "lists" / names[-1]).exists()


def test_ten_thousand_entries_are_listed_in_no_time(folder: Path) -> None:
    """By their names, without a look into them."""
    for number in range(10_000):
        (folder / f"{number}.csv").touch()
    began = time.process_time()
    assert len(Datasets(folder).all()) == 10_001
    assert time.process_time() - began < 2


def test_a_name_is_no_pattern(folder: Path) -> None:
    """DuckDB would read all files that match."""
    with duckdb.connect() as database:
        for name in ("[ab]*.parquet", "a.parquet", "b.parquet"):
            rows = f"SELECT 'http://images.example/{name[:4]}' AS image, 'cat' AS label"
            database.execute(f"COPY ({rows}) TO '{folder}/{name}'")
    reading = Datasets(folder).read("[ab]*.parquet", None)
    assert [record.address for record in reading.records] == ["http://images.example/[ab]"]


def test_a_list_that_fills_the_memory_is_refused(folder: Path) -> None:
    """Before it is read."""
    with (folder / "large.json").open("wb") as file:
        file.truncate(LARGEST_FILE + 1)
    with pytest.raises(SourceError, match="consensus import reads larger ones"):
        Datasets(folder).read("large.json", None)
