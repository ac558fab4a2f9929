"""Whatever goes wrong becomes a short JSON answer: no traceback, and nothing of the request in it."""

from functools import partial

import structlog
from flask import Flask, Response, jsonify, request
from pydantic import BaseModel, ValidationError
from werkzeug.exceptions import HTTPException

from common.logs import fault

log = structlog.get_logger()

_SHOWN = 5  # faults of one body


class Problem(BaseModel):
    """Why a request was refused."""

    error: str


def install(app: Flask, log_of: str) -> None:
    """Let an application refuse in JSON; of a fault of ours it says whose log tells more."""
    app.register_error_handler(HTTPException, refused)
    app.register_error_handler(Exception, partial(failed, log_of))


def invalid(error: ValidationError) -> Response:
    """Say what does not fit, without the values."""
    wrong = "; ".join(
        f"{'.'.join(map(str, mismatch['loc'])) or 'body'}: {mismatch['msg']}"
        for mismatch in error.errors(include_input=False, include_url=False)[:_SHOWN]
    )
    response = jsonify(error=f"the request does not fit: {wrong}")
    response.status_code = 400
    return response


def refused(error: HTTPException) -> Response:
    """Say what werkzeug would say, with the headers that belong to it, such as ``Allow``."""
    if isinstance(error.response, Response):
        return error.response
    response = jsonify(error=f"{error.name}: {error.description}")
    response.status_code = error.code or 500
    for name, value in error.get_headers():
        if name.lower() != "content-type":
            response.headers.add(name, value)
    return response


def failed(log_of: str, error: Exception) -> Response:
    """Answer 500 for a fault of ours, and log its kind and place."""
    route = request.url_rule.rule if request.url_rule else "other"
    log.error("request_failed", route=route, **fault(error))
    response = jsonify(error=f"internal error: see {log_of}")
    response.status_code = 500
    return response
