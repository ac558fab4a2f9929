"""A training in a process of its own that dies at a step, is short of space, or waits for another one."""

import os
import resource
import signal
import sys
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import numpy as np
import training_parts as parts

from common.label_studio.task_cache import TaskCache
from ml_backend import model_registry
from ml_backend.label_studio import pulling
from ml_backend.label_studio.client import LabelStudioClient
from ml_backend.settings import Settings
from ml_backend.training import publish, train


def die(*_: object, **__: object) -> None:
    """End as the kernel ends a process: nothing is cleaned up."""
    os.kill(os.getpid(), signal.SIGKILL)


def instead(owner: Any, name: str) -> Callable[[], None]:  # noqa: ANN401 - a module or a class
    """Die where something would be called."""
    return lambda: setattr(owner, name, die)


def after(owner: Any, name: str) -> Callable[[], None]:  # noqa: ANN401
    """Die when something has been done."""

    def wrap() -> None:
        done = getattr(owner, name)

        def do_and_die(*given: object, **named: object) -> None:
            done(*given, **named)
            die()

        setattr(owner, name, do_and_die)

    return wrap


def on_rename() -> None:
    """Die after the files of a version are written, before they have their name."""
    Path.rename = die  # type: ignore[method-assign, assignment]


def on_pointer() -> None:
    """Die while the name of the version that answers is written."""
    write = Path.replace

    def replace(path: Path, target: Path) -> Path:
        if target.name == "current":
            die()
        return write(path, target)

    Path.replace = replace  # type: ignore[method-assign, assignment]


STEPS: dict[str, Callable[[], None]] = {
    "none": lambda: None,
    "reading": instead(LabelStudioClient, "tasks"),
    "mirroring": instead(TaskCache, "note"),
    "after reading": after(pulling.Puller, "pull"),
    "embedding": instead(parts.Images, "gather"),
    "learning": instead(train, "fit_model"),
    "before writing": instead(np, "savez_compressed"),
    "while writing": after(np, "savez_compressed"),
    "before its name": on_rename,
    "after saving": after(model_registry.ModelRegistry, "save"),
    "while publishing": after(LabelStudioClient, "import_predictions"),
    "before it answers": instead(model_registry.ModelRegistry, "switch"),
    "while it answers": on_pointer,
    "after it answers": after(model_registry.ModelRegistry, "switch"),
    "before it is shown": instead(publish, "show_version"),
    "while cleaning up": instead(publish.Publisher, "clean_up"),
}


def main(folder: Path, step: str, largest_file: int | None = None) -> None:
    """Train at 13 o'clock in the project of ``training_parts``; exit with the number of the disk's error.

    Parameters
    ----------
    folder : Path
        The data of the backend.
    step : str
        What it dies in, by signal 9; ``none`` lets it live.
    largest_file : int, optional
        How many bytes a file may have that it writes.
    """
    settings = Settings.model_validate({"data_dir": folder, "weights": "random"})
    trainer = parts.trainer(settings, parts.annotated(12, 20))
    STEPS[step]()
    if largest_file is not None:
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)  # the write fails instead
        resource.setrlimit(resource.RLIMIT_FSIZE, (largest_file, largest_file))
    try:
        trainer.train(7, parts.NOW + timedelta(hours=1))
    except OSError as error:
        sys.exit(error.errno)
