"""What is left to look at when the tables are shown."""

from __future__ import annotations

import time
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
        steps.say("Label Studio and the ML backend are stopped; without --once they stay up to be looked at.")


def stay(steps: Steps, studio: LabelStudio, backend: Server, backend_url: str, project: int, held: Held) -> None:
    """Say where everything is, and wait for Ctrl-C."""
    show_addresses(steps, studio, backend_url, project, held)
    keep_running(steps, [studio.server, backend])


def show_addresses(steps: Steps, studio: LabelStudio, backend_url: str, project: int, held: Held) -> None:
    """Print addresses, the login, and what each tab shows."""
    steps.say(f"\nLabel Studio   {studio.url}   login {studio.account.email}   password {studio.account.password}")
    steps.say(f"ML backend     {backend_url}/health")
    steps.say("\nWorth a look:")
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
