"""The OpenAPI document, made of the routes and their models, with what a call has to show."""

from collections.abc import Collection
from typing import Any

from flask_openapi3.openapi import OpenAPI

from common.serving.credentials import Credentials

_SCHEMES = {"basic": {"type": "http", "scheme": "basic"}, "bearer": {"type": "http", "scheme": "bearer"}}


def openapi_document(app: OpenAPI, credentials: Credentials, bare: Collection[str]) -> dict[str, Any]:
    """Describe an application.

    Parameters
    ----------
    app : OpenAPI
        With its routes.
    credentials : Credentials
        Where there are any, the operations name them.
    bare : collection of str
        Routes that say a little without credentials as well.
    """
    document: dict[str, Any] = app.api_doc
    operations = [
        (path, operation) for path, methods in document["paths"].items() for operation in methods.values()
    ]
    for _, operation in operations:
        if not {"parameters", "requestBody"} & operation.keys():
            del operation["responses"]["400"]  # nothing is read, so nothing can be wrong
    accepted: list[dict[str, list[str]]] = [{scheme: []} for scheme in credentials.challenges()]
    document["components"]["securitySchemes"] = {scheme: _SCHEMES[scheme] for scheme in credentials.challenges()}
    if accepted:
        refusal = {"$ref": "#/components/schemas/Problem"}
        for path, operation in operations:
            operation["security"] = [*([{}] if path in bare else []), *accepted]
            operation["responses"]["401"] = {
                "description": "Unauthorized",
                "headers": {"WWW-Authenticate": {"schema": {"type": "string"}}},
                "content": {"application/json": {"schema": refusal}},
            }
    return document
