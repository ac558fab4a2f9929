"""The simulated annotators at work: each submits with its own account."""

from __future__ import annotations

import contextlib
from concurrent.futures import ThreadPoolExecutor, as_completed
from typing import TYPE_CHECKING

from demonstration.studio import Studio

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from demonstration.annotators import Answer

THREADS = 2
"""Label Studio's development server answers no quicker to more."""


def submit_all(url: str, tokens: Mapping[str, str], answers: Sequence[Answer], tasks: Mapping[str, int]) -> None:
    """Submit all answers; what cannot be submitted ends the demo.

    Parameters
    ----------
    url
        Label Studio's address.
    tokens
        Each annotator's token by e-mail address.
    answers
        What they say.
    tasks
        Id of the task of each image, by file name.
    """
    with contextlib.ExitStack() as closing:
        studios = {email: closing.enter_context(Studio(url, token)) for email, token in tokens.items()}
        pool = ThreadPoolExecutor(THREADS)
        closing.callback(pool.shutdown, cancel_futures=True)
        submitted = [pool.submit(studios[each.email].submit, tasks[each.name], each) for each in answers]
        for future in as_completed(submitted):
            future.result()
