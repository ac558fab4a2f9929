"""The shared fixtures: what they start is real and answers."""

from __future__ import annotations

from typing import TYPE_CHECKING

import httpx
import pytest
import sqlalchemy
from sqlalchemy.pool import NullPool

if TYPE_CHECKING:
    from conftest import RunningLabelStudio

pytestmark = pytest.mark.server


def test_label_studio_knows_its_administrator(label_studio: RunningLabelStudio) -> None:
    """The token and the password of the fixture belong to the administrator's account."""
    assert label_studio.administrator.ask("GET", "/api/current-user/whoami")["email"] == label_studio.email
    with httpx.Client(base_url=label_studio.url, follow_redirects=True) as browser:
        browser.get("/user/login/")
        form = {"email": label_studio.email, "password": label_studio.password}
        form["csrfmiddlewaretoken"] = browser.cookies["csrftoken"]
        browser.post("/user/login/", data=form)
        assert browser.get("/api/current-user/whoami").json()["email"] == label_studio.email


def test_label_studio_lets_nobody_sign_up_without_the_invite_link(label_studio: RunningLabelStudio) -> None:
    """Who signs up without the link gets no account."""
    with httpx.Client(base_url=label_studio.url, follow_redirects=True) as browser:
        browser.get("/user/signup/")
        form = {"email": "stranger@example.com", "password": "long-enough-1"}
        form["csrfmiddlewaretoken"] = browser.cookies["csrftoken"]
        assert browser.post("/user/signup/", data=form).status_code == 403
    assert "stranger@example.com" not in label_studio.administrator.accounts().values()


def test_label_studio_keeps_a_project(label_studio: RunningLabelStudio) -> None:
    """A project that was made is there afterwards."""
    made = label_studio.administrator.create_project("<View/>", "Kept")
    assert label_studio.administrator.project(made).title == "Kept"


@pytest.mark.parametrize("_round", ["first", "second"])
def test_postgres_databases_are_empty(postgres_database_url: str, _round: str) -> None:
    """Each test gets a database that no other test has touched."""
    engine = sqlalchemy.create_engine(postgres_database_url, poolclass=NullPool)
    with engine.begin() as connection:
        assert sqlalchemy.inspect(connection).get_table_names() == []
        connection.execute(sqlalchemy.text("CREATE TABLE left_behind (number int)"))
        assert "PostgreSQL" in connection.execute(sqlalchemy.text("SELECT version()")).scalar_one()
