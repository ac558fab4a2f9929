import json
import sys
from pathlib import Path

import duckdb
import pytest

from consensus.errors import SourceError
from consensus.transfer.sources.layouts import SourceOptions, guess, read_source
from consensus.transfer.sources.records import Layout, Nested
from consensus.transfer.sources.tables import Columns

sys.path.insert(0, str(Path(__file__).parent))
from made_images import make_image

Labels = dict[str, tuple[str, ...]]


def labels_in(source: Path, layout: Layout | None = None, **options: object) -> Labels:
    """Labels by the source's name of the image."""
    records = read_source(source, layout, SourceOptions(**options)).records  # type: ignore[arg-type]
    assert len({record.source for record in records}) == len(records)
    return {record.source: record.labels for record in records}


def test_a_folder_is_the_label_of_its_images(tmp_path: Path) -> None:
    """Images at the top, and in folders that are no class, have none; hidden files are passed over."""
    for name in ("top.jpg", "cat/1.jpg", "cat/2.PNG", "dog/1.jpg", "unlabelled/1.jpg", ".git/1.jpg", "cat/.1.jpg"):
        make_image(tmp_path / name)
    (tmp_path / "cat" / "notes.txt").touch()
    (tmp_path / "cat" / "scan.tif").touch()
    assert labels_in(tmp_path) == {
        "top.jpg": (),
        "cat/1.jpg": ("cat",),
        "cat/2.PNG": ("cat",),
        "dog/1.jpg": ("dog",),
        "unlabelled/1.jpg": (),
    }
    assert labels_in(tmp_path, unlabelled=["dog"])["dog/1.jpg"] == ()
    left_out = {each.source: each.kind for each in read_source(tmp_path, None).left_out}
    assert left_out == {"cat/notes.txt": "other file", "cat/scan.tif": "not usable"}


@pytest.mark.parametrize(
    ("nested", "labels"),
    [("path", ("animal/cat",)), ("last", ("cat",)), ("each", ("animal", "cat"))],
)
def test_folders_in_folders(tmp_path: Path, nested: Nested, labels: tuple[str, ...]) -> None:
    """The whole path, its end, or each of its folders is a label."""
    make_image(tmp_path / "animal" / "cat" / "1.png")
    assert labels_in(tmp_path, nested=nested) == {"animal/cat/1.png": labels}


def test_a_table_of_paths_and_addresses(tmp_path: Path) -> None:
    """Columns are found by their names, paths begin in the table's folder, and addresses stay."""
    path = tmp_path / "list.csv"
    path.write_text("\ufefffile;label\na.png;cat\nhttps://example.com/b.png;\ns3://bucket/c.png;dog\n;cat\n")
    reading = read_source(path, None)
    assert [(record.path, record.address, record.labels) for record in reading.records] == [
        (tmp_path / "a.png", "", ("cat",)),
        (None, "https://example.com/b.png", ()),
        (None, "s3://bucket/c.png", ("dog",)),
    ]
    assert [each.reason for each in reading.left_out] == ["the source names no image"]
    assert reading.notes == [
        "layout csv (guessed; --layout names another)",
        "images from column 'file', labels from 'label'",
    ]


def test_several_labels_of_a_table(tmp_path: Path) -> None:
    """A separator parts them, and the values of several columns are taken together, each label once."""
    path = tmp_path / "list.csv"
    path.write_text("where,animal,place\na.png,cat| dog,indoors\nb.png,cat,cat\n")
    columns = Columns("where", ("animal", "place"), "|")
    assert labels_in(path, columns=columns) == {"a.png": ("cat", "dog", "indoors"), "b.png": ("cat",)}


def test_json_lines(tmp_path: Path) -> None:
    """Lists are several labels, numbers are labels, and null is none."""
    path = tmp_path / "list.jsonl"
    rows = [
        {"image": "a.png", "labels": ["x", "y"]},
        {"image": "b.png", "labels": 3},
        {"image": "c.png", "labels": None},
    ]
    path.write_text("\n".join(json.dumps(row) for row in rows))
    assert labels_in(path) == {"a.png": ("x", "y"), "b.png": ("3",), "c.png": ()}


def test_parquet(tmp_path: Path) -> None:
    """Lists in it are several labels."""
    path = tmp_path / "list.parquet"
    duckdb.execute(
        f"COPY (SELECT 'a.png' AS path, ['x', 'y'] AS labels UNION ALL SELECT 'b.png', NULL) TO '{path}'"
    )
    assert labels_in(path) == {"a.png": ("x", "y"), "b.png": ()}


