"""Speed and size of policy `default` beside crowd-kit's Dawid-Skene on the same votes, in one run.

    python benchmarks/speed.py [--data DIR] [--votes 1e6 1e7 5e7]

Votes are simulated (`simulated_votes.py`) and, with --data, those of ReaL. Each method runs in a process of its
own, one after the other, from a Parquet file of names to beliefs; in a second run of each, from columns of whole
numbers in memory (`measured.py` says what is counted). Of ReaL crowd-kit gets the yes and no votes on questions,
without the unsure ones. It is not run where, by what it took on the size before, it would need more memory than
there is or more than 10 minutes. Prints tables and, as its last line, one JSON object; the exit status is 1 where
a bar is missed. The bars in seconds are for a quiet machine of two processors.
"""

import argparse
import json
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from data_sets import read_yes_no
from side_by_side import figure, finish, table, yes_no
from simulated_votes import CHUNK, N_CLASSES, PER_TASK, annotators_for, write_arrays, write_names, write_truth

from consensus.core.votes.votes import STANDS

ROOT = Path(__file__).resolve().parent
OURS, PEER = "ours", "crowd-kit"
FASTER, BYTES, REAL_SECONDS, TEN_MILLION_SECONDS = 10.0, 100.0, 1.5, 15.0
"""Times as fast as crowd-kit; bytes a vote; seconds for ReaL and for ten million votes."""
TEN_MILLION = 10_000_000
LINEAR = 1.5
"""How much longer a vote of the largest set may take than one of the smallest."""
SAME = 0.002
"""An accuracy that is lower by less counts as equal."""
PATIENCE = 10 * 60
"""Seconds."""
SEED = 20261121

Measured = dict[str, float]
Row = dict[str, Measured]
"""By what ran: `OURS` and `PEER` from names, and the same followed by NUMBERS from whole numbers."""
NUMBERS = ", numbers"


def parser() -> argparse.ArgumentParser:
    """Return the options."""
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    add = options.add_argument
    add("--data", type=Path, help="folder of the sets: see benchmarks/README.md; without it ReaL is skipped")
    add("--votes", type=float, nargs="*", default=[1e6, 1e7, 5e7], metavar="N", help="sizes of simulated votes")
    add("--skip-peer", action="store_true", help="do not run crowd-kit")
    add("--skip-folder", action="store_true", help="do not score folders in parts")
    return options


def measure(kind: str, *paths: Path) -> Measured:
    """Measure in a process of its own."""
    print(f"{paths[0].name}: {kind}", file=sys.stderr)
    words = [sys.executable, str(ROOT / "measured.py"), kind, *map(str, paths)]
    done = subprocess.run(words, capture_output=True, text=True, check=False)  # noqa: S603  # this very Python
    if done.returncode:
        sys.exit(f"{kind} failed on {paths[0].name}: {done.stderr.strip()[-500:]}")
    measured: Measured = json.loads(done.stdout.strip().splitlines()[-1])
    return measured


def quickest(*paths: Path) -> Measured:
    """Measure ours twice, and keep the quicker: the first run after another program finds cold caches."""
    return min((measure(OURS, *paths) for _ in range(2)), key=lambda row: row["seconds"])


def available_bytes() -> int:
    """Memory that a program can have: what is unused and what only caches files."""
    lines = Path("/proc/meminfo").read_text(encoding="ascii").splitlines()
    return next(int(line.split()[1]) * 1024 for line in lines if line.startswith("MemAvailable:"))


def why_not(n_votes: int, before: Measured | None, free: int) -> str:
    """Return why crowd-kit cannot run, by what it took on fewer votes, or nothing."""
    if before is None:
        return ""
    seconds = before["seconds"] * n_votes / before["votes"]
    needed = before["bytes_per_vote"] * n_votes
    if needed > 0.8 * free:
        return f"it would need about {needed / 1e9:.0f} GB"
    return f"it would take about {seconds / 60:.0f} minutes" if seconds > PATIENCE else ""


