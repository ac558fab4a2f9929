"""What is left to look at when the tables are shown."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from demonstration.errors import DemoError
from demonstration.scores import REPORTS
from demonstration.waiting import SORTING_TAB

if TYPE_CHECKING:
    from collections.abc import Sequence

    from label_studio_server import LabelStudio
    from servers import Server

    from demonstration.reading import Held
    from demonstration.steps import Steps

LOOK_EVERY_SECONDS = 1.0


def show_sent(steps: Steps, outcome: dict[str, Any], *, once: bool) -> None:
    """Print what the runs of consensus sent, and how long everything took."""
    sent = outcome["writes"]
    steps.say(
        f"The first run of consensus sent {sent['created']} entries and {sent['tabs']} tabs, the second nothing."
    )
    steps.say(f"All of it took {steps.seconds:.0f} s.")
    if once:
        steps.say("All servers are stopped; without --once they stay up to be looked at.")


@dataclass(frozen=True)
class Addresses:
    """Where our programs answer.

    Attributes
    ----------
    project
        Its number.
    """

    backend: str
    console: str
    project: int


TOUR = (
    ("", "how the project stands, and what is left"),
    ("reports/MisClassified", "wrong labels: who voted what; accept, keep, ask, undo"),
    ("grid?of=Discovered", "many images with one label at once"),
    ("review", "what waits for a reviewer, by single keys"),
    ("reports/NoVotes", "what nobody has looked at"),
)
"""Pages of the console, and what they show."""


def stay(steps: Steps, studio: LabelStudio, servers: Sequence[Server], addresses: Addresses, held: Held) -> None:
    """Say where everything is, and wait for Ctrl-C."""
    show_addresses(steps, studio, addresses, held)
    keep_running(steps, [studio.server, *servers])


def show_addresses(steps: Steps, studio: LabelStudio, addresses: Addresses, held: Held) -> None:
    """Print addresses, the login, what each tab shows, and a tour of the console."""
    project = addresses.project
    steps.say(f"\nLabel Studio   {studio.url}   login {studio.account.email}   password {studio.account.password}")
    steps.say(f"Console        {addresses.console}   the same login")
    steps.say(f"ML backend     {addresses.backend}/health")
    steps.say("\nA tour of the console:")
    for page, text in TOUR:
        steps.say(f"  {addresses.console}/projects/{project}/{page}   {text}")
    steps.say("\nWorth a look in Label Studio:")
    for title in (*REPORTS, SORTING_TAB):
        if tab := held.tabs.get(title):
            steps.say(f"  {studio.url}/projects/{project}/data?tab={tab.number}   {title} ({tab.tasks} tasks)")


def keep_running(steps: Steps, servers: Sequence[Server]) -> None:
    """Wait for Ctrl-C; end where a server ends by itself."""
    steps.say("\nEverything goes on running. Ctrl-C stops it and removes what it made.")
    try:
        while all(server.is_running for server in servers):
            time.sleep(LOOK_EVERY_SECONDS)
    except KeyboardInterrupt:
        steps.say("\nStopping.")
        return
    ended = next(server for server in servers if not server.is_running)
    raise DemoError(f"{ended.name} ended by itself. Its last lines:\n{ended.last_lines()}")
