from dataclasses import replace
from pathlib import Path

import pytest

from common.doctor import Level
from ml_backend.diagnosis.backend_checks import CHECKS
from ml_backend.diagnosis.state import BackendState, Folder, Reply

URL = "http://ml-backend.internal:9090"
UP = {"status": "UP", "weights": "imagenet", "backbone": "resnet18", "model_loaded": True, "error": None}
ROOMY = Folder(Path("/data"), exists=True, writable=True, free_bytes=50_000_000_000)
FINE = BackendState(
    url=URL,
    health=Reply(URL, 200, UP),
    versions=Reply(URL, 200, {}),
    versions_without_login=Reply(""),
    weights="imagenet",
    headers={},
    account=None,
    folder=ROOMY,
)
LOCKED = replace(
    FINE, headers={"Authorization": "Basic eA=="}, account="ls", versions_without_login=Reply(URL, 401)
)


def found(state: BackendState) -> dict[str, tuple[Level, str]]:
    """What is not fine."""
    return {
        name: (finding.level, finding.seen)
        for name, check in CHECKS.items()
        for finding in check(state)
        if finding.level is not Level.FINE
    }


@pytest.mark.parametrize("state", [FINE, LOCKED])
def test_a_backend_in_order_needs_nothing(state: BackendState) -> None:
    """With a login and without."""
    assert found(state) == {}


@pytest.mark.parametrize(
    ("changed", "check", "level", "seen"),
    [
        ({"url": ""}, "address", Level.WARNING, "ML_BACKEND_PUBLIC_URL not set"),
        ({"url": "http://ml-backend:9090"}, "address", Level.PROBLEM, "has no dot"),
        ({"health": Reply(URL, error="refused")}, "health", Level.WARNING, "nothing answers from here"),
        ({"health": Reply(URL, 200)}, "health", Level.PROBLEM, "is no ML backend"),
        ({"health": Reply(URL, 401)}, "health", Level.PROBLEM, "refuses the login of this command's settings"),
        ({"health": Reply(URL, 200, UP | {"weights": "random"})}, "weights", Level.PROBLEM, "random ones answer"),
        ({"health": Reply(URL, 200, UP | {"error": "no file"})}, "weights", Level.PROBLEM, "loaded: no file"),
        (
            {"health": Reply(URL, 200, UP | {"error": "no ONNX engine: x"})},
            "weights",
            Level.PROBLEM,
            "exported: no ONNX",
        ),
        (
            {"health": Reply(URL, 200, UP | {"model_loaded": False})},
            "weights",
            Level.WARNING,
            "still being loaded",
        ),
        ({"headers": {"Authorization": "Bearer x"}}, "login", Level.PROBLEM, "a bearer token only"),
        ({"versions": Reply(URL, 401)}, "login", Level.PROBLEM, "none is configured here"),
        ({"url": "http://1.1.1.1"}, "login", Level.WARNING, "public address and lets everybody in"),
        ({"folder": replace(ROOMY, exists=False)}, "data folder", Level.WARNING, "there is no folder /data here"),
        ({"folder": replace(ROOMY, writable=False)}, "data folder", Level.PROBLEM, "/data cannot be written"),
        ({"folder": replace(ROOMY, free_bytes=5 * 10**8)}, "data folder", Level.WARNING, "0.50 GB left"),
        ({"folder": replace(ROOMY, free_bytes=10**7)}, "data folder", Level.PROBLEM, "0.01 GB left"),
        ({"waiting": (3, 7)}, "waiting trainings", Level.PROBLEM, "project 3, 7"),
    ],
)
def test_each_fault_is_named(changed: dict[str, object], check: str, level: Level, seen: str) -> None:
    """One change to a backend in order leads to one finding."""
    [(name, (of_level, sentence))] = found(replace(FINE, **changed)).items()  # type: ignore[arg-type]
    assert (name, of_level) == (check, level)
    assert seen in sentence


def test_random_weights_on_purpose_are_fine() -> None:
    """Only those that stand in for others are a fault."""
    assert found(replace(FINE, weights="random", health=Reply(URL, 200, UP | {"weights": "random"}))) == {}


def test_a_login_that_the_backend_does_not_ask_for_is_named() -> None:
    """The running backend was started with other settings."""
    state = replace(LOCKED, versions_without_login=Reply(URL, 200, {}))
    assert found(state)["login"] == (
        Level.PROBLEM,
        "the running backend lets everybody in, although a login is configured here",
    )
