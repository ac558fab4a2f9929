"""Whatever is sent: an answer as described, or a refusal in JSON; and never a fault of ours."""

from contextlib import nullcontext
from pathlib import Path

import pytest
import schemathesis
from flask import Flask
from hypothesis import HealthCheck, given
from hypothesis import settings as examples
from made_projects import PROJECT, InMemoryProject
from made_service import TOKEN, made_service
from schemathesis.core.result import Ok

from consensus.projects.run import run
from consensus.serving.app import create_app
from consensus.settings import ProjectConfig
from consensus.store.store import Store

HEADERS = {"Authorization": f"Bearer {TOKEN}"}
OPERATIONS = 27
BARE = ("GET /health", "GET /metrics", "GET /openapi.json")
"""They read nothing, so nothing can be wrong with it."""


def few(number: int) -> examples:
    """The same examples in every run."""
    return examples(
        derandomize=True,
        database=None,
        deadline=None,
        max_examples=number,
        suppress_health_check=list(HealthCheck),
    )


@pytest.fixture
def app(tmp_path: Path) -> Flask:
    """On a project in memory, after a run."""
    store = Store.migrated(f"sqlite:///{tmp_path}/store.db")
    made = InMemoryProject.judged(people=6, waiting=4, wrong=1)
    run(made.studio, store, ProjectConfig(), PROJECT, now=made.now)
    return create_app(made_service(store, studio=lambda: nullcontext(made.connected())))


@pytest.mark.parametrize("mode", list(schemathesis.GenerationMode))
@pytest.mark.filterwarnings("ignore")
def test_no_request_is_a_fault(app: Flask, mode: schemathesis.GenerationMode) -> None:
    """Requests that fit the document, and those that do not, of every operation, on a project that is there."""
    document = schemathesis.openapi.from_wsgi("/openapi.json", app, headers=HEADERS)
    every = [result.ok() for result in document.get_all_operations() if isinstance(result, Ok)]
    operations = [operation for operation in every if operation.label not in BARE]
    assert len(operations) >= OPERATIONS
    client, statuses = app.test_client(), set()
    for operation in operations:

        @given(case=operation.as_strategy(generation_mode=mode))
        @few(8)
        def send(case: schemathesis.Case) -> None:
            if "project" in (case.path_parameters or {}):
                case.path_parameters["project"] = PROJECT
            sent = case.as_transport_kwargs()
            answer = client.open(
                case.formatted_path,
                method=case.method,
                query_string=sent.get("params"),
                json=sent.get("json"),
                headers=HEADERS,
            )
            assert answer.status_code not in (500, 501), (case.method, case.formatted_path, answer.text)
            assert answer.status_code < 300 or set(answer.json) == {"error"}
            statuses.add(answer.status_code)

        send()
    assert {200, 400} & statuses
