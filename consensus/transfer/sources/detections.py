"""Labels of whole images out of boxes: COCO and Pascal VOC.

https://cocodataset.org/#format-data
http://host.robots.ox.ac.uk/pascal/VOC/voc2012/htmldoc/devkit_doc.html#SECTION00050000000000000000
"""

import json
import xml.etree.ElementTree as ET
from collections import defaultdict
from pathlib import Path
from typing import Any

from consensus.errors import SourceError
from consensus.transfer.sources.records import ADDRESS, LeftOut, Reading, is_file

_ADDRESS_KEYS = ("coco_url", "flickr_url")
_IMAGE_FOLDERS = ("", "JPEGImages", "images")


def read_coco(path: Path, root: Path) -> Reading:
    """Read the images of a COCO file; an image's labels are the categories of its annotations.

    Files are looked for below the root, in a folder `images`, and in one beside the annotations that is named
    after the split. Where a file is in none and the COCO file has an address for it, it stays there.

    Raises
    ------
    SourceError
        Where the file is no COCO file.
    """
    content = load_json(path)
    split = path.stem.rpartition("_")[2]  # instances_train2017.json and the folder train2017 beside its own
    places = [root, root / "images", *(path.parent.parent / name for name in ("images", split, f"images/{split}"))]
    try:
        names = {each["id"]: str(each["name"]) for each in content["categories"]}
        labels: dict[Any, list[str]] = defaultdict(list)
        for annotation in content.get("annotations") or ():
            labels[annotation["image_id"]].append(names[annotation["category_id"]])
        reading = Reading()
        for image in content["images"]:
            name = str(image["file_name"])
            address = next((image[key] for key in _ADDRESS_KEYS if ADDRESS.match(str(image.get(key)))), "")
            place = next((each for each in places if is_file(each / name)), None)
            there = name if place in (None, root) else str(Path(place or root) / name)
            reading.add(address if address and place is None else there, labels[image["id"]], root)
    except (KeyError, TypeError, AttributeError) as error:
        raise SourceError(f"{path} is no COCO file: {type(error).__name__} {error}") from None
    return reading


def read_voc(folder: Path, root: Path) -> Reading:
    """Read the annotations of Pascal VOC; an image's labels are the names of its objects.

    Raises
    ------
    SourceError
        Where there are none.
    """
    reading = Reading()
    paths = [folder] if folder.is_file() else sorted(folder.rglob("*.xml"))
    for path in paths:
        name = path.relative_to(folder).as_posix() if path != folder else path.name
        try:
            annotation = ET.fromstring(path.read_bytes())  # noqa: S314 - expat bounds what entities grow to
        except (ET.ParseError, OSError, ValueError) as error:
            reading.left_out.append(LeftOut(name, "no image", f"the annotation cannot be read: {error}"))
            continue
        if annotation.tag != "annotation":
            continue
        labels = [text for each in annotation.iterfind("object/name") if (text := (each.text or "").strip())]
        file_name = (annotation.findtext("filename") or f"{path.stem}.jpg").strip()
        places = [place / part for place in (root, path.parent, path.parent.parent) for part in _IMAGE_FOLDERS]
        place = next((each for each in places if is_file(each / file_name)), root)
        shown = place.relative_to(root).as_posix() if place.is_relative_to(root) else str(place)
        reading.add(file_name if shown == "." else f"{shown}/{file_name}", labels, root)
    if not reading.records and not reading.left_out:
        raise SourceError(f"{folder} holds no annotation of Pascal VOC (*.xml with <annotation>)")
    return reading


def load_json(path: Path) -> Any:  # noqa: ANN401 - any JSON
    """Read a JSON file.

    Raises
    ------
    SourceError
        Where it is none.
    """
    try:
        return json.loads(path.read_text(encoding="utf-8-sig"))
    except json.JSONDecodeError as error:
        raise SourceError(f"{path}, line {error.lineno}: not JSON: {error.msg}") from None
    except UnicodeDecodeError:
        raise SourceError(f"{path} is no UTF-8 text") from None
    except (RecursionError, ValueError) as error:  # nested too deeply, a number of thousands of digits
        raise SourceError(f"{path} cannot be read: {error}") from None
    except OSError as error:
        raise SourceError(f"{path} cannot be read: {error.strerror}") from None
