"""Speed and size of `consensus score` beside crowd-kit's Dawid-Skene on the same files, in one run.

    python benchmarks/speed.py [--data DIR] [--votes 1e6 1e7 5e7]

Votes are simulated (`simulated_votes.py`) and, with --data, those of ReaL. Each is a whole program from a CSV of
names to a CSV of what is believed of each item: `consensus score` with its defaults, and `crowd_kit_command.py`.
They run one after the other; what is counted is that of their process, loading libraries included: seconds from
start to end, seconds of processors, and the peak of memory. Of ReaL crowd-kit gets the yes and no votes on
questions, without the unsure ones. It is not run where, by what it took on the size before, it would need more
memory than there is or more than 10 minutes. Prints tables and, as its last line, one JSON object; the exit status
is 1 where a bar is missed. The bars in seconds are for a quiet machine of two processors.
"""

import argparse
import json
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

import duckdb
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv
import pyarrow.parquet as pq
from metrics import accuracy
from side_by_side import figure, finish, table, yes_no
from simulated_votes import CHUNK, LABELS, N_CLASSES, PER_TASK, annotators_for, task_names, truth_of, write_names

from consensus.core.arrays import Floats
from consensus.files.score_files import MEMORY

OURS, PEER = "ours", "crowd-kit"
SCORE = (sys.executable, "-m", "consensus.cli", "score")
CROWD_KIT = (sys.executable, str(Path(__file__).with_name("crowd_kit_command.py")))
LAUNCH = """
import json, os, sys, time
began = time.perf_counter()
_, status, usage = os.wait4(os.posix_spawn(sys.argv[1], sys.argv[1:], os.environ), 0)
seconds, processor = time.perf_counter() - began, usage.ru_utime + usage.ru_stime
print(json.dumps({"seconds": seconds, "processor_seconds": processor, "megabytes": usage.ru_maxrss * 1024 / 1e6}))
sys.exit(os.waitstatus_to_exitcode(status))
"""
"""Starts a program from a process of no size: the peak of a program's memory counts what its parent had."""
FASTER, FASTER_ON_REAL = 8.0, 5.0
"""Times as fast as crowd-kit."""
TEN_MILLION, SECONDS, MEGABYTES = 10_000_000, 15.0, 2000.0
"""What so many votes may take."""
LINEAR = 1.5
"""How much longer a vote of the largest set may take than one of the smallest."""
SAME = 0.002
"""An accuracy that is lower by less counts as equal."""
PATIENCE = 10 * 60
"""Seconds."""
SEED = 20261121
REAL = "ReaL"

Measured = dict[str, float]
Row = dict[str, Measured]
"""By what ran: `OURS` and `PEER`."""


def parser() -> argparse.ArgumentParser:
    """Return the options."""
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    add = options.add_argument
    add("--data", type=Path, help="folder of the sets: see benchmarks/README.md; without it ReaL is skipped")
    add("--votes", type=float, nargs="*", default=[1e6, 1e7, 5e7], metavar="N", help="sizes of simulated votes")
    add("--skip-peer", action="store_true", help="do not run crowd-kit")
    add("--skip-folder", action="store_true", help="do not score folders in parts")
    return options


def measure(command: Sequence[str], *words: str | Path) -> Measured:
    """Run a program to its end, and return what its process took."""
    print(*map(str, words), file=sys.stderr)
    launched = [sys.executable, "-c", LAUNCH, *command, *map(str, words)]
    done = subprocess.run(launched, capture_output=True, text=True, check=False)  # noqa: S603  # our own programs
    if done.returncode:
        sys.exit(f"{' '.join(map(str, words))} failed: {done.stderr.strip()[-500:]}")
    measured: Measured = json.loads(done.stdout.splitlines()[-1])
    return measured


def quickest(*words: str | Path) -> Measured:
    """Measure ours twice, and keep the quicker: the first run after another program finds cold caches."""
    return min((measure(SCORE, *words) for _ in range(2)), key=lambda row: row["seconds"])


def available_bytes() -> int:
    """Memory that a program can have: what is unused and what only caches files."""
    lines = Path("/proc/meminfo").read_text(encoding="ascii").splitlines()
    return next(int(line.split()[1]) * 1024 for line in lines if line.startswith("MemAvailable:"))


def why_not(n_votes: int, before: Measured | None, free: int) -> str:
    """Return why crowd-kit cannot run, by what it took on fewer votes, or nothing."""
    if before is None:
        return ""
    times = n_votes / before["votes"]
    needed, seconds = before["megabytes"] * times, before["seconds"] * times
    if needed * 1e6 > 0.8 * free:
        return f"it would need about {needed / 1e3:.0f} GB"
    return f"it would take about {seconds / 60:.0f} minutes" if seconds > PATIENCE else ""


