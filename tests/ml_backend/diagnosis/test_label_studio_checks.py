from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from common.doctor import Finding, Level
from ml_backend.diagnosis.label_studio_checks import CHECKS
from ml_backend.diagnosis.state import Key, LabelStudioState, Reply

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
URL = "https://ls.example.org"
FINE = LabelStudioState(
    URL, (), Reply(URL + "/api/version", 200, {"release": "1.23.2"}, ahead_s=0.4), Key("legacy")
)


def levels(state: LabelStudioState) -> dict[str, Level]:
    """What the checks say that say something."""
    return {name: finding.level for name, check in CHECKS.items() for finding in check(state, NOW)}


def only(state: LabelStudioState, name: str) -> Finding:
    """What one check says."""
    [finding] = CHECKS[name](state, NOW)
    return finding


def test_a_label_studio_in_order_needs_nothing() -> None:
    """Address, release, key and clock are fine; nothing is said of settings that are all there."""
    assert levels(FINE) == dict.fromkeys(("address", "release", "key", "clock"), Level.FINE)


def test_another_release_is_a_warning() -> None:
    """What this backend was not tested with may work."""
    found = only(replace(FINE, version=replace(FINE.version, body={"release": "1.30.0"})), "release")
    assert (found.level, found.seen) == (Level.WARNING, "release 1.30.0")


@pytest.mark.parametrize(
    ("ahead_s", "level", "seen"),
    [
        (29.0, Level.FINE, "agree"),
        (45.0, Level.WARNING, "45 s ahead of ours"),
        (-3600.0, Level.WARNING, "3600 s behind ours"),
    ],
)
def test_a_clock_may_differ_by_half_a_minute(ahead_s: float, level: Level, seen: str) -> None:
    """Network and whole seconds make small differences; larger ones are named with their direction."""
    found = only(replace(FINE, version=replace(FINE.version, ahead_s=ahead_s)), "clock")
    assert found.level is level
    assert seen in found.seen


def test_a_redirect_is_named_with_its_end() -> None:
    """The remedy is the address that the redirect leads to."""
    found = only(replace(FINE, url="http://ls.example.org"), "address")
    assert (found.level, found.remedy) == (Level.WARNING, "set LABEL_STUDIO_URL to https://ls.example.org")


def test_a_token_that_expires_soon_is_a_warning() -> None:
    """Two weeks before, there is time to make another one."""
    soon = replace(FINE, key=Key("refresh", NOW + timedelta(days=13)))
    late = replace(FINE, key=Key("refresh", NOW + timedelta(days=15)))
    assert (only(soon, "key").level, only(late, "key").level) == (Level.WARNING, Level.FINE)
    assert "2026-03-14" in only(soon, "key").seen


def test_a_personal_token_does_not_work_below_a_path() -> None:
    """The SDK exchanges it at the root of the host, where Label Studio is not."""
    state = replace(
        FINE, url=URL + "/ls", key=Key("refresh", NOW + timedelta(days=99)), refused="no", refused_with=404
    )
    assert "use a legacy token" in only(state, "key").remedy


def test_no_password_is_told() -> None:
    """An address may hold one."""
    state = replace(FINE, url="https://me:secret@ls.example.org", version=Reply("", error="refused"))
    assert "secret" not in repr([finding for check in CHECKS.values() for finding in check(state, NOW)])
