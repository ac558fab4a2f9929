"""Reports with a guarantee on real votes: how much of them is wrong, over many random draws of gold tasks.

    python benchmarks/conformal.py --data DIR

Scores every set once (the fit does not know gold), draws gold tasks 100 times, and measures the share of wrong
tasks in each report among those that are not gold. The oracle draws the last line at which the share wrong is at
most alpha; it knows the truth, so no procedure can be expected to reach it. The peer is conformal selection as
published (Jin and Candès 2023: conformal p-values and Benjamini-Hochberg), on the same scores.

All given labels are SIMULATED: those of LabelMe by its given.csv, the others in the same way (85 % right; the
others drawn with the odds of the wrong votes on tasks of that truth; in ReaL one of the image's labels). Prints a
table and, as its last line, one JSON object.
"""

import argparse
import csv
import json
import random
import time
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet
from numpy.typing import NDArray

from common.contract import ReportName
from consensus.core.decide.scoring import Scored, score
from consensus.core.guarantee.conformal import guarantee
from consensus.core.votes.classifications import Gold
from consensus.core.votes.votes import Choice
from consensus.files.votes_files import read_ballot

ALPHAS = (0.01, 0.05, 0.10)
REPORTS: tuple[ReportName, ...] = ("AllConfirmed", "Discovered", "MisClassified")
SINGLE = ("bluebirds", "dog", "face", "labelme")
SEED = 20240215
WRONG_GIVEN = 0.15


@dataclass(frozen=True, eq=False)
class Crowd:
    """A scored set and the truth of its classifications."""

    name: str
    choice: Choice
    scored: Scored
    right: NDArray[np.bool_]


