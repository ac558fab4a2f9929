"""Console output: one line an event, for people on a terminal and as JSON elsewhere; no secrets, no tracebacks."""

import logging
import re
import sys
import threading
from pathlib import Path
from types import TracebackType
from typing import Any

import structlog
from structlog.typing import EventDict

from common.console import one_line, safe

_LONGEST = 500  # characters of one value
# What follows a question mark may sign an address, and what stands before an @ may be a password.
_QUERY = re.compile(r"(?<=[\w/.\-*~%=])\?[^\s\"'<>)\]]+")
_ACCOUNT = re.compile(r"(?<=://)[^\s/@]+@")


def configure_logs() -> None:
    """Send structlog, what libraries log, and errors that nobody caught to standard error.

    A person on a terminal still sees the traceback of a fault of ours; a log file never does.
    """
    terminal = sys.stderr.isatty()
    structlog.configure(
        processors=[
            structlog.contextvars.merge_contextvars,
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            without_secrets,
            structlog.dev.ConsoleRenderer() if terminal else structlog.processors.JSONRenderer(),
        ],
        wrapper_class=structlog.make_filtering_bound_logger("info"),
        logger_factory=lambda *_: structlog.WriteLogger(sys.stderr),  # a line in one write: workers share the file
        cache_logger_on_first_use=False,
    )
    root = logging.getLogger()
    if not any(isinstance(handler, ToStructlog) for handler in root.handlers):
        root.addHandler(ToStructlog())
    if not terminal:
        sys.excepthook = _uncaught
        threading.excepthook = _uncaught_in_thread


def without_secrets(_logger: object, _method: str, event: EventDict) -> EventDict:
    """Shorten long texts and strip addresses of their queries and accounts, however deep they are.

    Examples
    --------
    >>> without_secrets(None, "info", {"event": "x", "urls": ["https://me:pw@h/a.png?X-Amz-Signature=1 is gone"]})
    {'event': 'x', 'urls': ['https://h/a.png?… is gone']}
    """
    event.pop("exc_info", None)
    return {key: _safe(value) for key, value in event.items()}


def _safe(value: Any) -> Any:  # noqa: ANN401 - whatever is logged
    if isinstance(value, str):
        bare = safe(one_line(_ACCOUNT.sub("", _QUERY.sub("?…", value[: 2 * _LONGEST]))))
        return bare if len(bare) <= _LONGEST else bare[:_LONGEST] + "…"
    if isinstance(value, list | tuple):
        return [_safe(element) for element in value]
    if isinstance(value, dict):
        return {str(key): _safe(element) for key, element in value.items()}
    return value if value is None or isinstance(value, bool | int | float) else _safe(str(value))


class ToStructlog(logging.Handler):
    """Turns what a library logs into a line of ours: its message's first line, and the kind of its error."""

    def emit(self, record: logging.LogRecord) -> None:
        """Write a line."""
        try:
            message = record.getMessage().strip().split("\n", 1)[0]
        except (TypeError, ValueError):  # arguments that do not fit
            message = str(record.msg)
        error = record.exc_info[1] if record.exc_info else None
        fields = {} if error is None else fault(error)
        log = structlog.get_logger()
        write = getattr(log, record.levelname.lower(), log.info)
        write(message, logger=record.name, **fields)


def fault(error: BaseException) -> dict[str, str]:
    """Name an error's kind and the line that raised it; its message may hold anything."""
    where = error.__traceback__
    while where and where.tb_next:
        where = where.tb_next
    if where is None:
        return {"error": type(error).__name__}
    code = where.tb_frame.f_code
    return {
        "error": type(error).__name__,
        "place": f"{Path(code.co_filename).name}:{code.co_name}:{where.tb_lineno}",
    }


def _uncaught(_kind: type[BaseException], error: BaseException, _trace: TracebackType | None) -> None:
    structlog.get_logger().critical("uncaught_error", **fault(error))


def _uncaught_in_thread(caught: threading.ExceptHookArgs) -> None:
    if caught.exc_value is not None:
        name = caught.thread.name if caught.thread else None
        structlog.get_logger().critical("uncaught_error", thread=name, **fault(caught.exc_value))
