"""Files that other processes read meanwhile: written whole or not at all, locks, and folders for a while."""

import fcntl
import os
import shutil
import signal
import sys
import tempfile
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from types import FrameType

from common.errors import FilesError

ROOM_REMEDY = "let the environment variable TMPDIR name a folder with more room"


@contextmanager
def replacing(path: Path, *, alone: bool = False) -> Iterator[Path]:
    """Give a path to write to, beside a file's own; in the end it takes the file's place in one step.

    It survives a power cut when the block is left. After an error the file is what it was before.

    Parameters
    ----------
    alone : bool
        Whether only one process at a time writes this file: what a killed one has left is then written over.

    Yields
    ------
    Path
        Nothing is there yet; the folder is.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    own = "" if alone else f".{os.getpid()}-{threading.get_native_id()}"
    unfinished = path.with_name(f".{path.name}{own}")
    try:
        yield unfinished
        to_disk(unfinished)
        unfinished.replace(path)
    finally:
        with suppress(OSError):
            unfinished.unlink(missing_ok=True)
    to_disk(path.parent)


def write_whole(path: Path, content: bytes | str, *, alone: bool = False) -> None:
    """Write a small file in one step: readers see all of it or what was there before."""
    with replacing(path, alone=alone) as unfinished:
        unfinished.write_bytes(content.encode() if isinstance(content, str) else content)


@contextmanager
def replacing_folder(folder: Path, check: Callable[[Path], None]) -> Iterator[Path]:
    """Give an empty folder beside a folder's own; in the end it takes the folder's place.

    After an error or a kill the folder is what it was before. What a killed process has left is deleted, or put
    back into its place, by the next one.

    Parameters
    ----------
    folder : Path
        It, or its parent, has to be there.
    check : callable
        Raises where the folder must not be replaced.

    Raises
    ------
    FilesError
        Where another process is at it, or it cannot be written.
    """
    folder = folder.resolve()
    unfinished, before = (folder.with_name(f".{folder.name}.{word}") for word in ("unfinished", "before"))
    try:
        with _alone_in(unfinished), _terminated_like_anything():
            if folder.exists():
                shutil.rmtree(before, ignore_errors=True)
            elif before.exists():  # killed between the two steps below
                before.rename(folder)
            try:
                check(folder)
                yield unfinished
                os.sync()  # one for thousands of files
                if folder.exists():
                    folder.rename(before)
                unfinished.rename(folder)
            finally:
                if before.exists() and not folder.exists():
                    before.rename(folder)
                for leftover in unfinished, before:
                    shutil.rmtree(leftover, ignore_errors=True)
    except OSError as error:
        raise FilesError(f"{folder} cannot be written: {error.strerror or error}") from None


@contextmanager
def _alone_in(folder: Path) -> Iterator[None]:
    """Make a folder anew and hold it: nobody else does as long as this process lives."""
    folder.mkdir(exist_ok=True)
    held_folder = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        try:
            fcntl.flock(held_folder, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise FilesError(f"another process is writing {folder}; wait for its end") from None
        if not folder.exists() or not os.path.samestat(os.fstat(held_folder), folder.stat()):
            raise FilesError(f"another process has just moved {folder} into its place; look at it first")
        for entry in folder.iterdir():
            if entry.is_dir() and not entry.is_symlink():
                shutil.rmtree(entry)
            else:
                entry.unlink()
        yield
    finally:
        os.close(held_folder)


def to_disk(path: Path) -> None:
    """Wait until a file, or a folder's list of names, would survive a power cut."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


@contextmanager
def held(path: Path, *, wait: bool) -> Iterator[bool]:
    """Hold a lock file, which ends with the process that holds it, however that ends.

    Parameters
    ----------
    path : Path
        Made with its folder if it does not exist; it stays.
    wait : bool
        Wait for another holder, or give up at once.

    Yields
    ------
    bool
        Whether the lock is held; always True with ``wait``.
    """
    from filelock import FileLock, Timeout  # noqa: PLC0415 - slow, and `--help` takes no lock

    path.parent.mkdir(parents=True, exist_ok=True)
    lock = FileLock(path, timeout=-1 if wait else 0, thread_local=False)
    try:
        lock.acquire()
    except Timeout:
        yield False
        return
    try:
        yield True
    finally:
        lock.release()


