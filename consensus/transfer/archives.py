"""Datasets without images in one file each, for who cannot see the folders of this machine."""

import re
import shutil
import tempfile
import time
import zipfile
from collections.abc import Callable
from pathlib import Path

from common.errors import FilesError
from common.files import replacing

KEPT_S = 86_400.0
_NAME = re.compile(r"\d+-[0-9a-f]{32}")
_LONG_AGO = (1980, 1, 1, 0, 0, 0)


class Archives:
    """ZIP files of datasets, each for a day.

    Parameters
    ----------
    folder : Path
        Made with the first.
    """

    def __init__(self, folder: Path, clock: Callable[[], float] = time.time) -> None:
        self._folder, self._clock = folder, clock

    def add(self, name: str, write: Callable[[Path], object]) -> None:
        """Let a dataset be written into a folder, and put what is in that into a file.

        Raises
        ------
        FilesError
            Where it cannot be written.
        """
        try:
            self._folder.mkdir(parents=True, exist_ok=True)
            self._sweep()
            with tempfile.TemporaryDirectory(dir=self._folder) as scratch:
                made = Path(scratch) / "dataset"
                made.mkdir()
                write(made)
                with (
                    replacing(self._path(name)) as file,
                    zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive,
                ):
                    for path in sorted(made.iterdir()):
                        entry = zipfile.ZipInfo(path.name, _LONG_AGO)  # the same dataset is the same file
                        entry.compress_type = zipfile.ZIP_DEFLATED
                        with path.open("rb") as content, archive.open(entry, "w", force_zip64=True) as place:
                            shutil.copyfileobj(content, place)
        except OSError as error:
            raise FilesError(f"the dataset cannot be written: {error.strerror}") from None

    def find(self, name: str) -> Path | None:
        """Return the file of a dataset; None where there is none, or not any more."""
        path = self._path(name)
        return path if _NAME.fullmatch(name) and path.is_file() else None

    def _path(self, name: str) -> Path:
        return self._folder / f"{name}.zip"

    def _sweep(self) -> None:
        """Delete what is older than a day, and what a killed process has left."""
        for path in self._folder.iterdir():
            if self._clock() - path.stat().st_mtime > KEPT_S:
                shutil.rmtree(path) if path.is_dir() else path.unlink()