def of_simulated(
    options: argparse.Namespace, room: Path
) -> tuple[dict[str, Row], dict[str, Measured], dict[str, str]]:
    """Measure the simulated sets: in memory, in parts, and why crowd-kit did not run."""
    rows: dict[str, Row] = {}
    folders: dict[str, Measured] = {}
    left_out: dict[str, str] = {}
    before = None
    votes, result = room / "votes.csv", room / "result.csv"
    for n_votes in (int(size) for size in sorted(options.votes)):
        name = f"simulated, {n_votes / 1e6:g} million"
        write_names([room / "votes.parquet"], n_votes, SEED)
        write_csv(pq.read_table(room / "votes.parquet"), votes)
        truth, tasks = truth_of(n_votes, SEED), task_names(range(n_votes // PER_TASK))
        ours = {"votes": n_votes, **quickest(votes, "--out", result)}
        rows[name] = {OURS: {**ours, "accuracy": accuracy(beliefs(result, tasks, LABELS), truth)}}
        why = "not asked for" if options.skip_peer else why_not(n_votes, before, available_bytes())
        if why:
            left_out[name] = why
        else:
            before = {"votes": n_votes, **measure(CROWD_KIT, votes, result)}
            rows[name][PEER] = {**before, "accuracy": accuracy(wide_beliefs(result, tasks, LABELS), truth)}
        if not options.skip_folder:
            folders[name] = of_folder(room / "folder", result, n_votes)
    return rows, folders, left_out


def of_folder(folder: Path, result: Path, n_votes: int) -> Measured:
    """Measure the same votes as a folder, scored in parts for want of memory."""
    folder.mkdir()
    n_files = -(-n_votes // (PER_TASK * CHUNK))
    write_names([folder / f"votes-{number:04d}.parquet" for number in range(n_files)], n_votes, SEED)
    measured = measure(SCORE, folder, "--out", result, "--memory", str(MEMORY * (n_votes - 1) / 1e9))
    shutil.rmtree(folder)
    return measured


def of_real(options: argparse.Namespace, room: Path) -> Row:
    """Measure ReaL."""
    votes, questions, result = (room / f"{name}.csv" for name in ("votes", "questions", "result"))
    columns = pq.read_table(options.data / "real" / "votes.parquet")
    names = ["task", "label", "annotator", "vote"]
    columns = columns.select(names).cast(pa.schema([(name, pa.string()) for name in names]))
    write_csv(columns, votes)
    question = pc.binary_join_element_wise(columns["task"], columns["label"], " ")
    asked = pa.table({"task": question, "annotator": columns["annotator"], "label": columns["vote"]})
    write_csv(asked.filter(pc.not_equal(asked["label"], "unsure")), questions)
    truths = read_csv(options.data / "real" / "truth.csv")
    answers = np.array([int(answer == "yes") for answer in truths["answer"].to_pylist()], dtype=np.int32)
    tasks = pc.binary_join_element_wise(truths["task"], truths["label"], " ").to_pylist()
    row = {OURS: {"votes": len(columns), **quickest(votes, "--out", result)}}
    beliefs = read_csv(result)
    beliefs = beliefs.set_column(0, "task", pc.binary_join_element_wise(beliefs["task"], beliefs["label"], " "))
    yes = laid_out(beliefs.set_column(1, "label", pa.array(["yes"] * len(beliefs))), tasks, ["yes"])
    row[OURS]["accuracy"] = accuracy(np.column_stack([1 - yes, yes]), answers)
    if not options.skip_peer:
        row[PEER] = {"votes": len(asked), **measure(CROWD_KIT, questions, result)}
        row[PEER]["accuracy"] = accuracy(wide_beliefs(result, tasks, ["no", "yes"]), answers)
    return row


def write_csv(columns: pa.Table, path: Path) -> None:
    """Write columns as a CSV, without needless quotation marks; Arrow would put all texts into some."""
    duckdb.from_arrow(columns).write_csv(str(path))


def read_csv(path: Path) -> pa.Table:
    """Read a CSV; names are texts."""
    texts = dict.fromkeys(("task", "label", "answer"), pa.string())
    return pyarrow.csv.read_csv(path, convert_options=pyarrow.csv.ConvertOptions(column_types=texts))


def beliefs(result: Path, tasks: Sequence[str], labels: Sequence[str]) -> Floats:
    """Read what ours believes, (n_tasks, n_labels); a label that nobody chose has no row."""
    return laid_out(read_csv(result), tasks, labels)


def laid_out(beliefs: pa.Table, tasks: Sequence[str], labels: Sequence[str]) -> Floats:
    """Lay posteriors out as (n_tasks, n_labels)."""
    places = [
        pc.fill_null(pc.index_in(beliefs[name], pa.array(names)), -1).to_numpy()
        for name, names in (("task", tasks), ("label", labels))
    ]
    there = (places[0] >= 0) & (places[1] >= 0)
    belief = np.zeros((len(tasks), len(labels)))
    belief[places[0][there], places[1][there]] = beliefs["posterior"].to_numpy()[there]
    return belief


def wide_beliefs(result: Path, tasks: Sequence[str], labels: Sequence[str]) -> Floats:
    """Read what crowd-kit believes, (n_tasks, n_labels); of a task without a vote nothing."""
    beliefs = read_csv(result)
    row = pc.index_in(pa.array(tasks), beliefs["task"].combine_chunks())
    columns = np.column_stack([beliefs[label].to_numpy() for label in labels])
    none = np.full((1, len(labels)), 1 / len(labels))
    belief: Floats = np.append(columns, none, axis=0)[pc.fill_null(row, len(columns)).to_numpy()]
    return belief


def bars_of(rows: dict[str, Row]) -> dict[str, bool]:
    """Return each bar that could be looked at, and whether it is reached."""
    bars: dict[str, bool] = {}
    for name, row in rows.items():
        if PEER in row:
            faster = FASTER_ON_REAL if name == REAL else FASTER
            bars[f"{faster:g} times as fast: {name}"] = ratio(row) >= faster
            bars[f"as right, or more: {name}"] = row[OURS]["accuracy"] >= row[PEER]["accuracy"] - SAME
        if row[OURS]["votes"] == TEN_MILLION:
            bars[f"ten million under {SECONDS:g} s"] = row[OURS]["seconds"] < SECONDS
            bars[f"ten million under {MEGABYTES / 1000:g} GB"] = row[OURS]["megabytes"] < MEGABYTES
    each = [row[OURS]["seconds"] / row[OURS]["votes"] for name, row in rows.items() if name != REAL]
    if len(each) > 1:
        bars["linear in votes"] = each[-1] <= LINEAR * each[0]
    return bars


def ratio(row: Row, kind: str = "seconds") -> float:
    """Return how many times as fast ours is."""
    return row[PEER][kind] / row[OURS][kind] if PEER in row else float("nan")


def show(rows: dict[str, Row], folders: dict[str, Measured], left_out: dict[str, str]) -> None:
    """Print the tables."""
    digits = {"seconds": 1, "processor_seconds": 1, "megabytes": 0, "accuracy": 4}
    lines = []
    for name, row in rows.items():
        cells = [
            figure(row.get(who, {}).get(kind, float("nan")), places)
            for kind, places in digits.items()
            for who in (OURS, PEER)
        ]
        lines.append((name, [*cells, figure(ratio(row), 1), figure(ratio(row, "processor_seconds"), 1)]))
    heads = [f"{kind.replace('_', ' ')}, {who}" for kind in digits for who in (OURS, PEER)]
    print(table("from file to file", [*heads, "times as fast", "by processor seconds"], lines))
    in_parts = [
        (name, [figure(row[kind], places) for kind, places in digits.items() if kind in row])
        for name, row in folders.items()
    ]
    if in_parts:
        print(table("a folder in parts", [kind.replace("_", " ") for kind in list(digits)[:-1]], in_parts))
    for name, why in left_out.items():
        print(f"crowd-kit was not run on {name}: {why}\n")


def main() -> int:
    """Run, print, and return the exit status."""
    options = parser().parse_args()
    sizes = ", ".join(f"{annotators_for(int(size))} annotators for {size:g}" for size in options.votes)
    print(f"Simulated votes: {PER_TASK} a task, {N_CLASSES} classes; {sizes}\n")
    with tempfile.TemporaryDirectory() as name:
        rows, folders, left_out = of_simulated(options, Path(name))
        if options.data:
            rows[REAL] = of_real(options, Path(name))
    show(rows, folders, left_out)
    bars = bars_of(rows)
    print(table("bar", ["reached"], [(bar, [yes_no(reached)]) for bar, reached in bars.items()]))
    report = {"files": rows, "folders": folders, "left_out": left_out, "bars": bars}
    return finish({"benchmark": "speed", "reached": all(bars.values()), **report})


if __name__ == "__main__":
    sys.exit(main())
