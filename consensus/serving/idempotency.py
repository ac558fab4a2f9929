"""A request that is repeated with its `Idempotency-Key` gets the answer of the first one, and does nothing."""

import hashlib
import threading
from collections import OrderedDict
from collections.abc import Callable
from functools import wraps
from typing import ParamSpec

from flask import Response, current_app, request
from werkzeug.exceptions import BadRequest, Conflict, UnprocessableEntity

HEADER = "Idempotency-Key"
LONGEST = 200
KEPT = 10_000
_EXTENSION = "idempotency"
Parameters = ParamSpec("Parameters")


class Answers:
    """The latest answers by their keys, and the keys that are being worked on."""

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.kept: OrderedDict[str, tuple[str, bytes, int]] = OrderedDict()
        self.working: set[str] = set()


def install(app_extensions: dict[str, object]) -> None:
    """Give an application a memory of its answers."""
    app_extensions[_EXTENSION] = Answers()


def key() -> str | None:
    """Return the key of the request, if it has one.

    Raises
    ------
    BadRequest
        Where it is empty, too long or cannot be printed.
    """
    value = request.headers.get(HEADER)
    if value is not None and not (0 < len(value) <= LONGEST and value.isprintable()):
        raise BadRequest(f"{HEADER} must have 1 to {LONGEST} characters that can be printed")
    return value


def once(view: Callable[Parameters, Response]) -> Callable[Parameters, Response]:
    """Answer a request with a key once: repeated, it gets the same answer; with another body it is refused."""

    @wraps(view)
    def answer(*arguments: Parameters.args, **named: Parameters.kwargs) -> Response:
        own = key()
        if own is None:
            return view(*arguments, **named)
        answers: Answers = current_app.extensions[_EXTENSION]
        place = f"{request.path}\n{own}"
        digest = hashlib.sha256(repr(named.get("body")).encode()).hexdigest()
        with answers.lock:
            if place in answers.kept:
                first, content, status = answers.kept[place]
                if first != digest:
                    raise UnprocessableEntity(f"{HEADER} {own!r} was sent with another body; take a new one")
                return Response(content, status, content_type="application/json")
            if place in answers.working:
                raise Conflict(f"a request with {HEADER} {own!r} is being worked on; ask again")
            answers.working.add(place)
        try:
            response = view(*arguments, **named)
            with answers.lock:
                answers.kept[place] = digest, response.get_data(), response.status_code
                while len(answers.kept) > KEPT:
                    answers.kept.popitem(last=False)
        finally:
            with answers.lock:
                answers.working.discard(place)
        return response

    return answer