def test_coco_categories_are_labels_of_the_image(tmp_path: Path) -> None:
    """Each once, however many boxes; an image that is not here stays at its address."""
    content = {
        "images": [
            {"id": 1, "file_name": "a.jpg"},
            {"id": 2, "file_name": "b.jpg", "coco_url": "http://images.example/b.jpg"},
        ],
        "annotations": [
            {"image_id": 1, "category_id": 5, "bbox": [0, 0, 1, 1]},
            {"image_id": 1, "category_id": 7},
            {"image_id": 1, "category_id": 5},
        ],
        "categories": [{"id": 5, "name": "dog"}, {"id": 7, "name": "cat"}],
    }
    path = tmp_path / "coco.json"
    path.write_text(json.dumps(content))
    assert labels_in(path) == {"a.jpg": ("dog", "cat"), "http://images.example/b.jpg": ()}


def test_coco_images_in_the_folder_of_their_split(tmp_path: Path) -> None:
    """As the published sets are laid out: `annotations/instances_NAME.json` beside `NAME`."""
    image = make_image(tmp_path / "val2017" / "a.jpg")
    path = tmp_path / "annotations" / "instances_val2017.json"
    path.parent.mkdir()
    content = {"images": [{"id": 1, "file_name": "a.jpg", "coco_url": "http://images.example/a.jpg"}]}
    path.write_text(json.dumps(content | {"categories": []}))
    assert [record.path for record in read_source(path, None).records] == [image]


def test_pascal_voc_objects_are_labels_of_the_image(tmp_path: Path) -> None:
    """The image is found beside the annotations; a broken annotation is left out alone."""
    make_image(tmp_path / "JPEGImages" / "a.jpg")
    (tmp_path / "Annotations").mkdir()
    objects = "".join(f"<object><name>{name}</name></object>" for name in ("dog", "person", "dog"))
    text = f"<annotation><filename>a.jpg</filename>{objects}</annotation>"
    (tmp_path / "Annotations" / "a.xml").write_text(text)
    (tmp_path / "Annotations" / "b.xml").write_text("<annotation>")
    assert guess(tmp_path) == "voc"
    assert labels_in(tmp_path) == {"JPEGImages/a.jpg": ("dog", "person")}
    assert [each.source for each in read_source(tmp_path, None).left_out] == ["Annotations/b.xml"]


def test_an_imagefolder_with_metadata(tmp_path: Path) -> None:
    """Each split has its own; what no line names is left out."""
    for name in ("train/a.png", "train/b.png", "test/a.png"):
        make_image(tmp_path / name)
    (tmp_path / "train" / "metadata.csv").write_text("file_name,label\na.png,cat\n")
    (tmp_path / "test" / "metadata.jsonl").write_text('{"file_name": "a.png", "label": "dog"}\n')
    reading = read_source(tmp_path, None)
    assert {record.path: record.labels for record in reading.records} == {
        tmp_path / "train" / "a.png": ("cat",),
        tmp_path / "test" / "a.png": ("dog",),
    }
    assert [each.source for each in reading.left_out] == ["train/b.png"]


def test_an_imagefolder_without_metadata(tmp_path: Path) -> None:
    """The label is the innermost folder, as there is one for each split around it."""
    make_image(tmp_path / "train" / "cat" / "a.png")
    assert labels_in(tmp_path, "imagefolder") == {"train/cat/a.png": ("cat",)}


def choice(*labels: str, control: str = "kind", **fields: object) -> dict[str, object]:
    """An annotation of an export."""
    return {"result": [{"from_name": control, "type": "choices", "value": {"choices": labels}}], **fields}


def test_an_export_of_label_studio(tmp_path: Path) -> None:
    """Most annotations decide, ground truth before all of them; skips say nothing."""
    make_image(tmp_path / "1234-a.png")
    tasks = [
        {"id": 1, "data": {"image": "/data/upload/3/1234-a.png"},
         "annotations": [choice("x"), choice("y"), choice("y")]},
        {"id": 2, "data": {"image": "s3://b/c.png"}, "annotations": [choice("x"), choice("y", ground_truth=True)]},
        {"id": 3, "data": {"image": "/data/upload/3/5-b.png", "label": "z"},
         "annotations": [choice("x", was_cancelled=True)]},
        {"id": 4, "data": {"text": "no image"}},
    ]  # fmt: skip
    path = tmp_path / "export.json"
    path.write_text(json.dumps(tasks))
    assert labels_in(path) == {"1234-a.png": ("y",), "s3://b/c.png": ("y",), "/data/upload/3/5-b.png": ("z",)}
    assert [each.source for each in read_source(path, None).left_out] == ["task 4"]


def test_an_export_with_several_controls(tmp_path: Path) -> None:
    """Which one holds the labels has to be said."""
    path = tmp_path / "export.json"
    task = {"data": {"image": "s3://b/c.png"}, "annotations": [choice("x"), choice("y", control="mood")]}
    path.write_text(json.dumps([task]))
    with pytest.raises(
        SourceError, match=r"name the one that holds the labels with --label-column \(kind, mood\)"
    ):
        read_source(path, None)
    assert labels_in(path, columns=Columns(None, ("mood",))) == {"s3://b/c.png": ("y",)}


