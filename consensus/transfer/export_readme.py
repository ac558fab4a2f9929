"""The README of a dataset: what is in it, how it came about, and the command that made it."""

import shlex
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from common.contract import REPORT_NAMES
from consensus.core.dataset.believed import BelievedLabel
from consensus.core.dataset.choosing import Dataset

MOST = 20
"""Labels and reasons that have a row of their own."""
IN_WORDS = {
    "person": "decided by a person",
    "machine": "decided by a machine account",
    "votes": "confirmed by votes",
    "given": "given, and neither confirmed nor called wrong",
    "doubtful": "doubtful: the evidence prefers it",
}
METHOD = """\
A decision that stands wins. Else a label holds that the votes confirm (reports AllConfirmed and Discovered), and
the label that a task came with is kept unless the votes call it wrong (report MisClassified).

| column | meaning |
|---|---|
| `image` | path in this folder, or path or address of the image |
| `label`, `given` | the label as it is now believed, and the one that the task came with |
| `report` | of the label in the last run; empty where it is in none |
| `confidence`, `upper` | lower and upper bound of the 95 % interval of the posterior; 1 where a person decided |
| `posterior` | how probable the label is after the votes |
| `yes`, `no`, `unsure` | votes on the label |
| `decided_by` | `votes`, an account, a machine account with its model version, `given` or `doubtful` |
| `at`, `batch` | when the last vote was made or the decision, and the batch of the decision |
| `task`, `control`, `address` | where it is in Label Studio |

`left-out.csv` lists what is not here, each with its reason. In a CSV, a text that a spreadsheet would take for a
formula begins with an apostrophe.
"""


@dataclass(frozen=True)
class Provenance:
    """Where a dataset comes from.

    Attributes
    ----------
    command : str
        That made it.
    versions : mapping of str to str
        Of programs and what else decided, by what they are called.
    """

    title: str
    project: int
    control: str
    command: str
    versions: Mapping[str, str]


def readme(dataset: Dataset, provenance: Provenance) -> str:
    """Write the README, in Markdown; it says nothing of the moment in which it is written."""
    labels = dataset.labels
    n_images = len({believed.task for believed in labels})
    moments = [believed.at for believed in labels if believed.at]
    latest = f" The latest vote or decision in it is of {max(moments)}." if moments else ""
    counts = f"{len(labels)} labels of {n_images} images of project {provenance.project}; "
    counts += f"{len(dataset.left_out)} left out."
    sections = [
        f"# {_cell(provenance.title)}: {_cell(provenance.control)}",
        counts + latest,
        f"    {provenance.command}",
        "## How a label is decided\n\n" + METHOD.rstrip(),
        _table("Labels", ("label", "images"), _most_frequent(believed.label for believed in labels)),
        _table("Decided by", ("decided by", "labels"), _by_basis(labels)),
        _table("Reports", ("report", "labels"), _by_report(labels)),
        _changes(labels),
        _table("Left out", ("reason", "items"), _most_frequent(each.kind for each in dataset.left_out)),
        _table("Versions", ("of", "version"), provenance.versions.items()),
    ]
    return "\n\n".join(section for section in sections if section) + "\n"


def _by_basis(labels: Iterable[BelievedLabel]) -> list[tuple[str, int]]:
    counts = Counter(believed.basis for believed in labels)
    return [(words, counts[basis]) for basis, words in IN_WORDS.items() if counts[basis]]  # type: ignore[index]


def _by_report(labels: Iterable[BelievedLabel]) -> list[tuple[str, int]]:
    counts = Counter(believed.candidate.report for believed in labels)
    return [(report or "in none", counts[report]) for report in (*REPORT_NAMES, "") if counts[report]]


def _most_frequent(texts: Iterable[str]) -> list[tuple[str, int]]:
    """Count texts, the most frequent first and then by name; the others are one row."""
    counts = sorted(Counter(texts).items(), key=lambda pair: (-pair[1], pair[0]))
    rest = sum(count for _, count in counts[MOST:])
    return counts[:MOST] + ([(f"({len(counts) - MOST} others)", rest)] if rest else [])


def _changes(labels: Iterable[BelievedLabel]) -> str:
    """Lay out from which given label to which other one, for the most frequent, as a matrix."""
    pairs = Counter((given, believed.label) for believed in labels if believed.changed for given in believed.given)
    if not pairs:
        return ""
    from_labels = [label for label, _ in _totals(given for given, _ in pairs.elements())]
    to_labels = [label for label, _ in _totals(label for _, label in pairs.elements())]
    rows = ((f"**{given}**", *(pairs[given, label] or "" for label in to_labels)) for given in from_labels)
    shown = sum(pairs[given, label] for given in from_labels for label in to_labels)
    more = f"\n\n{pairs.total() - shown} other changes are not shown." if shown < pairs.total() else ""
    return _table("Changed", ("from \\ to", *to_labels), rows) + more


def _totals(labels: Iterable[str]) -> list[tuple[str, int]]:
    return sorted(Counter(labels).items(), key=lambda pair: (-pair[1], pair[0]))[:MOST]


def _table(title: str, columns: Iterable[str], rows: Iterable[Iterable[object]]) -> str:
    lines = [_line(columns), _line("---" for _ in columns), *map(_line, rows)]
    return f"## {title}\n\n" + "\n".join(lines) if len(lines) > 2 else ""  # noqa: PLR2004 - the head


def _line(cells: Iterable[object]) -> str:
    return f"| {' | '.join(_cell(str(cell)) for cell in cells)} |"


def _cell(text: str) -> str:
    """Write a text into a table: a bar or a line break would end its cell, and a bracket begin a tag."""
    return " ".join(text.replace("|", "\\|").replace("<", "&lt;").split()) or " "


def command(options: dict[str, Any]) -> str:
    """Return the command with these options; what is not set is left out.

    Examples
    --------
    >>> command({"--project": 7, "--only": "votes", "--link": None, "--copy-images": True, "--control": "my kind"})
    "consensus export --project 7 --only votes --copy-images --control 'my kind' OUT"
    """
    words = ["consensus", "export"]
    for name, value in options.items():
        if value is not None and value is not False:
            words += [name] if value is True else [name, str(value)]
    return shlex.join([*words, "OUT"])
