"""What an accusation is worth: MisClassified, Discovered, and given labels that the crowd contradicts.

    python benchmarks/accusations.py --data DIR

LabelMe comes with simulated given labels (`labelme/given.csv`), of which 150 of 1,000 are wrong. On these the
reports of policy `default` run beside majority vote, crowd-kit's Dawid-Skene and cleanlab's `find_label_issues` on
the beliefs of the latter: how many given labels are accused, how many of these are wrong, how many of the wrong
ones are accused, and how many are among the first that a reviewer is shown. Then, where another label has more
votes than the given one, what share of the given labels is believed to be right, and what share is: on LabelMe, in
simulated crowds and on the votes of other sets, with given labels simulated that err independently, like the crowd
or for a whole class. The last line is one JSON object. The exit status is 1 where the two are more than `ROOM`
apart on LabelMe's own given labels or in a simulated crowd.
"""

import argparse
import csv
import sys
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from data_sets import CrowdSet, read_sets
from peers import PEERS
from side_by_side import figure, finish, table, yes_no

from consensus.core.arrays import Codes, Flags, Floats
from consensus.core.decide.policies import POLICIES
from consensus.core.decide.scoring import Scored, score
from consensus.core.votes.classifications import Gold, Listed

try:
    from cleanlab.filter import find_label_issues
    from cleanlab.rank import get_label_quality_scores
except ModuleNotFoundError as missing:
    sys.exit(f"{missing.name} is not installed: pip install -c constraints.txt '.[benchmarks]'")

SHOWN = (50, 100, 200, 350)
"""How many given labels a reviewer looks at."""
ROOM = 0.05
KINDS = ("independently", "like the crowd", "for a whole class")
WRONG, WRONG_BESIDE = 0.15, 0.05
"""Share of given labels that err; and beside a class that is given another label throughout."""
SEEDS = 5
NONE: Codes = np.zeros(0, dtype=np.int32)


@dataclass(frozen=True, eq=False)
class Accuser:
    """What a method says of the given labels.

    Attributes
    ----------
    belief : (n_items,) float64
        In the given label; the lowest is shown first.
    accused : (n_items,) bool
    """

    belief: Floats
    accused: Flags


def scored(votes: CrowdSet, given: Codes, reject: float | None = None) -> Scored:
    """Score a set with a given label for each item."""
    items = np.arange(votes.n_items, dtype=np.int32)
    thresholds = POLICIES["default"].thresholds
    return score(
        votes.votes,
        Listed(items, given, np.ones(votes.n_items, dtype=bool)),
        Gold(NONE, NONE, np.zeros(0, dtype=bool)),
        np.full(votes.n_annotators, np.nan),
        thresholds=thresholds if reject is None else replace(thresholds, reject=reject),
        all_labels=True,
    )


def accusers(votes: CrowdSet, given: Codes) -> dict[str, Accuser]:
    """Return what each method says."""
    items = np.arange(votes.n_items)
    methods = {}
    for name, reject in (("default", None), ("default, reject = 0.5", 0.5)):
        result = scored(votes, given, reject)
        rows = result.classifications.rows_of(items.astype(np.int32), given)
        methods[name] = Accuser(result.posterior[rows], result.report[rows] == "MisClassified")
    shares = votes.tallies / votes.tallies.sum(axis=1, keepdims=True)
    methods["majority vote"] = Accuser(shares[items, given], shares[items, given] < shares.max(axis=1))
    belief = PEERS["DS"].run(votes)
    methods["Dawid-Skene"] = Accuser(belief[items, given], belief.argmax(axis=1) != given)
    methods["cleanlab"] = Accuser(
        get_label_quality_scores(given, belief), find_label_issues(given, belief, n_jobs=1)
    )
    return methods


def contradicted(votes: CrowdSet, given: Codes) -> Flags:
    """(n_items,) bool: where another label has more votes than the given one."""
    votes_for = votes.tallies[np.arange(votes.n_items), given]
    return np.asarray(votes_for < votes.tallies.max(axis=1))


def claim(votes: CrowdSet, given: Codes) -> tuple[int, float, float]:
    """Count the contradicted given labels, and return what share of them is believed to be right, and is."""
    result, among = scored(votes, given), contradicted(votes, given) & (votes.truth >= 0)
    rows = result.classifications.rows_of(np.arange(votes.n_items, dtype=np.int32), given)
    return int(among.sum()), float(result.posterior[rows][among].sum()), float((given == votes.truth)[among].sum())


def given_labels(votes: CrowdSet, kind: str, generator: np.random.Generator) -> Codes:
    """Simulate given labels that err."""
    size, truth = votes.n_classes, np.maximum(votes.truth, 0)
    mistakes = np.full((size, size), 0.2)
    np.add.at(mistakes, (truth[votes.item], votes.answer), 1.0)
    np.fill_diagonal(mistakes, 0.0)
    if kind != "like the crowd":
        mistakes = 1 - np.eye(size)
    bounds = np.cumsum(mistakes / mistakes.sum(axis=1, keepdims=True), axis=1)
    elsewhere = (generator.random(len(truth))[:, None] > bounds[truth][:, :-1]).sum(axis=1)
    share = WRONG_BESIDE if kind == "for a whole class" else WRONG
    given = np.where(generator.random(len(truth)) < share, elsewhere, truth)
    if kind == "for a whole class":
        this, other = generator.choice(size, 2, replace=False)
        given[truth == this] = other
    return given.astype(np.int32)


