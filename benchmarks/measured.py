"""One measurement in a process of its own: seconds, memory, accuracy, as a line of JSON.

    python benchmarks/measured.py ours|crowd-kit VOTES [TRUTH]
    python benchmarks/measured.py folder FOLDER

VOTES with the extension .parquet holds names, as votes are kept: seconds begin with reading it, and end with what
is believed of each item. With the extension .npz it holds columns of whole numbers, and seconds begin with these
in memory. Either way what a method needs to index the votes is counted. Memory is the peak (VmHWM) beyond what the
libraries take before any vote is loaded. TRUTH is what `simulated_votes.write_truth` writes, or a CSV with the
columns `task`, `label` and `answer` (of yes and no).
"""

import json
import sys
import tempfile
import time
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet as pq
from metrics import accuracy

from consensus.core.arrays import Codes, Floats, Names
from consensus.core.decide.scoring import Scored, score
from consensus.core.votes.classifications import Gold, Listed
from consensus.core.votes.votes import YES, Votes
from consensus.files.score_files import MEMORY, Inputs, score_files
from consensus.files.tables import Limits
from consensus.files.votes_files import read_ballot

Beliefs = Callable[[Names, Names], Floats]
"""Looks up what is believed of (task, label) pairs, by name."""


def memory(line: str) -> int:
    """Bytes of memory of this process: VmRSS now, VmHWM at most."""
    status = Path("/proc/self/status").read_text(encoding="ascii")
    return int(next(entry for entry in status.splitlines() if entry.startswith(line)).split()[1]) * 1024


def ours(file: Path) -> tuple[float, int, Beliefs]:
    """Score votes with policy `default`; return seconds, the number of votes and what is believed."""
    columns = _arrays(file)
    began = time.perf_counter()
    if columns:
        votes = _votes(columns)
        none = np.zeros(0, dtype=np.int32)
        no_gold, unlisted = Gold(none, none, none.astype(bool)), Listed(none, none, none.astype(bool))
        scored = score(votes, unlisted, no_gold, np.full(votes.n_annotators, np.nan))
    else:
        ballot = read_ballot(file, None, None, "single")
        votes = ballot.votes
        scored = score(votes, ballot.listed, ballot.lesson, ballot.fixed_trust)
    seconds = time.perf_counter() - began
    return seconds, len(votes), lambda task, label: _ours_of(votes, scored, task, label)


def crowd_kit(file: Path) -> tuple[float, int, Beliefs]:
    """Run crowd-kit's Dawid-Skene with its defaults; return the same."""
    import pandas as pd  # noqa: PLC0415  # with crowd-kit, only where it is measured
    from crowdkit.aggregation import DawidSkene  # noqa: PLC0415

    columns = _arrays(file)
    began = time.perf_counter()
    frame = pd.DataFrame(columns) if columns else pd.read_parquet(file)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        fitted = DawidSkene().fit_predict_proba(frame.rename(columns={"annotator": "worker"}))
    seconds = time.perf_counter() - began

    def beliefs(task: Names, label: Names) -> Floats:
        if "yes" in fitted.columns:
            yes = fitted["yes"].reindex([" ".join(pair) for pair in zip(task, label, strict=True)])
            return np.asarray(yes.fillna(0.5))  # where all are unsure it has seen no vote
        values = fitted.to_numpy()
        return values[fitted.index.get_indexer(task), fitted.columns.get_indexer(label)]

    return seconds, len(frame), beliefs


METHODS = {"ours": ours, "crowd-kit": crowd_kit}


def of_votes(method: str, file: Path, truth: Path | None) -> dict[str, float]:
    """Measure a method."""
    if method == "crowd-kit":
        import crowdkit.aggregation  # noqa: F401, PLC0415  # what the library takes is no part of a run
    pa.array(np.zeros(1))  # Arrow loads pandas, where there is one, with the first array that it sees
    before = memory("VmRSS")
    seconds, n_votes, beliefs = METHODS[method](file)
    peak = memory("VmHWM") - before
    figures = {"votes": n_votes, "seconds": seconds, "bytes_per_vote": peak / n_votes}
    return figures | ({"accuracy": right(beliefs, truth)} if truth else {})


def right(beliefs: Beliefs, truth: Path) -> float:
    """Return the accuracy; of k classes tied at the top each counts 1/k."""
    if truth.suffix == ".csv":
        as_text = pyarrow.csv.ConvertOptions(column_types=dict.fromkeys(("task", "label", "answer"), pa.string()))
        table = pyarrow.csv.read_csv(truth, convert_options=as_text)
        task, label = (np.array(table[name].to_pylist(), dtype=object) for name in ("task", "label"))
        yes = beliefs(task, label)
        answers = np.array([int(answer == "yes") for answer in table["answer"].to_pylist()], dtype=np.int32)
        return accuracy(np.column_stack([1 - yes, yes]), answers)
    with np.load(truth) as file:
        task, labels, answers = file["task"].astype(object), file["labels"].astype(object), file["truth"]
    columns = [beliefs(task, np.full(len(task), label, dtype=object)) for label in labels]
    return accuracy(np.column_stack(columns), answers)


def of_folder(folder: Path) -> dict[str, float]:
    """Measure the scoring of a folder in parts, reading and writing included."""
    n_votes = sum(pq.read_metadata(file).num_rows for file in folder.glob("*.parquet"))
    before = memory("VmRSS")
    with tempfile.TemporaryDirectory() as out:
        began = time.perf_counter()
        limits = Limits(MEMORY * (n_votes - 1), Limits.of_machine().threads)  # too little to do it at once
        score_files(Inputs(folder), Path(out) / "result.parquet", limits=limits)
        seconds = time.perf_counter() - began
    return {"votes": n_votes, "seconds": seconds, "megabytes": (memory("VmHWM") - before) / 1e6}


def _arrays(file: Path) -> dict[str, Any]:
    if file.suffix != ".npz":
        return {}
    with np.load(file) as arrays:
        return dict(arrays)


def _votes(columns: dict[str, Any]) -> Votes:
    coded = [_codes(columns[name]) for name in ("task", "annotator", "label")]
    (task, tasks), (annotator, annotators), (label, labels) = coded
    stands = columns.get("vote")
    choice, vote = ("single", np.full(len(task), YES)) if stands is None else ("each", stands)
    return Votes(choice, task, annotator, label, vote, tasks, annotators, labels)


def _codes(column: Codes) -> tuple[Codes, Names]:
    """Codes in order of appearance, and the names."""
    encoded = pa.array(column).dictionary_encode()
    names: Names = np.empty(len(encoded.dictionary), dtype=object)
    names[:] = encoded.dictionary.to_pylist()
    return encoded.indices.to_numpy(), names


def _ours_of(votes: Votes, scored: Scored, task: Names, label: Names) -> Floats:
    row = scored.classifications.rows_of(_places(task, votes.task_names), _places(label, votes.label_names))
    return scored.posterior[row]


def _places(ordered: Names, names: Names) -> Codes:
    place_of = {name: code for code, name in enumerate(names)}
    return np.array([place_of[name] for name in ordered], dtype=np.int32)


if __name__ == "__main__":
    kind, path, *more = sys.argv[1:]
    truths = [Path(path_of_truth) for path_of_truth in more] or [None]
    print(json.dumps(of_folder(Path(path)) if kind == "folder" else of_votes(kind, Path(path), truths[0])))
