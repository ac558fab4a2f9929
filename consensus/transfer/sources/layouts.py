"""The layouts of sources: which one a source has, and its reading."""

from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass
from pathlib import Path

from consensus.errors import SourceError
from consensus.transfer.sources.detections import load_json, read_coco, read_voc
from consensus.transfer.sources.folders import UNLABELLED, read_folders
from consensus.transfer.sources.label_studio_export import read_label_studio_export
from consensus.transfer.sources.records import ENDINGS, Layout, LeftOut, Nested, Reading, is_file
from consensus.transfer.sources.tables import NO_COLUMNS, READERS, Columns, read_table

_BY_ENDING: dict[str, Layout] = {
    ".csv": "csv", ".tsv": "csv", ".jsonl": "jsonl", ".ndjson": "jsonl", ".parquet": "parquet", ".xml": "voc",
}  # fmt: skip
_METADATA = "metadata"
_BEGINNING = 2000  # bytes in which a file of XML shows what it is


@dataclass(frozen=True)
class SourceOptions:
    """What a person says about a source.

    Attributes
    ----------
    root : Path, optional
        Where the paths in a file begin; None: in the folder of the file.
    """

    root: Path | None = None
    columns: Columns = NO_COLUMNS
    nested: Nested = "path"
    unlabelled: Collection[str] = UNLABELLED


NO_OPTIONS = SourceOptions()


def read_source(source: Path, layout: Layout | None, options: SourceOptions = NO_OPTIONS) -> Reading:
    """Read a source; the first of its notes says which layout was guessed, where none is given.

    Raises
    ------
    SourceError
        Where it is not there, cannot be read, or holds no image.
    """
    if not source.exists():
        raise SourceError(f"there is no file or folder {source}")
    chosen = layout or guess(source)
    if source.is_dir() and chosen in ("csv", "jsonl", "parquet", "coco", "label-studio"):
        raise SourceError(f"{source} is a folder; for the layout {chosen} name the file")
    if source.is_file() and chosen in ("folders", "imagefolder"):
        raise SourceError(f"{source} is a file; for the layout {chosen} name the folder")
    reading = LAYOUTS[chosen](source, options)
    if layout is None:
        reading.notes.insert(0, f"layout {chosen} (guessed; --layout names another)")
    if not reading.records and not reading.left_out:
        raise SourceError(f"{source} holds no image in the layout {chosen}")
    return reading


def guess(source: Path) -> Layout:
    """Guess the layout of a source from its name and what is in it."""
    if source.is_file():
        ending = source.suffix.lower()
        if ending == ".json":
            return "coco" if isinstance(load_json(source), dict) else "label-studio"
        if ending not in _BY_ENDING:
            raise SourceError(f"what {source} holds is not clear from its name; name its --layout")
        return _BY_ENDING[ending]
    if next(_metadata_files(source), None):
        return "imagefolder"
    files = (path for pattern in ("Annotations/*.xml", "*.xml") for path in source.glob(pattern) if is_file(path))
    first = next(files, None)
    try:
        return "voc" if first and b"<annotation" in first.read_bytes()[:_BEGINNING] else "folders"
    except OSError as error:
        raise SourceError(f"{first} cannot be read: {error.strerror}") from None


def _metadata_files(folder: Path) -> Iterator[Path]:
    return (
        path
        for pattern in (f"{_METADATA}.*", f"*/{_METADATA}.*")
        for path in sorted(folder.glob(pattern))
        if path.suffix.lower() in READERS and is_file(path)
    )


def read_imagefolder(folder: Path, options: SourceOptions = NO_OPTIONS) -> Reading:
    """Read a Hugging Face `imagefolder`, by its metadata; without any, an image's label is its folder's name.

    https://huggingface.co/docs/datasets/image_dataset
    """
    columns = Columns(options.columns.image or "file_name", options.columns.labels, options.columns.separator)
    reading = Reading()
    for path in _metadata_files(folder):
        table = read_table(path, path.parent, columns)
        reading.records += table.records
        reading.left_out += table.left_out
        reading.notes += [f"{path.relative_to(folder)}: {note}" for note in table.notes]
    if not reading.notes:
        return read_folders(folder, nested="last", unlabelled=options.unlabelled)
    listed = {record.path.resolve() for record in reading.records if record.path}
    for path in sorted(folder.rglob("*")):
        if path.suffix.lower() in ENDINGS and path.resolve() not in listed:
            name = path.relative_to(folder).as_posix()
            reading.left_out.append(LeftOut(name, "no image", "no metadata names it", path=path))
    return reading


def _folders(source: Path, options: SourceOptions) -> Reading:
    return read_folders(source, nested=options.nested, unlabelled=options.unlabelled)


def _table(source: Path, options: SourceOptions) -> Reading:
    return read_table(source, options.root or source.parent, options.columns)


LAYOUTS: dict[Layout, Callable[[Path, SourceOptions], Reading]] = {
    "folders": _folders,
    "csv": _table,
    "jsonl": _table,
    "parquet": _table,
    "coco": lambda source, options: read_coco(source, options.root or source.parent),
    "voc": lambda source, options: read_voc(
        source, options.root or (source if source.is_dir() else source.parent)
    ),
    "imagefolder": read_imagefolder,
    "label-studio": lambda source, options: read_label_studio_export(
        source, options.root or source.parent, options.columns
    ),
}
