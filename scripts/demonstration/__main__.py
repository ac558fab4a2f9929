"""Run the story in our environment; whatever way it ends, nothing that it started is left."""

from __future__ import annotations

import contextlib
import os
import signal
import sys
import time

from servers import ServerError

from demonstration.errors import DemoError
from demonstration.options import parse

SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


def main(began: float, arguments: list[str]) -> int:
    """Tell the story and return the exit status.

    Parameters
    ----------
    began
        When the command began, on the monotonic clock.
    arguments
        Those of the command line.
    """
    options = parse(arguments)
    for number in SIGNALS:
        signal.signal(number, signal.default_int_handler)
    running = contextlib.ExitStack()
    try:
        from demonstration import story  # noqa: PLC0415 - takes a second in which Ctrl-C must work as well
        from demonstration.steps import Steps  # noqa: PLC0415 - as above

        steps = Steps(began)
        steps.done("environments are complete", steps.seconds)
        story.tell(options, steps, running)
    except KeyboardInterrupt:
        print("\nStopping.", flush=True)
        return 128 + signal.SIGINT
    except (DemoError, ServerError) as error:
        print(f"The demo failed: {error}", file=sys.stderr, flush=True)
        return 1
    finally:
        for number in SIGNALS:
            signal.signal(number, signal.SIG_IGN)
        running.close()
    return 0


if __name__ == "__main__":
    os.environ.pop("PYTHONPATH", None)
    sys.exit(main(time.monotonic() - float(sys.argv[1]), sys.argv[2:]))