def main() -> None:
    """Read the options, measure, and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True, help="folder of the sets")
    parser.add_argument("--gold", type=int, default=50, help="gold tasks in a draw")
    parser.add_argument("--draws", type=int, default=100)
    options = parser.parse_args()
    started = time.perf_counter()
    rows = []
    print(
        f"{'set':<12}{'report':<15}{'alpha':>6}{'wrong':>8}{'+-':>7}{'reported':>10}{'peer':>8}{'oracle':>8}{'made':>6}"
    )
    for crowd in _crowds(options.data):
        for row in measure(crowd, options.gold, options.draws):
            rows.append(row)
            print(
                f"{row['set']:<12}{row['report']:<15}{row['alpha']:>6.2f}{row['wrong']:>8.4f}{row['error']:>7.4f}"
                f"{row['reported']:>10.3f}{row['peer']:>8.3f}{row['oracle']:>8.3f}{row['made']:>6.2f}"
            )
    worst = max(rows, key=lambda row: (row["wrong"] - row["alpha"]) / max(row["error"], 1e-9))
    print(
        "wrong: mean share of wrong tasks in the report, +- its Monte-Carlo error; reported: share of all tasks;"
    )
    print("peer: the same of conformal selection as published")
    print("oracle: the same of an oracle's line; made: share of the draws in which the report is not empty")
    print(
        json.dumps(
            {
                "gold": options.gold,
                "draws": options.draws,
                "seconds": round(time.perf_counter() - started, 1),
                "held": sum(row["wrong"] <= row["alpha"] for row in rows),
                "of": len(rows),
                "closest": worst,
                "rows": rows,
            }
        )
    )


def measure(crowd: Crowd, n_gold: int, draws: int) -> list[dict[str, object]]:
    """Draw gold tasks many times and add up what each report gets wrong."""
    rows = crowd.scored.classifications
    tasks = np.unique(rows.task)
    shares, peers = defaultdict(list), defaultdict(list)
    generator = np.random.default_rng(SEED)
    for _ in range(draws):
        gold_tasks = generator.choice(tasks, n_gold, replace=False)
        on_gold = np.isin(rows.task, gold_tasks)
        gold = Gold(rows.task[on_gold], rows.label[on_gold], crowd.right[on_gold])
        for alpha in ALPHAS:
            reported = guarantee(crowd.scored, gold, alpha, crowd.choice)[0].report
            for report in REPORTS:
                peers[report, alpha].append(_select(crowd, report, on_gold, alpha))
            for report in REPORTS:
                inside = (reported == report) & ~on_gold
                shares[report, alpha].append((_share_wrong(crowd, report, inside), _n_tasks(crowd, inside)))
    table = []
    for (report, alpha), pairs in shares.items():
        wrong, reported = np.array(pairs).T
        table.append(
            {
                "set": crowd.name,
                "report": report,
                "alpha": alpha,
                "wrong": round(float(wrong.mean()), 5),
                "error": round(float(wrong.std(ddof=1) / np.sqrt(draws)), 5),
                "reported": round(float(reported.mean()) / (len(tasks) - n_gold), 4),
                "peer": round(float(np.mean(peers[report, alpha])) / (len(tasks) - n_gold), 4),
                "oracle": round(_oracle(crowd, report, alpha) / len(tasks), 4),
                "made": round(float((reported > 0).mean()), 3),
            }
        )
    return table


def _share_wrong(crowd: Crowd, report: ReportName, inside: NDArray[np.bool_]) -> float:
    bad = crowd.right if report == "MisClassified" else ~crowd.right
    size = _n_tasks(crowd, inside)
    return _n_tasks(crowd, inside & bad) / size if size else 0.0


def _n_tasks(crowd: Crowd, inside: NDArray[np.bool_]) -> int:
    return len(np.unique(crowd.scored.classifications.task[inside]))


def _about(crowd: Crowd, report: ReportName) -> tuple[NDArray[np.bool_], NDArray[np.float64]]:
    """The classifications that a report is about, and how sure the model is."""
    scored = crowd.scored
    sure = 1 - scored.posterior if report == "MisClassified" else scored.posterior
    given, voted = scored.classifications.given, scored.counts.yes + scored.counts.no > 0
    about = (~given if report == "Discovered" else given) & voted
    return about & (sure > 0.5), sure  # noqa: PLR2004  # more likely than not


def _select(crowd: Crowd, report: ReportName, on_gold: NDArray[np.bool_], alpha: float) -> int:
    """Tasks that conformal selection reports: p = (1 + wrong gold at least as sure) / (n + 1), then BH."""
    about, sure = _about(crowd, report)
    task = crowd.scored.classifications.task
    bad = crowd.right if report == "MisClassified" else ~crowd.right
    wrong_gold = np.sort(_best(task, sure, about & on_gold & bad))
    tested = _best(task, sure, about & ~on_gold)
    n_gold, n_tested = len(np.unique(task[on_gold])), len(np.unique(task[~on_gold]))
    p = np.sort((1 + len(wrong_gold) - np.searchsorted(wrong_gold, tested)) / (n_gold + 1))
    passing = np.flatnonzero(p <= alpha * np.arange(1, len(p) + 1) / n_tested)
    return int(passing[-1]) + 1 if passing.size else 0


def _best(task: NDArray[np.int32], sure: NDArray[np.float64], rows: NDArray[np.bool_]) -> NDArray[np.float64]:
    """Of each task that has some of the rows, the surest."""
    tasks, of_task = np.unique(task[rows], return_inverse=True)
    best = np.zeros(len(tasks))
    np.maximum.at(best, of_task, sure[rows])
    return best


def _oracle(crowd: Crowd, report: ReportName, alpha: float) -> int:
    """Most tasks in the report of any line on the right side of 1/2 at which at most alpha of them are wrong."""
    about, sure = _about(crowd, report)
    sizes = [0]
    for line in np.unique(sure[about]):
        inside = about & (sure >= line)
        if _share_wrong(crowd, report, inside) <= alpha:
            sizes.append(_n_tasks(crowd, inside))
    return max(sizes)


def _crowds(folder: Path) -> Iterator[Crowd]:
    """Score the sets that are there."""
    for name in (*SINGLE, "real"):
        if (folder / name).is_dir():
            yield _golden(folder) if name == "real" else _single(folder, name)
        else:
            print(f"{name}: skipped, there is no {folder / name}")


def _single(folder: Path, name: str) -> Crowd:
    """Score a set in which annotators choose one label; its given labels are simulated."""
    truth = {row["task"]: row["label"] for row in _csv(folder / name / "truth.csv")}
    given = folder / name / "given.csv"
    with TemporaryDirectory() as made:
        if not given.exists():
            votes = _csv(folder / name / "votes.csv")
            wrong_votes = defaultdict(list)
            for vote in votes:
                if vote["label"] != truth.get(vote["task"], vote["label"]):
                    wrong_votes[truth[vote["task"]]].append(vote["label"])
            given = Path(made) / "given.csv"
            _write_given(given, _simulate(truth, wrong_votes))
        ballot = read_ballot(folder / name / "votes.csv", given, None, "single")
    scored = score(ballot.votes, ballot.listed, ballot.gold, ballot.fixed_trust)
    rows = scored.classifications
    task_names, label_names = ballot.votes.task_names, ballot.votes.label_names
    pairs = zip(rows.task, rows.label, strict=True)
    right = np.array([truth[task_names[task]] == label_names[label] for task, label in pairs])
    return Crowd(name, "single", scored, right)


def _golden(folder: Path) -> Crowd:
    """Score the questions of ReaL whose truth is known; of each image one of its labels is simulated as given."""
    rows = _csv(folder / "real" / "truth.csv")
    truth = {(row["task"], row["label"]): row["answer"] == "yes" for row in rows}
    drawn = random.Random(SEED)  # noqa: S311  # a simulation
    labels = defaultdict(lambda: ([], []))
    for (task, label), right in truth.items():
        labels[task][right].append(label)
    given = {
        task: drawn.choice(wrong if not right or (wrong and drawn.random() < WRONG_GIVEN) else right)
        for task, (wrong, right) in labels.items()
    }
    table = pyarrow.parquet.read_table(folder / "real" / "votes.parquet")
    names = {name: table[name].cast(pa.string()).to_pylist() for name in ("task", "label")}
    with_truth = [pair in truth for pair in zip(names["task"], names["label"], strict=True)]
    with TemporaryDirectory() as made:
        pyarrow.parquet.write_table(table.filter(pa.array(with_truth)), Path(made) / "votes.parquet")
        _write_given(Path(made) / "given.csv", given)
        ballot = read_ballot(Path(made) / "votes.parquet", Path(made) / "given.csv", None, "single")
    scored = score(ballot.votes, ballot.listed, ballot.gold, ballot.fixed_trust)
    classifications = scored.classifications
    task_names, label_names = ballot.votes.task_names, ballot.votes.label_names
    pairs = zip(classifications.task, classifications.label, strict=True)
    return Crowd(
        "real", "each", scored, np.array([truth[task_names[task], label_names[label]] for task, label in pairs])
    )


def _simulate(truth: dict[str, str], wrong_votes: dict[str, list[str]]) -> dict[str, str]:
    drawn = random.Random(SEED)  # noqa: S311  # a simulation
    wrong = set(drawn.sample(sorted(truth), round(WRONG_GIVEN * len(truth))))
    return {task: drawn.choice(wrong_votes[label]) if task in wrong else label for task, label in truth.items()}


def _csv(path: Path) -> list[dict[str, str]]:
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def _write_given(path: Path, given: dict[str, str]) -> None:
    path.write_text("task,label\n" + "".join(f"{task},{label}\n" for task, label in given.items()))


if __name__ == "__main__":
    main()
