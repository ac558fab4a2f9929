"""Label Studio's local files, read from the same folder instead of through Label Studio."""

import errno
import os
import stat
from pathlib import Path

from common.errors import FetchError

_STEP = os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW
_ESCAPES = (errno.ELOOP, errno.ENOTDIR)  # a folder became a link, or anything else, while it was walked through


class LocalFiles:
    """Regular files below a folder.

    Parameters
    ----------
    root : Path
        What Label Studio knows as ``LABEL_STUDIO_LOCAL_FILES_DOCUMENT_ROOT``.
    """

    def __init__(self, root: Path, max_bytes: int) -> None:
        self._root = root
        self._max_bytes = max_bytes

    def read(self, path: str) -> bytes:
        """Read a file.

        Parameters
        ----------
        path : str
            Below the folder, with its percent signs already decoded. Links may lead to another place below it.

        Raises
        ------
        FetchError
            With reason ``path_not_allowed`` (it leads out of the folder, or to what is no regular file),
            ``missing``, ``unreadable`` or ``too_many_bytes``.
        """
        if not path or "\0" in path or path.startswith("/") or ".." in path.split("/"):
            raise FetchError("path_not_allowed")
        try:
            with os.fdopen(self._opened(path), "rb") as file:
                body = file.read(self._max_bytes + 1)
        except (FileNotFoundError, UnicodeEncodeError):
            raise FetchError("missing") from None
        except RuntimeError:  # links that lead to one another
            raise FetchError("path_not_allowed") from None
        except OSError as error:
            too_long = error.errno == errno.ENAMETOOLONG
            reason = "path_not_allowed" if error.errno in _ESCAPES else "missing" if too_long else "unreadable"
            raise FetchError(reason) from None
        if len(body) > self._max_bytes:
            raise FetchError("too_many_bytes")
        return body

    def _opened(self, path: str) -> int:
        """Open a file step by step from the folder, so that no link that is made meanwhile leads out of it."""
        root = self._root.resolve(strict=True)
        target = (root / path).resolve(strict=True)
        if not target.is_relative_to(root) or not target.is_file():
            raise FetchError("path_not_allowed")
        *folders, name = target.relative_to(root).parts
        folder = os.open(root, _STEP | os.O_DIRECTORY)
        try:
            for below in folders:
                outer, folder = folder, os.open(below, _STEP | os.O_DIRECTORY, dir_fd=folder)
                os.close(outer)
            opened = os.open(name, _STEP | os.O_NONBLOCK, dir_fd=folder)  # a pipe must not make us wait
        finally:
            os.close(folder)
        if not stat.S_ISREG(os.fstat(opened).st_mode):
            os.close(opened)
            raise FetchError("path_not_allowed")
        return opened
