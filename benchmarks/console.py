"""Every page of the console on a store of a million classifications and five million votes: milliseconds.

    python benchmarks/console.py
    python benchmarks/console.py --classifications 100000 --pages 20 --backends sqlite

Each page is asked for in turn through the whole application, a later page of a list at a random place of it:
alone, while another process writes a run in which a tenth of the classifications and a fiftieth of the votes have
changed, and while what pages of people need of all votes is worked out behind them. Label Studio is a stand-in
that answers at once; a tenth as many suggestions as classifications are in memory. Of files the first byte counts.
Prints a table and, as its last line, one JSON object; exits with status 1 where the 95th percentile of a page,
also while a run writes, is 200 ms or more, or with --browser a page is painted after a second or fewer than 30
items a minute are reviewed.
"""

import argparse
import json
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from threading import Thread

import numpy as np
import sqlalchemy
from console_pages import Pages
from console_store import EACH, VOTES_EACH, fill, writing
from store import database

BAR_MS, PAINT_MS, PACE = 200.0, 1000.0, 30.0
ITEMS = "items of review a minute"
STATES = ("alone", "while a run writes", "while people are worked out")


def main() -> int:
    """Run, print, and return the exit status."""
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--classifications", type=int, default=1_000_000)
    options.add_argument("--pages", type=int, default=30, help="each page so often")
    options.add_argument(
        "--backends", nargs="+", choices=["sqlite", "postgresql"], default=["sqlite", "postgresql"]
    )
    options.add_argument(
        "--browser",
        action="store_true",
        help="also the first paint in Chromium, and items of review a minute before a real Label Studio",
    )
    asked = options.parse_args()
    figures = {name: measured(name, asked.classifications, asked.pages) for name in asked.backends}
    in_browser = seen_in_browser(asked.classifications, asked.pages) if asked.browser else {}
    n_votes = asked.classifications // EACH * VOTES_EACH
    print(f"{asked.classifications:,} classifications, {n_votes:,} votes; ms: median, 95th percentile, processor")
    for backend, (times, seconds) in figures.items():
        print(f"{backend:30s}" + "".join(f"{state:>29s}" for state in STATES))
        for name, states in times.items():
            print(f"  {name:28s}" + "     ".join("".join(f"{value:8.0f}" for value in each) for each in states))
        print("  seconds: " + ", ".join(f"{name} {value:.1f}" for name, value in seconds.items()))
    for name, value in in_browser.items():
        print(f"  {name:28s}{value:8.0f}")
    worst = max(each[1] for times, _ in figures.values() for states in times.values() for each in states[:2])
    paints = [value for name, value in in_browser.items() if name.endswith("paint_p95")]
    reached = worst < BAR_MS and max(paints, default=0.0) < PAINT_MS and in_browser.get(ITEMS, PACE) >= PACE
    print(
        json.dumps(
            {
                "benchmark": "console",
                "classifications": asked.classifications,
                "votes": n_votes,
                "worst_p95_ms": round(worst, 1),
                "reached": reached,
                "browser": in_browser,
                "seconds": {name: seconds for name, (_, seconds) in figures.items()},
                **{name: times for name, (times, _) in figures.items()},
            }
        )
    )
    return 0 if reached else 1


Milliseconds = tuple[float, float, float]
"""The median, the 95th percentile, and the median of the processor's time."""


def measured(backend: str, n: int, n_pages: int) -> tuple[dict[str, list[Milliseconds]], dict[str, float]]:
    """Return what each page takes in each state, and the seconds of what is behind the pages."""
    began = time.perf_counter()
    with database(backend) as url, tempfile.TemporaryDirectory(prefix="console-") as folder:
        columns = fill(url, n)
        if backend == "postgresql":  # as its autovacuum would, a minute later
            with sqlalchemy.create_engine(url, isolation_level="AUTOCOMMIT").connect() as connection:
                connection.execute(sqlalchemy.text("ANALYZE"))
        filled = time.perf_counter()
        pages = Pages(url, columns, Path(folder))
        seconds = {"filling": filled - began}
        behind = Thread(target=lambda: seconds.update(pages.computed()))
        behind.start()
        computing = _until(pages, behind.is_alive)
        alone = {name: pages.times(name, n_pages) for name in pages.addresses}
        with writing(url, n) as is_writing:
            busy = _until(pages, is_writing)
        seconds["all"] = time.perf_counter() - began
        times = {name: [_summary(state[name]) for state in (alone, busy, computing)] for name in pages.addresses}
        return times, seconds


def seen_in_browser(n: int, n_pages: int) -> dict[str, float]:
    """Return the milliseconds until pages on SQLite are painted, and how many items a minute are reviewed."""
    from console_browser import images, items_a_minute, painted  # noqa: PLC0415 - needs a browser

    with (
        database("sqlite") as url,
        tempfile.TemporaryDirectory(prefix="console-") as folder,
        images() as (address, asked),
    ):
        pages = Pages(url, fill(url, n), Path(folder), address)
        figures = painted(pages, asked, n_pages)
    named = {f"{name}: {each}": value for name, of in figures.items() for each, value in of.items()}
    return named | {ITEMS: items_a_minute()}


def _until(pages: Pages, is_at_work: Callable[[], bool]) -> dict[str, list[tuple[float, float]]]:
    """Ask for one page after the other while something is at work."""
    times: dict[str, list[tuple[float, float]]] = {name: [] for name in pages.addresses}
    while is_at_work() or not all(times.values()):
        for name, own in times.items():
            if not own or is_at_work():
                own.extend(pages.times(name, 1))
    return times


def _summary(times: Sequence[tuple[float, float]]) -> Milliseconds:
    waited, computed = np.array(times).T
    return float(np.median(waited)), float(np.percentile(waited, 95)), float(np.median(computed))


if __name__ == "__main__":
    sys.exit(main())
