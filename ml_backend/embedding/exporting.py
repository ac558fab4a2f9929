"""Networks become engines: torch's ResNet as an ONNX file, checked against torch before it may answer.

Run as ``python -m ml_backend.embedding.exporting`` it does so in a process of its own: serving never imports
torch.
"""

import contextlib
import dataclasses
import io
import json
import os
import subprocess
import sys
import threading
import time
import warnings
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import structlog

from common.errors import SuiteError
from common.files import held, replacing, write_whole
from ml_backend.core.identity import Identity
from ml_backend.embedding.engines import (
    KEY_PROPERTY,
    PREPARATION_PROPERTY,
    EngineError,
    description_file,
    engine_file,
    open_session,
    sha256,
)
from ml_backend.errors import DownloadError, WeightsError

if TYPE_CHECKING:
    from ml_backend.core.embedder import TorchEmbedder

TOLERANCE = 1e-4  # largest difference from torch of any number of an embedding
_CHECKED = 3  # images
_POLL_S = 0.2
_NICENESS = 5
_YOUNG_S = 3600.0
NO_ENGINE = "no ONNX engine"
_ERRORS = {"download": DownloadError, "weights": WeightsError}
_FAILURE = ".error"  # beside the place of an engine: why the last export failed

log = structlog.get_logger()


def export(embedder: "TorchEmbedder", path: Path) -> None:
    """Write a network's engine and, beside it, what it is. The network must be on the processor.

    Raises
    ------
    EngineError
        If torch cannot export it, or ONNX Runtime's embeddings differ from torch's by more than ``TOLERANCE``.
    """
    with replacing(path) as unfinished:
        _write(embedder, unfinished)
        _check(embedder, unfinished)
        description = {
            "embedding_key": embedder.key,
            "backbone": embedder.backbone,
            "weights_id": embedder.weights_id,
            "preparation": dataclasses.asdict(embedder.prepare),
            "dimension": embedder.dimension,
            "sha256": sha256(unfinished),
        }
        write_whole(description_file(path), json.dumps(description, indent=1))


def export_apart(identity: Identity, state: Path | None, path: Path, *, timeout_s: float) -> None:
    """Write an engine in a process of its own.

    Raises
    ------
    WeightsError
        If the state dict cannot be used.
    EngineError
        If it takes longer than the timeout, or as ``export``.
    """
    request = {
        "path": str(path.absolute()),
        "backbone": identity.backbone,
        "weights_id": identity.weights_id,
        "seed": identity.seed,
        "state": str(state.absolute()) if state else None,
    }
    calibration = io.BytesIO()
    np.savez(calibration, allow_pickle=False, **identity.calibration)
    environment = {name: value for name, value in os.environ.items() if name != "PROMETHEUS_MULTIPROC_DIR"}
    try:
        done = subprocess.run(  # noqa: S603 - our own
            [sys.executable, "-m", "ml_backend.embedding.exporting", json.dumps(request)],
            input=calibration.getvalue(),
            capture_output=True,
            timeout=timeout_s,
            env=environment,
            check=False,
        )
    except subprocess.TimeoutExpired:
        raise EngineError(f"the export of {identity.key} took over {timeout_s:.0f} s") from None
    if done.returncode == 0:
        return
    why = done.stdout.decode(errors="replace").strip().splitlines()
    kind, _, reason = why[-1].partition(": ") if why else ("", "", f"it ended with {done.returncode}")
    raise _ERRORS.get(kind, EngineError)(reason)


def once(path: Path, make: Callable[[], None], *, wait_s: float) -> None:
    """Make a file unless it is there, while no other process on this folder makes one.

    Raises
    ------
    EngineError
        If another process is still at work when the wait ends, or the disk takes no file.
    """
    ends_at = time.monotonic() + wait_s
    try:
        while not path.is_file():
            with held(path.parent / ".lock", wait=False) as mine:
                if mine:
                    if not path.is_file():
                        _make(path, make)
                    return
            if time.monotonic() >= ends_at:
                raise EngineError(f"{path.name} was still being exported after {wait_s:.0f} s")
            time.sleep(_POLL_S)
    except OSError as error:
        raise EngineError(f"{path.name} cannot be written ({type(error).__name__})") from error


