import json
import re
from typing import Any

import pytest
from flask import Flask

from ml_backend.backend import Backend
from ml_backend.serving.app import create_app
from ml_backend.settings import Settings

CREDENTIALS = {"basic_user": "ls", "basic_password": "secret-one", "token": "secret-two"}


@pytest.fixture
def app(backend: Backend) -> Flask:
    """The application, without credentials."""
    return create_app(backend)


def document(app: Flask, **headers: str) -> dict[str, Any]:
    """What it says of itself."""
    answer = app.test_client().get("/openapi.json", headers=headers)
    assert answer.status_code == 200
    return answer.json


def operations(described: dict[str, Any]) -> dict[str, dict[str, Any]]:
    """The operations by method and path."""
    return {
        f"{method.upper()} {path}": operation
        for path, methods in described["paths"].items()
        for method, operation in methods.items()
    }


def test_every_route_is_described(app: Flask) -> None:
    """What the application answers and what the document lists are the same."""
    served = {
        f"{method} {rule.rule}"
        for rule in app.url_map.iter_rules()
        for method in (rule.methods or set()) - {"HEAD", "OPTIONS"}
    }
    described = operations(document(app))
    assert set(described) == served
    assert {"POST /predict", "GET /clusters", "GET /doctor", "GET /health"} < served

    assert len(served) == 10
    assert all(operation["summary"].endswith(".") for operation in described.values())
    names = [operation["operationId"] for operation in described.values()]
    assert sorted(set(names)) == sorted(names)


def test_every_reference_leads_somewhere(app: Flask) -> None:
    """The document is OpenAPI 3.1, and the models that it names are in it."""
    described = document(app)
    assert described["openapi"] == "3.1.0"
    named = set(re.findall(r'"#/components/schemas/(\w+)"', json.dumps(described)))
    assert named >= {"Problem", "Predict", "Suggestions", "Webhook"}
    assert named <= set(described["components"]["schemas"])


def test_bodies_and_refusals_are_described(app: Flask) -> None:
    """Routes with a body say what it needs and how they refuse; routes that read nothing refuse nothing."""
    described = document(app)
    by_route = operations(described)
    for name in ("POST /setup", "POST /predict", "POST /webhook"):
        assert by_route[name]["requestBody"]["required"] is True
        assert set(by_route[name]["responses"]) == {"200", "400", "413", "415"}
    assert set(by_route["GET /health"]["responses"]) == {"200"}
    assert set(by_route["GET /metrics"]["responses"]["200"]["content"]) == {"text/plain"}
    schemas = described["components"]["schemas"]
    assert schemas["Setup"]["required"] == ["project"]
    assert schemas["Predict"]["required"] == ["tasks"]
    assert schemas["Problem"]["properties"]["error"]["type"] == "string"


def test_without_credentials_none_are_described(app: Flask) -> None:
    """Where everybody may call, no scheme is named and nothing answers 401."""
    described = document(app)
    assert described["components"]["securitySchemes"] == {}
    assert "401" not in json.dumps(described)


@pytest.mark.parametrize(
    ("given", "schemes"),
    [
        (("basic_user", "basic_password", "token"), ["basic", "bearer"]),
        (("basic_user", "basic_password"), ["basic"]),
        (("token",), ["bearer"]),
    ],
)
def test_credentials_are_described_and_not_told(
    settings: Settings, given: tuple[str, ...], schemes: list[str]
) -> None:
    """Each scheme that is set is named for each route; of the health page alone the bare status is for all."""
    chosen = {name: CREDENTIALS[name] for name in given}
    app = create_app(Backend(Settings.model_validate(settings.model_dump() | chosen)))
    right = ("Authorization", "Basic bHM6c2VjcmV0LW9uZQ==" if "basic_user" in given else "Bearer secret-two")
    described = document(app, **dict([right]))
    assert list(described["components"]["securitySchemes"]) == schemes
    for name, operation in operations(described).items():
        assert "401" in operation["responses"]
        open_to_all = name in ("GET /", "GET /health")
        assert operation["security"] == [*([{}] if open_to_all else []), *({scheme: []} for scheme in schemes)]
    assert "secret-" not in json.dumps(described)


def test_no_page_loads_scripts(app: Flask) -> None:
    """There is a document and no web page around it."""
    for path in ("/openapi", "/openapi/", "/docs", "/swagger", "/openapi/openapi.json", "/static/x.js"):
        assert app.test_client().get(path).status_code == 404