@pytest.mark.parametrize(
    ("name", "content", "sentence"),
    [
        ("a.csv", "what,kind\nx,y\n", r"name it with --image-column \(what, kind\)"),
        ("a.jsonl", '{"image": "a.png"}\n[1]\n', "line 2: not a JSON object"),
        ("a.jsonl", "{", "line 1: not JSON"),
        ("a.json", '{"images": [{}]}', "is no COCO file"),
        ("a.json", "[1]", "no list of tasks"),
        ("a.jsonl", "[" * 100_000, "line 1: cannot be read"),
        ("a.jsonl", '{"image": "a.png", "label": ' + "1" * 5000 + "}", "line 1: cannot be read"),
        ("a.json", "[" * 100_000, "cannot be read"),
        ("a.parquet", "x", "cannot be read"),
        ("a.csv", b"image\n\xff.png", "cannot be read"),
        ("a.dat", "", "name its --layout"),
    ],
)
def test_what_cannot_be_read_is_said(tmp_path: Path, name: str, content: str | bytes, sentence: str) -> None:
    """With the file, the line and what helps."""
    path = tmp_path / name
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    with pytest.raises(SourceError, match=sentence):
        read_source(path, None)


def test_a_row_with_more_cells_than_the_head_is_left_out(tmp_path: Path) -> None:
    """An address with a comma and no quotes would give another label; empty cells at the end are none."""
    path = tmp_path / "list.csv"
    path.write_text("image,label\na,b.png,cat\nc.png,dog,,\n")
    reading = read_source(path, None)
    assert [(record.source, record.labels) for record in reading.records] == [("c.png", ("dog",))]
    assert [(each.source, each.reason) for each in reading.left_out] == [
        ("row 1", "it has more cells than the head")
    ]


LONG = "x" * 300 + ".png"


@pytest.mark.parametrize(
    ("name", "content", "source"),
    [
        ("a.csv", f"image,label\n{LONG},cat\n", LONG),
        ("a.csv", "image,label\nfile://[x/y.png,cat\n", "file://[x/y.png"),
        ("a.jsonl", '{"image": "a\\ud800.png", "label": "cat"}', "a\\ud800.png"),
        ("a.json", json.dumps({"images": [{"id": 1, "file_name": LONG}], "categories": []}), LONG),
        ("a.json", json.dumps([{"data": {"image": f"/data/upload/1/{LONG}"}}]), f"/data/upload/1/{LONG}"),
        ("a.json", json.dumps([{"data": {"image": "b.png"}, "annotations": ["x", {"result": 7}]}]), "b.png"),
        ("a.json", json.dumps([{"data": {"image": "b.png"}, "annotations": 7}]), "b.png"),
        ("a.xml", f"<annotation><filename>{LONG}</filename></annotation>", LONG),
    ],
)
def test_names_that_no_file_can_have_end_no_reading(tmp_path: Path, name: str, content: str, source: str) -> None:
    """They are records like others, whose check says what is wrong with them."""
    path = tmp_path / name
    path.write_text(content)
    assert [record.source for record in read_source(path, None).records] == [source]


def test_folders_that_are_called_like_files(tmp_path: Path) -> None:
    """They are no annotations and no metadata."""
    make_image(tmp_path / "cat" / "1.png")
    (tmp_path / "a.xml").mkdir()
    (tmp_path / "metadata.csv").mkdir()
    assert guess(tmp_path) == "folders"


def test_a_column_that_is_not_there(tmp_path: Path) -> None:
    """The columns that are there are named."""
    path = tmp_path / "list.csv"
    path.write_text("image,label\na.png,cat\n")
    with pytest.raises(SourceError, match="has no column 'kind'; it has image, label"):
        labels_in(path, columns=Columns(None, ("kind",)))


def test_a_source_that_is_not_there_or_empty(tmp_path: Path) -> None:
    """Both are said."""
    with pytest.raises(SourceError, match="there is no file or folder"):
        read_source(tmp_path / "none", None)
    with pytest.raises(SourceError, match="holds no image in the layout folders"):
        read_source(tmp_path, None)
    with pytest.raises(SourceError, match="is a folder; for the layout csv name the file"):
        read_source(tmp_path, "csv")


def test_a_file_of_xml_alone_is_no_pascal_voc(tmp_path: Path) -> None:
    """A folder may hold a label config beside its images."""
    make_image(tmp_path / "cat" / "1.png")
    (tmp_path / "config.xml").write_text("<View/>")
    assert guess(tmp_path) == "folders"
    (tmp_path / "config.xml").write_text('<?xml version="1.0"?>\n<annotation/>')
    assert guess(tmp_path) == "voc"