def failures(data_dir: Path) -> list[str]:
    """Return a sentence for each engine whose last export failed, in whatever process."""
    sentences = []
    for path in sorted((data_dir / "engines").glob(f"[!.]*{_FAILURE}")):
        with contextlib.suppress(OSError):
            sentences.append(f"{NO_ENGINE}: {path.read_text('utf-8')}")
    return sentences


def _make(path: Path, make: Callable[[], None]) -> None:
    failure = path.with_name(path.name + _FAILURE)
    try:
        make()
    except EngineError as error:
        with contextlib.suppress(OSError):
            failure.write_text(str(error), "utf-8")
        raise
    failure.unlink(missing_ok=True)


def prune_engines(data_dir: Path, keys: Iterable[str], now: float) -> list[str]:
    """Delete the engines of embedding keys that nobody uses any more.

    Parameters
    ----------
    keys : iterable of str
        Embedding keys in use, those of all versions and of the configured weights.
    now : float
        Seconds since the epoch. What is younger than an hour may be of a training that is not saved yet.

    Returns
    -------
    list of str
        Names of the deleted files.
    """
    engines = [engine_file(data_dir, key) for key in keys]
    used = {path.name for engine in engines for path in (engine, description_file(engine))}
    deleted = []
    for path in sorted((data_dir / "engines").glob("*.onnx*")):
        if path.name not in used and now - path.stat().st_mtime > _YOUNG_S:
            path.unlink(missing_ok=True)
            deleted.append(path.name)
    return deleted


def _write(embedder: "TorchEmbedder", path: Path) -> None:
    import torch  # noqa: PLC0415 - takes seconds

    side = embedder.prepare.crop
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of the exporter about itself
            program = torch.onnx.export(
                embedder.network,
                (torch.zeros(2, 3, side, side),),
                dynamo=True,
                verbose=False,
                input_names=["images"],
                output_names=["embeddings"],
                dynamic_shapes=({0: torch.export.Dim("batch", min=1, max=4096)},),
            )
        program.model.metadata_props.update(  # type: ignore[union-attr]  # dynamo gives one
            {KEY_PROPERTY: embedder.key, PREPARATION_PROPERTY: json.dumps(dataclasses.asdict(embedder.prepare))}
        )
        program.save(str(path), external_data=False)  # type: ignore[union-attr]
    except OSError:
        raise
    except Exception as error:  # the exporter raises errors of its many parts
        raise EngineError(f"torch cannot export {embedder.backbone} ({type(error).__name__})") from error


def _check(embedder: "TorchEmbedder", path: Path) -> None:
    side = embedder.prepare.crop
    images = np.random.default_rng(0).normal(size=(_CHECKED, 3, side, side)).astype(np.float32)
    session = open_session(path, key=embedder.key)
    [exported] = session.run(None, {session.get_inputs()[0].name: images})
    difference = float(np.abs(exported - embedder.embed(list(images))).max())
    if not difference <= TOLERANCE:  # nor if it is no number
        raise EngineError(
            f"the engine of {embedder.key} differs from torch by {difference:.2g}, more than {TOLERANCE:.0e}"
        )


def _end_with_parent() -> None:
    """End this process when the one that started it is gone."""
    parent = os.getppid()

    def watch() -> None:
        while os.getppid() == parent:
            time.sleep(_POLL_S)
        os._exit(1)

    threading.Thread(target=watch, daemon=True).start()


def main() -> int:
    """Export what the one argument, JSON, describes; the calibration comes as npz on standard input."""
    _end_with_parent()
    os.nice(_NICENESS)  # annotators' requests go first
    request = json.loads(sys.argv[1])
    with np.load(io.BytesIO(sys.stdin.buffer.read()), allow_pickle=False) as stored:
        calibration = {name: stored[name] for name in stored.files}
    try:
        from ml_backend.embedding.networks import torch_embedder  # noqa: PLC0415 - imports torch

        identity = Identity(request["backbone"], request["weights_id"], request["seed"])
        base = torch_embedder(identity, Path(request["state"]) if request["state"] else None)
        export(base.with_calibration(calibration), Path(request["path"]))
    except WeightsError as error:
        kind = next(kind for kind, raised in _ERRORS.items() if isinstance(error, raised))
        print(f"{kind}: {error}")  # noqa: T201 - to the process that asked
        return 1
    except Exception as error:  # noqa: BLE001 - whatever it is, the process that asked goes on without the engine
        reason = str(error) if isinstance(error, SuiteError) else type(error).__name__
        print(f"engine: {reason}")  # noqa: T201
        return 1
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
