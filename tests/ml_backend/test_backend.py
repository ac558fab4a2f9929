import subprocess
import sys
import time
from typing import TYPE_CHECKING
from unittest.mock import Mock

import pytest

from ml_backend import backend as module
from ml_backend.backend import Backend
from ml_backend.embedding.checkpoints import kept_weights
from ml_backend.embedding.engines import description_file, engine_file
from ml_backend.embedding.gather import ImageRef
from ml_backend.embedding.tuned import Tuned, TunedWeights
from ml_backend.errors import ModelLoadingError
from ml_backend.label_studio.client import LabelStudioClient

if TYPE_CHECKING:
    from conftest import Samples, Web


def test_threads_share_one_client(
    backend: Backend, web: "Web", samples: "Samples", monkeypatch: pytest.MonkeyPatch
) -> None:
    """Eight downloads that begin at once make one client of Label Studio, and all get its key."""
    made = []

    class Counted(LabelStudioClient):
        def __init__(self, *given: object) -> None:
            made.append(given)
            super().__init__(*given)  # type: ignore[arg-type]

    monkeypatch.setattr(module, "LabelStudioClient", Counted)
    paths = [f"/data/upload/7/{number}.png" for number in range(8)]
    web.pages |= dict.fromkeys(paths, samples.png())
    refs = [ImageRef(number, "image", path) for number, path in enumerate(paths)]
    backend.gatherer.gather(refs, embedding_key="none", embedder=Mock(side_effect=ModelLoadingError))
    assert [request.headers["authorization"] for request in web.seen] == ["Token secret-key"] * 8
    assert len(made) == 1


def test_the_parts_are_there_before_the_first_request(backend: Backend, monkeypatch: pytest.MonkeyPatch) -> None:
    """What several requests would otherwise make at once is made at the start."""
    for part in (backend.backbones, backend.background):
        monkeypatch.setattr(part, "start", lambda: None)
    backend.start()
    assert {"registry", "gatherer", "backbones", "requests", "background"} <= set(vars(backend))


def test_engines_that_no_version_needs_are_deleted(backend: Backend, samples: "Samples") -> None:
    """Those of the trained version and of weights that were tuned here stay, with their descriptions."""
    backend.registry.save(7, samples.trained())
    backend.registry.switch(7, samples.version)
    data_dir = backend.settings.data_dir
    tuned = Tuned("resnet18", "0123abcd", "finetune", "resnet18:random-0", "2026-01-31T12:00:00+00:00")
    TunedWeights(data_dir).keep(tuned)
    kept_weights(data_dir, tuned.weights_id).touch()
    keys = (samples.embedding_key, tuned.identity.key, "resnet18:random-0:old")
    engines = [engine_file(data_dir, key) for key in keys]
    engines[0].parent.mkdir()
    for engine in engines:
        engine.touch()
        description_file(engine).touch()
    backend.prune_engines(time.time() + 86_400)
    stay = {path for engine in engines[:2] for path in (engine, description_file(engine))}
    assert set(engines[0].parent.iterdir()) == stay


def test_what_serves_loads_nothing_heavy() -> None:
    """Neither torch nor what learning and data frames need is in memory of a process that only answers."""
    listed = "import sys, ml_backend.serving.app, ml_backend.predict.bulk; print(*sys.modules)"
    loaded = subprocess.run([sys.executable, "-c", listed], capture_output=True, check=True, text=True).stdout
    assert {"torch", "sklearn", "pandas"}.isdisjoint(loaded.split())
    assert "label_studio_sdk" in loaded.split()
