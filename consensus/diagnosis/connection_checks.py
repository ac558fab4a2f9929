"""Checks of a project's connections to ML backends, as Label Studio sees them."""

from collections.abc import Iterator, Sequence

from common.doctor import Finding, fine, problem, warning
from common.label_studio.rows import ConnectionRow

LONGEST = 300
"""Characters of what Label Studio says is wrong."""


def connections(rows: Sequence[ConnectionRow], project: int) -> Iterator[Finding]:
    """Look whether each backend answers Label Studio."""
    if not rows:
        yield warning(
            "no ML backend is connected", "nothing is suggested", f"ml-backend connect --project {project}"
        )
    for row in rows:
        name = f"{row.title or 'the ML backend'} at {row.url}"
        if row.works:
            yield fine(f"{name} answers" + (f" with {row.answers_with}" if row.answers_with else ""))
        else:
            reason = (row.reason.strip().splitlines() or ["it does not answer"])[-1][:LONGEST]
            yield problem(
                f"{name}: {reason}",
                "it suggests nothing, and learns from no annotation",
                f"ml-backend doctor --project {project}",
            )
