"""The body of a request as JSON, or a refusal that says what is wrong with it."""

import json
import re
from typing import Any

from flask import Request, current_app
from werkzeug.exceptions import BadRequest, HTTPException, RequestEntityTooLarge, UnsupportedMediaType

VALUES = "MAX_JSON_VALUES"  # key of an application's configuration
MAX_VALUES = 2_000_000  # which take a quarter of a gigabyte
_STRUCTURE = b",[{"  # each begins a value, the first one apart
_STRING = re.compile(rb'"[^"\\]*+(?:\\.[^"\\]*+)*+(?:"|\\?\Z)', re.DOTALL)


class StrictRequest(Request):
    """A request whose JSON body is an object of which only one reading is possible.

    That it must be declared as JSON keeps web pages out, whose scripts may send anything else to any address.
    """

    def get_json(self, force: bool = False, silent: bool = False, cache: bool = True) -> Any:  # noqa: FBT001, FBT002, ANN401, ARG002 - as Flask's
        """Read the body, whatever the arguments.

        Raises
        ------
        HTTPException
            UnsupportedMediaType, RequestEntityTooLarge, or BadRequest with the reason.
        """
        if not self.is_json:
            raise UnsupportedMediaType("send JSON, and the header Content-Type: application/json")
        body = self._body()
        limit = current_app.config[VALUES]
        if has_more_values(body, limit):
            raise RequestEntityTooLarge(f"the body holds more than {limit:,} JSON values: send less at a time")
        try:
            # Not the bytes: of UTF-16 and UTF-32, which json guesses, the values were not counted.
            value = json.loads(body.decode("utf-8-sig"), object_pairs_hook=_members, parse_constant=_no_number)
        except RecursionError:
            raise BadRequest("the body is nested too deeply") from None
        except UnicodeDecodeError:
            raise BadRequest("the body is not UTF-8") from None
        except _AmbiguousError as error:
            raise BadRequest(str(error)) from None
        except ValueError:  # its message may quote the body
            raise BadRequest("the body is not JSON") from None
        if not isinstance(value, dict):
            raise BadRequest("the body is not a JSON object")
        return value

    def _body(self) -> bytes:
        try:
            body = self.get_data(cache=False)
        except HTTPException:
            raise
        except Exception:  # noqa: BLE001 - the server's own, for a body in broken chunks
            raise BadRequest("the body cannot be read") from None
        if self.content_length is None and len(body) >= (self.max_content_length or len(body) + 1):
            raise RequestEntityTooLarge  # what comes in chunks is cut off there
        return body


def has_more_values(body: bytes, limit: int) -> bool:
    """Return whether JSON holds more values than a limit, before any of them is made.

    Examples
    --------
    >>> has_more_values(b'{"a": [1, "2, [3"]}', 4), has_more_values(b'{"a": [1, "2, [3"]}', 2)
    (False, True)
    """
    if _begun(body, 0, len(body)) < limit:
        return False
    values = end = 0
    for string in _STRING.finditer(body):
        values += _begun(body, end, string.start())
        end = string.end()
        if values >= limit:
            return True
    return values + _begun(body, end, len(body)) >= limit


def _begun(body: bytes, start: int, end: int) -> int:
    return sum(body.count(sign, start, end) for sign in _STRUCTURE)


class _AmbiguousError(ValueError):
    pass


def _members(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    members = dict(pairs)
    if len(members) != len(pairs):
        raise _AmbiguousError("an object in the body has two members of one name")
    return members


def _no_number(_: str) -> Any:  # noqa: ANN401 - never returns
    raise _AmbiguousError("NaN and Infinity are not JSON")
