"""Label configs: one made of the labels of a source, and one to which labels are added.

https://labelstud.io/tags/choices
"""

import xml.etree.ElementTree as ET
from collections.abc import Iterable

IMAGE_KEY, GIVEN_KEY = "image", "given"
"""Keys of the tasks' data: the address of the image, and the label (or list of them) that it came with."""
ANSWERS = ("yes", "no", "unsure")


def choices_config(control: str, labels: Iterable[str], *, multiple: bool) -> str:
    """Return a label config that asks for the label of an image, or for several; the given one is not shown.

    Examples
    --------
    >>> print(choices_config("label", ["cat", "R&D"], multiple=False))
    <View>
      <Image name="image" value="$image" />
      <Choices name="label" toName="image" choice="single" showInline="true">
        <Choice value="cat" />
        <Choice value="R&amp;D" />
      </Choices>
    </View>
    """
    view = ET.Element("View")
    ET.SubElement(view, "Image", name="image", value=f"${IMAGE_KEY}")
    return _with_choices(view, control, labels, "multiple" if multiple else "single")


def verification_config(control: str) -> str:
    """Return a label config that shows the given label and asks whether it is right."""
    view = ET.Element("View")
    ET.SubElement(view, "Header", value=f"Is this label right: ${GIVEN_KEY}")
    ET.SubElement(view, "Image", name="image", value=f"${IMAGE_KEY}")
    return _with_choices(view, control, ANSWERS, "single")


def with_labels(label_config: str, control: str, labels: Iterable[str]) -> str:
    """Return a label config whose control offers more labels; the rest stays as it is, with its comments."""
    tree = ET.fromstring(label_config, ET.XMLParser(target=ET.TreeBuilder(insert_comments=True)))  # noqa: S314 - Label Studio's
    for tag in tree.iter():
        attributes = {name.lower(): value for name, value in tag.attrib.items()}
        if str(tag.tag).lower() == "choices" and attributes.get("name") == control:
            for label in labels:
                ET.SubElement(tag, "Choice", value=label)
    ET.indent(tree)
    return ET.tostring(tree, encoding="unicode")


def _with_choices(view: ET.Element, control: str, labels: Iterable[str], choice: str) -> str:
    tag = ET.SubElement(view, "Choices", name=control, toName="image", choice=choice, showInline="true")
    for label in labels:
        ET.SubElement(tag, "Choice", value=label)
    ET.indent(view)
    return ET.tostring(view, encoding="unicode")
