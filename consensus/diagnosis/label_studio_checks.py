"""Checks of Label Studio: its settings, its address, the key."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass

from common.doctor import Finding, fine, problem
from common.errors import RefusedError, SettingsError, SuiteError

WHY = "neither votes can be read nor reports written"


@dataclass(frozen=True)
class Answer:
    """What came of asking Label Studio who the key belongs to."""

    url: str
    error: SuiteError | None


def settings(answer: Answer) -> Iterator[Finding]:
    """Look whether address and key are given, and can be ones."""
    if isinstance(answer.error, SettingsError):
        yield problem(str(answer.error), WHY, "set LABEL_STUDIO_URL and LABEL_STUDIO_API_KEY beside each other")
    else:
        yield fine("address and key are set")


def address(answer: Answer) -> Iterator[Finding]:
    """Look whether Label Studio answers at its address."""
    if isinstance(answer.error, SettingsError):
        return
    if answer.error and not isinstance(answer.error, RefusedError):
        remedy = "start Label Studio, or set LABEL_STUDIO_URL to its address as seen from here"
        yield problem(str(answer.error), WHY, remedy)
    else:
        yield fine(f"Label Studio answers at {answer.url}")


def key(answer: Answer) -> Iterator[Finding]:
    """Look whether the key lets us in."""
    if isinstance(answer.error, RefusedError):
        remedy = (
            "set LABEL_STUDIO_API_KEY to the token of an account that may edit the projects (Account & Settings)"
        )
        yield problem(str(answer.error), WHY, remedy)
    elif not answer.error:
        yield fine("the key lets us in")


CHECKS: dict[str, Callable[[Answer], Iterator[Finding]]] = {"settings": settings, "address": address, "key": key}
