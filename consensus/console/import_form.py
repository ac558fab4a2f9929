"""The form of an import: what somebody has chosen, in the words of the page."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, get_args

from werkzeug.exceptions import BadRequest

from consensus.transfer.import_options import ImportOptions
from consensus.transfer.sources.layouts import SourceOptions
from consensus.transfer.sources.records import Layout, Nested
from consensus.transfer.sources.tables import Columns

LAYOUTS: tuple[Layout, ...] = get_args(Layout)
NESTED: dict[Nested, str] = {"path": "a/b", "last": "b alone", "each": "both a and b"}
"""What the label of a/b/1.jpg is."""
LABELS = {
    "project": "Title",
    "layout": "Layout",
    "label-column": "Columns of labels",
    "image-column": "Column of images",
    "separator": "Between several labels",
    "root": "Folder of the images",
    "control": "Control",
    "nested": "Folders in folders",
    "verify": "Ask whether the given label is right",
    "add-labels": "Add labels that the project does not offer",
    "restore": "Import again what was deleted in Label Studio",
    "overlap": "Annotators of each image",
}
"""The fields, by the options of `consensus import`, in whose words its messages are."""
_OPTION = re.compile(rf"--({'|'.join(LABELS)})(?![a-z-])")


@dataclass(frozen=True)
class ImportForm:
    """What somebody wants to import, and how.

    Attributes
    ----------
    project : int or None
        None: one with the title is made.
    entry : str
        Name at the top of the folder of datasets; "" where a list was sent.
    sent : str
        Name of a list that was sent, as `SentLists` has it.
    called : str
        What somebody calls the source.
    values : mapping of str to str
        The other fields as they were filled in.
    """

    project: int | None
    entry: str
    sent: str
    called: str
    values: Mapping[str, str]

    @classmethod
    def read(cls, project: int | None, address: Mapping[str, str], form: Mapping[str, str]) -> "ImportForm":
        """Read what the address says of the source and the form of the rest.

        Raises
        ------
        BadRequest
            Where no source is named, or a field has a value that it does not offer.
        """
        entry, sent = address.get("entry", ""), address.get("list", "")
        if bool(entry) == bool(sent):
            raise BadRequest("Choose what is to be imported.")
        names = ("title", *(name.replace("-", "_") for name in LABELS if name != "project"))
        values = {name: form[name].strip() for name in names if form.get(name, "").strip()}
        if values.get("layout", LAYOUTS[0]) not in LAYOUTS or values.get("nested", "path") not in NESTED:
            raise BadRequest("The form names a layout, or a meaning of folders, that there is not.")
        if not values.get("overlap", "3").isdecimal():
            raise BadRequest(f"{LABELS['overlap']} is {values['overlap']!r}; use a whole number, as in 3")
        title = values.get("title", "")
        if project is None and title.isdecimal():
            raise BadRequest("A title of digits alone is the id of a project: give it a word.")
        return cls(project, entry, sent, entry or address.get("called") or "a list", values)

    @property
    def source(self) -> dict[str, Any]:
        """What an address needs to name the source: a hidden field would lose a line break of a name."""
        named = {"entry": self.entry, "list": self.sent, "called": self.called if self.sent else ""}
        return {name: value for name, value in named.items() if value}

    @property
    def address(self) -> dict[str, Any]:
        """What an address needs to have the whole form."""
        return {**self.source, **self.values}

    @property
    def layout(self) -> Layout | None:
        """The layout; None: it is guessed."""
        return self.values.get("layout")  # type: ignore[return-value]  # one of LAYOUTS

    def source_options(self) -> SourceOptions:
        """Return how the source is read; its root is its reader's to find."""
        columns = tuple(name.strip() for name in self.values.get("label_column", "").split(",") if name.strip())
        nested: Nested = self.values.get("nested", "path")  # type: ignore[assignment]  # one of NESTED
        return SourceOptions(
            columns=Columns(self.values.get("image_column"), columns, self.values.get("separator")), nested=nested
        )

    def import_options(self) -> ImportOptions:
        """Return what is made of it; the settings file is added by whoever imports."""
        overlap = self.values.get("overlap")
        return ImportOptions(
            str(self.project) if self.project is not None else self.values.get("title", ""),
            control=self.values.get("control"),
            overlap=max(int(overlap), 1) if overlap and self.project is None else None,
            verify="verify" in self.values,
            add_labels="add_labels" in self.values,
            restore="restore" in self.values,
        )


def in_words_of_the_form(text: str) -> str:
    """Name fields where a message names options of the command.

    Examples
    --------
    >>> in_words_of_the_form("--add-labels adds what is missing")
    '“Add labels that the project does not offer” adds what is missing'
    """
    return _OPTION.sub(lambda option: f"“{LABELS[option[1]]}”", text)