def simulated_crowd(per_item: int, generator: np.random.Generator) -> CrowdSet:
    """20 annotators who are right in .55 to .9 of 800 items of 4 classes, and mostly take a class for the next."""
    truth = generator.integers(4, size=800).astype(np.int32)
    item = np.repeat(np.arange(800, dtype=np.int32), per_item)
    first, step = (generator.integers(low, high, size=800) for low, high in ((0, 20), (1, 4)))
    annotator = ((first[:, None] + step[:, None] * np.arange(per_item)) % 20).ravel().astype(np.int32)
    right = generator.random(len(item)) < np.linspace(0.55, 0.9, 20)[annotator]
    wrong = (truth[item] + generator.choice([1, 2, 3], len(item), p=[0.6, 0.3, 0.1])) % 4
    names = [np.array([str(number) for number in range(size)], dtype=object) for size in (800, 20, 4)]
    answer = np.where(right, truth[item], wrong).astype(np.int32)
    return CrowdSet(f"simulated, {per_item} votes", item, annotator, answer, truth, names[0][:, None], *names[1:])


def claims(folder: Path) -> Iterator[tuple[str, str, int, float, float]]:
    """Yield set, kind, contradicted given labels, and the shares believed right and right, over all seeds."""
    crowds = {f"simulated, {per_item} votes": per_item for per_item in (3, 5)}
    sets = {each.name: each for each in read_sets(folder, ("labelme", "dog", "face", "aircrowd", "facts"))}
    for name in (*crowds, *sets):
        for kind in KINDS:
            counts = np.zeros(3)
            for seed in range(SEEDS):
                generator = np.random.default_rng(seed)
                votes = simulated_crowd(crowds[name], generator) if name in crowds else sets[name]
                counts += claim(votes, given_labels(votes, kind, generator))
            yield name, kind, int(counts[0] / SEEDS), *(counts[1:] / counts[0]).tolist()


def read_given(folder: Path, votes: CrowdSet) -> Codes:
    """Read the given labels of LabelMe, in the order of the items."""
    with (folder / "labelme" / "given.csv").open(encoding="utf-8") as lines:
        label_of = {row["task"]: row["label"] for row in csv.DictReader(lines)}
    labels = [label_of[name] for name in votes.item_names[:, 0].tolist()]
    return np.searchsorted(votes.classes.astype(str), labels).astype(np.int32)


def of_labelme(folder: Path) -> dict[str, dict[str, float]]:
    """Print what the methods say of LabelMe's own given labels, and return it."""
    figures: dict[str, dict[str, float]] = {}
    for votes in read_sets(folder, ["labelme"]):
        given = read_given(folder, votes)
        wrong = given != votes.truth
        for name, method in accusers(votes, given).items():
            order = np.argsort(method.belief, kind="stable")
            hits = int((method.accused & wrong).sum())
            figures[name] = {
                "accused": int(method.accused.sum()),
                "precision": hits / max(int(method.accused.sum()), 1),
                "recall": hits / int(wrong.sum()),
                **{f"first {shown}": int(wrong[order[:shown]].sum()) for shown in SHOWN},
            }
        columns = list(figures["default"])
        print(f"LabelMe: {int(wrong.sum())} of {len(wrong)} given labels are wrong\n")
        rows = [(name, [f"{row[column]:.4g}" for column in columns]) for name, row in figures.items()]
        print(table("MisClassified", columns, rows))
        result = scored(votes, given)
        discovered = result.report == "Discovered"
        right = votes.truth[result.classifications.task] == result.classifications.label
        number, hits = int(discovered.sum()), int((discovered & right).sum())
        figures["Discovered"] = {"found": number, "precision": hits / number, "recall": hits / int(wrong.sum())}
        print(f"Discovered: {number}, of which {hits} are right, for {int(wrong.sum())} wrong given labels\n")
        size, believed, is_right = claim(votes, given)
        figures["contradicted"] = {"given labels": size, "believed": believed / size, "right": is_right / size}
    return figures


def main() -> int:
    """Run, print, and return the exit status."""
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--data", type=Path, required=True, help="folder of the sets: see benchmarks/README.md")
    folder = options.parse_args().data
    figures = of_labelme(folder)
    rows = list(claims(folder))
    if own := figures.get("contradicted"):
        rows.insert(0, ("LabelMe", "its own", int(own["given labels"]), own["believed"], own["right"]))
    print(
        table(
            "given labels that the crowd contradicts",
            ["that err", "a draw", "believed right", "right", f"within {ROOM}"],
            [
                (name, [kind, str(size), figure(believed), figure(right), yes_no(abs(believed - right) <= ROOM)])
                for name, kind, size, believed, right in rows
            ],
        )
    )
    bars = [row for row in rows if row[0] == "LabelMe" or row[0].startswith("simulated")]
    reached = all(abs(believed - right) <= ROOM for *_, believed, right in bars)
    keys = ("set", "kind", "contradicted", "believed", "right")
    contradictions = [dict(zip(keys, row, strict=True)) for row in rows]
    return finish(
        {"benchmark": "accusations", "reached": reached, "labelme": figures, "contradictions": contradictions}
    )


if __name__ == "__main__":
    sys.exit(main())
