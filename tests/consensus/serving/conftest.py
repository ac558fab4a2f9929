"""A service on a store made by hand."""

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from flask import Flask
from flask.testing import FlaskClient
from made_store import filled

from consensus.serving.app import create_app
from consensus.store.store import Store

sys.path.insert(0, str(Path(__file__).parent))  # where the running service is

from made_service import TOKEN, made_service


@pytest.fixture(params=["sqlite", pytest.param("postgresql", marks=pytest.mark.server)])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Store:
    """With one run of project 7."""
    if request.param == "sqlite":
        return filled(f"sqlite:///{tmp_path}/store.db")
    return filled(str(request.getfixturevalue("postgres_database_url")))


@pytest.fixture
def app(store: Store) -> Flask:
    """The application on that store."""
    return create_app(made_service(store))


@pytest.fixture
def client(app: Flask) -> FlaskClient:
    """Somebody who has the token."""
    client = app.test_client()
    client.environ_base["HTTP_AUTHORIZATION"] = f"Bearer {TOKEN}"
    return client


@pytest.fixture
def get(client: FlaskClient) -> Callable[..., Any]:
    """Ask for something of project 7, which is there."""

    def _get(path: str, **query: object) -> Any:  # noqa: ANN401
        answer = client.get(f"/api/projects/7{path}", query_string=query or None)
        assert answer.status_code == 200, answer.json
        return answer.json

    return _get
