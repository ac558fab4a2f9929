"""What `/predict` is compared with: the bare ONNX Runtime loop, and a plain loop over images in torch.

Each runs in a process of its own that stays, so that its threads and memory are not those of what is measured.
"""

import io
import multiprocessing
import time
import urllib.request
from collections.abc import Callable, Sequence
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any, Self

import numpy as np
from PIL import Image

BACKBONE = "resnet18"


class Peer:
    """A process that answers questions, one after the other.

    Parameters
    ----------
    make : callable
        Runs there, once, and gives what answers.
    """

    def __init__(self, make: Callable[..., Callable[..., Any]], *given: object) -> None:
        context = multiprocessing.get_context("spawn")
        self._ours, child_end = context.Pipe()
        self._child = context.Process(target=_answer, args=(child_end, make, given), daemon=True)
        self._child.start()

    def __call__(self, *question: object) -> Any:  # noqa: ANN401  # whatever it answers
        """Ask, and wait for the answer."""
        self._ours.send(question)
        answer = self._ours.recv()
        if isinstance(answer, Exception):
            raise answer
        return answer

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._child.terminate()
        self._child.join()


def _answer(pipe: Connection, make: Callable[..., Callable[..., Any]], given: Sequence[object]) -> None:
    ask = make(*given)
    while True:
        question = pipe.recv()
        try:
            pipe.send(ask(*question))
        except Exception as error:  # noqa: BLE001  # who asked raises it
            pipe.send(error)


def bare_loop(engine: Path, threads: int, backbone: str) -> Callable[..., Any]:
    """Make the bare loop: ONNX Runtime on tensors that lie ready in memory, batch after batch.

    Returns
    -------
    callable
        Takes files and the images of a batch; gives the seconds and the processor's seconds of the loop alone, and
        the embeddings (n_files, dimension).
    """
    from ml_backend.core.preparing import PREPARATIONS  # noqa: PLC0415
    from ml_backend.embedding.engines import open_session  # noqa: PLC0415
    from ml_backend.images.decoding import decode  # noqa: PLC0415  # not in the other processes

    session, prepare = open_session(engine, threads=threads), PREPARATIONS[backbone]
    name = session.get_inputs()[0].name

    def run(files: Sequence[Path], batch_size: int) -> tuple[float, float, np.ndarray]:
        prepared = np.stack([prepare(decode(file.read_bytes())) for file in files])
        began, busy = time.perf_counter(), time.process_time()
        batches = range(0, len(prepared), batch_size)
        embeddings = [session.run(None, {name: prepared[start : start + batch_size]})[0] for start in batches]
        return time.perf_counter() - began, time.process_time() - busy, np.concatenate(embeddings)

    return run


def torch_loop(state: Path) -> Callable[..., Any]:
    """Make the plain loop: fetch, decode, torchvision's transforms, one forward pass, image by image.

    Gives the seconds, and the processor's.
    Writes the state dict, of random weights, if there is none.
    """
    import torch  # noqa: PLC0415  # takes seconds
    from torchvision import models  # noqa: PLC0415

    torch.manual_seed(0)
    network = models.resnet18()
    if state.exists():
        network.load_state_dict(torch.load(state, weights_only=True))
    else:
        torch.save(network.state_dict(), state)
    network.fc = torch.nn.Identity()
    network.eval()
    transform = models.ResNet18_Weights.DEFAULT.transforms()

    def run(urls: Sequence[str]) -> tuple[float, float]:
        began, busy = time.perf_counter(), time.process_time()
        for url in urls:
            with urllib.request.urlopen(url, timeout=60) as page:  # noqa: S310  # our own server
                image = Image.open(io.BytesIO(page.read())).convert("RGB")
            with torch.inference_mode():
                network(transform(image)[None]).numpy()
        return time.perf_counter() - began, time.process_time() - busy

    return run
