"""Embeddings on a Ray cluster: its workers fetch, decode and embed; what they find is kept here.

The engine travels to the workers by value, so that no disk need be shared; images do not travel at all. Results
are those of this machine: the same engine, the same pipeline.
"""

import functools
import logging
import os
import tempfile
import warnings
from collections import deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import structlog

from common.console import install
from common.errors import SuiteError
from ml_backend.core.identity import Identity
from ml_backend.embedding.backbones import Backbones
from ml_backend.embedding.cache import EmbeddingCache, Row
from ml_backend.embedding.engines import OnnxEmbedder, engine_file, open_session
from ml_backend.embedding.gather import Gathered, Gatherer, ImageRef, make_fetcher
from ml_backend.label_studio.client import LabelStudioClient
from ml_backend.model_registry import Artifact
from ml_backend.settings import Settings

if TYPE_CHECKING:
    from collections.abc import Callable

    from ml_backend.predict.bulk import Advance, Embed

log = structlog.get_logger()

PART = 64
"""Images that a worker is asked for at a time."""
AHEAD = 2
"""Parts of a worker that are asked for before the first of them is taken."""
LOST = "worker_lost"
_PART_S = 900.0


class Collector(EmbeddingCache):
    """Keeps what was found for whoever asked, instead of writing it."""

    def __init__(self, path: Path) -> None:
        super().__init__(path)
        self._collected: list[Row] = []

    def keep(self, row: Row, when_written: "Callable[[], None]" = lambda: None) -> None:
        """Take a row."""
        self._collected.append(row)
        when_written()

    def note_use(self) -> None:
        """Do nothing: nothing is kept here."""

    def take(self) -> list[Row]:
        """Return what was collected, once."""
        taken, self._collected = self._collected, []
        return taken


@dataclass(frozen=True)
class Embeddings:
    """What a worker made of some images."""

    gathered: Gathered
    rows: list[Row]


class Worker:
    """Embeds on a machine of the cluster.

    Parameters
    ----------
    settings : Settings
        Those of the machine that asks; its folder and its graphics processor stay there.
    engine : bytes
        The ONNX file.
    """

    def __init__(self, settings: Settings, identity: Identity, engine: bytes) -> None:
        self._folder = tempfile.TemporaryDirectory(prefix="ml-backend-")
        path = Path(self._folder.name) / "engine.onnx"
        path.write_bytes(engine)
        session = open_session(path, threads=1, key=identity.network_key)
        self._embedder = OnnxEmbedder(identity, lambda: session, origin=Backbones(settings))
        self._collector = Collector(Path(self._folder.name) / "embeddings.sqlite")
        client = functools.cache(
            lambda: LabelStudioClient(settings)
        )  # made at the first image of Label Studio's own
        self._gatherer = Gatherer(
            fetcher=make_fetcher(settings, lambda: client().authorization()),
            cache=self._collector,
            limits=settings.image_limits,
            fetch_threads=settings.fetch_threads,
            decode_threads=1,
            batch_size=settings.batch_size,
            recheck_s=settings.recheck_s,
        )

    def embed(self, refs: list[ImageRef], project_id: int) -> Embeddings:
        """Embed some images of a project."""
        gathered = self._gatherer.gather(
            refs, embedding_key=self._embedder.key, embedder=lambda: self._embedder, project_id=project_id
        )
        return Embeddings(gathered, self._collector.take())


def embed_on_ray(settings: Settings, backbones: Backbones) -> "Embed":
    """Embed on the cluster that RAY_ADDRESS names, or on one that is made on this machine for a while.

    Raises
    ------
    SuiteError
        If Ray is not installed, its cluster cannot be reached, or there is no ONNX engine.
    """
    ray = _ray()
    cache = EmbeddingCache(settings.data_dir / "embeddings.sqlite")
    workers: list[Any] = []

    def embed(refs: list[ImageRef], artifact: Artifact, project_id: int, advance: "Advance") -> Gathered:
        urls = [ref.url.strip() for ref in refs if ref.url]
        cached = cache.vectors_at(project_id, urls, artifact.embedding_key)
        refused = cache.refusals_at(
            project_id, [url for url in urls if url not in cached], settings.image_limits.key
        )
        missing = [ref for ref in refs if not ref.url or ref.url.strip() not in cached.keys() | refused]
        advance(len(refs) - len(missing))
        if missing and not workers:
            workers.extend(_started(ray, settings, backbones, artifact))
        gathered = Gathered()
        for batch in _batches(ray, workers, missing, project_id):
            gathered.vectors |= batch.gathered.vectors
            gathered.failures |= batch.gathered.failures
            gathered.embedded += batch.gathered.embedded
            cache.write(batch.rows)
            advance(len(batch.gathered.vectors) + len(batch.gathered.failures))
        for ref in refs:
            if ref.url and ref.url.strip() in cached:
                gathered.vectors[ref] = cached[ref.url.strip()]
            elif ref.url and ref.url.strip() in refused:
                gathered.failures[ref] = refused[ref.url.strip()]
        return gathered

    return embed


def _batches(ray: Any, workers: Sequence[Any], refs: Sequence[ImageRef], project_id: int) -> Iterator[Embeddings]:  # noqa: ANN401
    waiting: deque[tuple[Any, list[ImageRef]]] = deque()
    for number, start in enumerate(range(0, len(refs), PART)):
        if len(waiting) == AHEAD * len(workers):
            yield _taken(ray, *waiting.popleft())
        some = list(refs[start : start + PART])
        waiting.append((workers[number % len(workers)].embed.remote(some, project_id), some))
    while waiting:
        yield _taken(ray, *waiting.popleft())


def _taken(ray: Any, answer: Any, refs: list[ImageRef]) -> Embeddings:  # noqa: ANN401
    try:
        batch: Embeddings = ray.get(answer, timeout=_PART_S)
    except ray.exceptions.RayError as error:  # also one that took too long
        log.error("part_lost", images=len(refs), error=type(error).__name__)
        return Embeddings(Gathered(failures=dict.fromkeys(refs, LOST)), [])
    return batch


def _started(ray: Any, settings: Settings, backbones: Backbones, artifact: Artifact) -> list[Any]:  # noqa: ANN401
    embedder = backbones.matching(artifact.identity, artifact.embedding_key, timeout_s=settings.model_wait_s)
    path = engine_file(settings.data_dir, embedder.key)
    if not path.is_file():
        raise SuiteError(
            f"--engine ray needs an exported engine of {embedder.key}: set ML_BACKEND_ENGINE=onnx, and a "
            "backbone that is exported (no onnx:FILE, and none of another package)"
        )
    engine = ray.put(path.read_bytes())
    count = max(1, int(ray.available_resources().get("CPU", 1)))
    actor = ray.remote(num_cpus=1)(Worker)
    return [actor.remote(settings, embedder.identity, engine) for _ in range(count)]


def _ray() -> Any:  # noqa: ANN401 - a module
    os.environ["RAY_USAGE_STATS_ENABLED"] = "0"  # read when Ray is imported and started: nothing goes outside
    os.environ.setdefault("RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO", "0")
    try:
        import ray  # noqa: PLC0415 - an extra
    except ModuleNotFoundError:
        raise SuiteError(f"--engine ray needs Ray, which is not installed: {install('.[ml,ray]')}") from None
    if not ray.is_initialized():
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            try:
                ray.init(include_dashboard=False, log_to_driver=False, logging_level=logging.ERROR)
            except (ConnectionError, RuntimeError, ValueError) as error:
                raise SuiteError(f"the Ray cluster cannot be used ({type(error).__name__}): {error}") from None
    return ray
