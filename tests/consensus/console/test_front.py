"""One address for programs and people."""

import tomllib
from pathlib import Path

import pytest
from flask import Flask, request
from werkzeug.test import Client

import consensus
from consensus.console.front import Front, proxies_in
from consensus.errors import ConfigError


def app_that_says(name: str) -> Flask:
    """An application that answers with its name and the address that it believes to have."""
    app = Flask(name)

    @app.get("/", defaults={"path": ""})
    @app.get("/<path:path>")
    def say(path: str) -> str:
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


def test_what_pages_are_made_of_is_installed_with_the_package() -> None:
    """Each template and each file that pages load stands in what pyproject.toml installs."""
    package = Path(consensus.__file__).parent
    project = tomllib.loads((package.parent / "pyproject.toml").read_text(encoding="utf-8"))
    patterns = project["tool"]["setuptools"]["package-data"]["consensus"]
    installed = {path for pattern in patterns for path in package.glob(pattern) if path.is_file()}
    files = {path for folder in ("templates", "static") for path in (package / "console" / folder).rglob("*.*")}
    assert len(files) > 20
    assert files - installed == set()


@pytest.mark.parametrize(
    ("proxies", "address", "forwarded", "visitor"),
    [
        ("", "10.0.0.7", "192.0.2.1", "10.0.0.7"),
        ("10.0.0.7", "10.0.0.7", "192.0.2.1", "192.0.2.1"),
        ("10.0.0.7", "10.0.0.7", "forged, 192.0.2.1", "192.0.2.1"),
        ("10.0.0.7", "10.0.0.7", "10.0.0.9, 192.0.2.1", "192.0.2.1"),
        ("10.0.0.0/8, ::1", "::1", "198.51.100.1, 192.0.2.1, 10.0.0.9", "192.0.2.1"),
        ("10.0.0.7", "203.0.113.5", "192.0.2.1", "203.0.113.5"),
        ("10.0.0.7", "10.0.0.7", "no address", "10.0.0.7"),
        ("10.0.0.7", "10.0.0.7", "", "10.0.0.7"),
    ],
)
def test_only_a_named_proxy_says_who_asks(proxies: str, address: str, forwarded: str, visitor: str) -> None:
    """What a visitor puts into the header changes nothing."""
    app = Flask("asked")
    app.add_url_rule("/", view_func=lambda: str(request.remote_addr))
    front = Front(app_that_says("api"), app, proxies=proxies_in(proxies))
    answer = Client(front).get("/", headers={"X-Forwarded-For": forwarded}, environ_base={"REMOTE_ADDR": address})
    assert answer.text == visitor


def test_a_proxy_that_is_no_address_is_refused() -> None:
    """With the name of the setting."""
    with pytest.raises(ConfigError, match="CONSENSUS_PROXIES: 'proxy' does not"):
        proxies_in("proxy")