@contextmanager
def scratch_folder(prefix: str, needed: int) -> Iterator[Path]:
    """Make a folder in TMPDIR and delete it in the end, also after SIGTERM.

    What a process that was killed outright has left is deleted first. A folder is in use as long as the lock
    beside it is held, which is taken before the folder is made: nobody deletes one that lives.

    Parameters
    ----------
    prefix : str
        Of the folders of one kind.
    needed : int
        Bytes.

    Raises
    ------
    FilesError
        Where there is less room than needed, or the folder cannot be used.
    """
    parent = Path(tempfile.gettempdir())
    _sweep(parent, prefix)
    free = shutil.disk_usage(parent).free
    if free < needed:
        raise FilesError(
            f"about {needed / 1e9:.1f} GB are needed for a while in {parent}, and {free / 1e9:.1f} GB are free; "
            f"{ROOM_REMEDY}"
        )
    folder = parent / f"{prefix}{os.getpid()}-{os.urandom(6).hex()}"
    try:
        with held(_lock_of(folder), wait=True):
            try:
                folder.mkdir(mode=0o700)
                with _terminated_like_anything():
                    yield folder
            finally:
                shutil.rmtree(folder, ignore_errors=True)
                _lock_of(folder).unlink(missing_ok=True)
    except OSError as error:
        raise FilesError(f"{folder} cannot be used: {error.strerror or error}; {ROOM_REMEDY}") from None


def _lock_of(folder: Path) -> Path:
    return folder.with_name(f"{folder.name}.lock")


def _sweep(parent: Path, prefix: str) -> None:
    """Delete folders whose lock nobody holds; one without a lock is not touched."""
    for lock in parent.glob(f"{prefix}*.lock"):
        with suppress(OSError), held(lock, wait=False) as free:  # OSError: another account's
            if free:
                shutil.rmtree(lock.with_suffix(""), ignore_errors=True)
                lock.unlink(missing_ok=True)


@contextmanager
def _terminated_like_anything() -> Iterator[None]:
    """Let SIGTERM unwind the stack; only the main thread can."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    def end(number: int, _: FrameType | None) -> None:
        sys.exit(128 + number)

    before = signal.signal(signal.SIGTERM, end)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


def check_outputs(outputs: Mapping[str, Path | None], inputs: Mapping[str, Path | None]) -> None:
    """See that no output of a command is one of its inputs, by whatever name, or another output, and has a folder.

    Parameters
    ----------
    outputs, inputs : mapping of str to Path or None
        By what a person calls them, as ``--out``; None for what was not given.

    Raises
    ------
    FilesError
        Where one is not; nothing has been written.

    Examples
    --------
    >>> check_outputs({"--out": Path("./rules.toml")}, {"--rules": Path("rules.toml")})
    Traceback (most recent call last):
        ...
    common.errors.FilesError: --out would overwrite --rules (rules.toml); name another file
    """
    taken = [(name, path) for name, path in inputs.items() if path is not None]
    for option, output in outputs.items():
        if output is None:
            continue
        for name, path in taken:
            if _is_same(output, path):
                raise FilesError(f"{option} would overwrite {name} ({output}); name another file")
        if output.is_dir() or not output.name:
            raise FilesError(f"{output} cannot be written: it is a folder; name a file")
        if output.exists() and not output.is_file():  # to replace it would take a device from everybody
            raise FilesError(f"{output} cannot be written: it is a device or a pipe; name a file")
        if not output.parent.is_dir():  # known before the work, and before another output is written
            raise FilesError(f"{output} cannot be written: there is no folder {output.parent}; make it")
        taken.append((option, output))


def _is_same(output: Path, other: Path) -> bool:
    with suppress(OSError):
        if output.samefile(other):  # a link of either kind
            return True
    written, read = output.resolve(), other.resolve()
    return written == read or (read in written.parents and read.is_dir())  # a folder is read whole


def lock_file(database: Path, project: int | str) -> Path:
    """Name the file whose lock a run of a project holds, whatever path leads to the database."""
    return Path(f"{database.resolve()}.project-{project}.lock")


def database_files(path: Path) -> dict[str, Path | None]:
    """Name the files of a SQLite database, so that no output overwrites one."""
    beside = {f"the store's {end} file": Path(f"{path.resolve()}{end}") for end in ("-wal", "-shm", "-journal")}
    return {"the store": path, **beside}