def of_simulated(
    options: argparse.Namespace, room: Path
) -> tuple[dict[str, Row], dict[str, Measured], dict[str, str]]:
    """Measure the simulated sets: in memory, in parts, and why crowd-kit did not run."""
    rows: dict[str, Row] = {}
    folders: dict[str, Measured] = {}
    left_out: dict[str, str] = {}
    before = None
    for n_votes in (int(size) for size in sorted(options.votes)):
        name = f"simulated, {n_votes / 1e6:g} million"
        numbers, names, truth = (room / file for file in ("votes.npz", "votes.parquet", "truth.npz"))
        write_arrays(numbers, n_votes, SEED)
        write_names([names], n_votes, SEED)
        write_truth(truth, n_votes, SEED)
        rows[name] = {OURS: quickest(names, truth), OURS + NUMBERS: quickest(numbers)}
        why = "not asked for" if options.skip_peer else why_not(n_votes, before, available_bytes())
        if why:
            left_out[name] = why
        else:
            rows[name][PEER] = before = measure(PEER, names, truth)
            rows[name][PEER + NUMBERS] = measure(PEER, numbers)
        if not options.skip_folder:
            folders[name] = of_folder(room / "folder", n_votes)
    return rows, folders, left_out


def of_folder(folder: Path, n_votes: int) -> Measured:
    """Measure the same votes as a folder, scored in parts."""
    folder.mkdir()
    n_files = -(-n_votes // (PER_TASK * CHUNK))
    write_names([folder / f"votes-{number:04d}.parquet" for number in range(n_files)], n_votes, SEED)
    measured = measure("folder", folder)
    shutil.rmtree(folder)
    return measured


def of_real(options: argparse.Namespace, room: Path) -> tuple[Row, float]:
    """Measure ReaL, and the seconds of the whole command on its file."""
    votes, truth = (options.data / "real" / name for name in ("votes.parquet", "truth.csv"))
    write_real(votes, room)
    row = {OURS: quickest(votes, truth), OURS + NUMBERS: quickest(room / "real.npz")}
    if not options.skip_peer:
        answers = read_yes_no(options.data, "real", "votes.parquet")
        numbers = room / "questions.npz"
        np.savez(numbers, task=answers.item, annotator=answers.annotator, label=answers.answer)
        row[PEER] = measure(PEER, room / "questions.parquet", truth)
        row[PEER + NUMBERS] = measure(PEER, numbers)
    return row, min(command(votes, room) for _ in range(3))


def write_real(votes: Path, room: Path) -> None:
    """Write the votes of ReaL as whole numbers, and those of yes and no on questions by name."""
    columns = pq.read_table(votes, columns=["task", "label", "annotator", "vote"])
    texts = {name: columns[name].cast(pa.string()).combine_chunks() for name in columns.column_names}
    codes = {name: texts[name].dictionary_encode().indices.to_numpy() for name in ("task", "label", "annotator")}
    stands = np.array([STANDS[vote] for vote in texts["vote"].to_pylist()], dtype=np.int8)
    np.savez(room / "real.npz", **codes, vote=stands)
    question = pc.binary_join_element_wise(texts["task"], texts["label"], " ")
    rows = pa.table({"task": question, "annotator": texts["annotator"], "label": texts["vote"]})
    pq.write_table(rows.filter(pc.not_equal(rows["label"], "unsure")), room / "questions.parquet")


def command(votes: Path, room: Path) -> float:
    """Return the seconds of `consensus score` on a file, from start to end."""
    words = [sys.executable, "-m", "consensus.cli", "score", str(votes), "--out", str(room / "result.csv")]
    began = time.perf_counter()
    subprocess.run(words, check=True, capture_output=True)  # noqa: S603  # our own command
    return time.perf_counter() - began


def bars_of(rows: dict[str, Row], real: str) -> dict[str, bool]:
    """Return each bar that could be looked at, and whether it is reached."""
    both = {name: row for name, row in rows.items() if PEER in row}
    simulated = [row[OURS] for name, row in rows.items() if name != real]
    bars = {f"{FASTER:g} times as fast: {name}": ratio(row) >= FASTER for name, row in both.items()}
    for name, row in both.items():
        bars[f"as right, or more: {name}"] = row[OURS]["accuracy"] >= row[PEER]["accuracy"] - SAME
    for name, row in rows.items():
        if row[OURS]["votes"] >= TEN_MILLION:  # with fewer, what any run needs is most of it
            bars[f"under {BYTES:g} bytes a vote: {name}"] = row[OURS]["bytes_per_vote"] < BYTES
    if real in rows:
        bars[f"{real} under {REAL_SECONDS:g} s"] = rows[real][OURS]["seconds"] < REAL_SECONDS
    for simulated_row in simulated:
        if simulated_row["votes"] == TEN_MILLION:
            bars[f"ten million under {TEN_MILLION_SECONDS:g} s"] = simulated_row["seconds"] < TEN_MILLION_SECONDS
    if len(simulated) > 1:
        each = [row["seconds"] / row["votes"] for row in simulated]
        bars["linear in votes"] = each[-1] <= LINEAR * each[0]
    return bars


def ratio(row: Row, kind: str = "") -> float:
    """Return how many times as fast ours is."""
    return row[PEER + kind]["seconds"] / row[OURS + kind]["seconds"] if PEER + kind in row else float("nan")


def show(rows: dict[str, Row], folders: dict[str, Measured], left_out: dict[str, str]) -> None:
    """Print the tables."""
    digits = {"seconds": 2, "bytes_per_vote": 0, "accuracy": 4}
    lines, from_numbers = [], []
    for name, row in rows.items():
        cells = [
            figure(row.get(who, {}).get(name_of, float("nan")), places)
            for name_of, places in digits.items()
            for who in (OURS, PEER)
        ]
        million = row[OURS]["seconds"] / row[OURS]["votes"] * 1e6
        lines.append((name, [*cells, figure(million, 2), figure(ratio(row), 1)]))
        times = [figure(row.get(who + NUMBERS, {}).get("seconds", float("nan")), 2) for who in (OURS, PEER)]
        from_numbers.append((name, [*times, figure(ratio(row, NUMBERS), 1)]))
    heads = [f"{heading}, {who}" for heading in ("seconds", "bytes a vote", "accuracy") for who in (OURS, PEER)]
    print(table("from a file of names", [*heads, "our seconds a million", "times as fast"], lines))
    heads = [f"seconds, {who}" for who in (OURS, PEER)]
    print(table("from whole numbers in memory", [*heads, "times as fast"], from_numbers))
    in_parts = [(name, [figure(row["seconds"], 1), figure(row["megabytes"], 0)]) for name, row in folders.items()]
    if in_parts:
        print(table("a folder in parts, to a file", ["seconds", "megabytes of memory"], in_parts))
    for name, why in left_out.items():
        print(f"crowd-kit was not run on {name}: {why}\n")


def main() -> int:
    """Run, print, and return the exit status."""
    options = parser().parse_args()
    sizes = ", ".join(f"{annotators_for(int(size))} annotators for {size:g}" for size in options.votes)
    print(f"Simulated votes: {PER_TASK} a task, {N_CLASSES} classes; {sizes}\n")
    real, extra = "ReaL", {}
    with tempfile.TemporaryDirectory() as name:
        rows, folders, left_out = of_simulated(options, Path(name))
        if options.data:
            rows[real], extra["command_seconds"] = of_real(options, Path(name))
    show(rows, folders, left_out)
    if extra:
        print(f"`consensus score` on the file of ReaL, from start to end: {extra['command_seconds']:.2f} s\n")
    bars = bars_of(rows, real)
    print(table("bar", ["reached"], [(bar, [yes_no(reached)]) for bar, reached in bars.items()]))
    report = {"in_memory": rows, "folders": folders, "left_out": left_out, "bars": bars, **extra}
    return finish({"benchmark": "speed", "reached": all(bars.values()), **report})


if __name__ == "__main__":
    sys.exit(main())
