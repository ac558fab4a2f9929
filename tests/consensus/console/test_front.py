"""One address for programs and people."""

import pytest
from flask import Flask
from werkzeug.test import Client

from consensus.console.front import Front


def app_that_says(name: str) -> Flask:
    """An application that answers with its name and the address that it believes to have."""
    app = Flask(name)

    @app.get("/", defaults={"path": ""})
    @app.get("/<path:path>")
    def say(path: str) -> str:
        from flask import request  # noqa: PLC0415

        return f"{name} {request.script_root}/{path} {request.scheme}"

    return app


@pytest.mark.parametrize(
    ("path", "answer"),
    [
        ("/api/projects/7", "api /api/projects/7 http"),
        ("/health", "api /health http"),
        ("/healthy", "console /c/healthy https"),
        ("/", "console /c/ https"),
        ("/projects/7/", "console /c/projects/7/ https"),
        ("/c/projects/7/", "console /c/projects/7/ https"),
        ("/cats", "console /c/cats https"),
    ],
)
def test_programs_reach_the_api_and_people_the_console(path: str, answer: str) -> None:
    """Behind a proxy that takes its prefix off, and behind one that leaves it."""
    front = Front(app_that_says("api"), app_that_says("console"), "/c", https=True)
    assert Client(front).get(path).text == answer
