"""What takes all votes of a large project: in a process of its own, so that pages have the interpreter."""

import multiprocessing
from collections.abc import Callable
from functools import partial
from multiprocessing.connection import Connection
from typing import Concatenate, ParamSpec, TypeVar

from common.errors import SuiteError
from consensus.store.store import Store

Parameters = ParamSpec("Parameters")
Value = TypeVar("Value")

MANY = 200_000
"""Votes; with fewer it is there sooner than another process."""


class EndedError(SuiteError):
    """Work that has ended without a result."""


def on_store(
    store: Store,
    n_votes: int,
    work: Callable[Concatenate[Store, Parameters], Value],
    *arguments: Parameters.args,
    **options: Parameters.kwargs,
) -> Callable[[], Value]:
    """Return what does some work on a store, in another process where there are many votes.

    Parameters
    ----------
    work : callable
        A function of a module, whose arguments and result can be pickled.
    """
    if n_votes <= MANY:
        return lambda: work(store, *arguments, **options)
    return partial(_apart, store.url, partial(_with, work, arguments, options))


def _with(
    work: Callable[..., Value], arguments: tuple[object, ...], options: dict[str, object], store: Store
) -> Value:
    return work(store, *arguments, **options)


def _apart(url: str, work: Callable[[Store], Value]) -> Value:
    spawning = multiprocessing.get_context("spawn")
    receiving, sending = spawning.Pipe(duplex=False)
    child = spawning.Process(target=_send, args=(sending, url, work), name="computing", daemon=True)
    child.start()
    sending.close()
    try:
        value, error, is_ours = receiving.recv()
    except EOFError:
        raise EndedError("The process that worked it out has ended: it may have had too little memory.") from None
    finally:
        receiving.close()
        child.join()
    if error:
        raise EndedError(error) if is_ours else RuntimeError(error)
    result: Value = value
    return result


def _send(sending: Connection, url: str, work: Callable[[Store], object]) -> None:
    try:
        outcome: tuple[object, str, bool] = work(Store(url)), "", True
    except SuiteError as error:
        outcome = None, str(error), True
    except Exception as error:  # noqa: BLE001 - logged by whoever asks
        outcome = None, type(error).__name__, False
    sending.send(outcome)
