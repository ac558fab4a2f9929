"""The OpenAPI document, made of the routes and their models, with what depends on the settings."""

from typing import Any

from flask_openapi3.openapi import OpenAPI

from ml_backend.serving import auth
from ml_backend.settings import Settings

BARE = ("/", "/health")  # whose status alone needs no credentials
_SCHEMES = {"basic": {"type": "http", "scheme": "basic"}, "bearer": {"type": "http", "scheme": "bearer"}}


def openapi_document(app: OpenAPI, settings: Settings) -> dict[str, Any]:
    """Describe an application.

    Parameters
    ----------
    app : OpenAPI
        With its routes.
    settings : Settings
        Where they name credentials, so do the operations.
    """
    document: dict[str, Any] = app.api_doc
    operations = [
        (path, operation) for path, methods in document["paths"].items() for operation in methods.values()
    ]
    for _, operation in operations:
        if not {"parameters", "requestBody"} & operation.keys():
            del operation["responses"]["400"]  # nothing is read, so nothing can be wrong
    accepted: list[dict[str, list[str]]] = [{scheme: []} for scheme in auth.challenges(settings)]
    document["components"]["securitySchemes"] = {scheme: _SCHEMES[scheme] for scheme in auth.challenges(settings)}
    if accepted:
        refusal = {"$ref": "#/components/schemas/Problem"}
        for path, operation in operations:
            operation["security"] = [*([{}] if path in BARE else []), *accepted]
            operation["responses"]["401"] = {
                "description": "Unauthorized",
                "headers": {"WWW-Authenticate": {"schema": {"type": "string"}}},
                "content": {"application/json": {"schema": refusal}},
            }
    return document
