from itertools import combinations
from pathlib import Path

import numpy as np
import pytest

from ml_backend.core.identity import Identity
from ml_backend.embedding.engines import engine_file

ONES = {"bn1.running_mean": np.ones(2, dtype=np.float32)}
DIFFERENT = [
    Identity("resnet18", "random"),
    Identity("resnet34", "random"),
    Identity("resnet18", "0a1b2c3d"),
    Identity("resnet18", "random", 1),
    Identity("resnet18", "random", calibration=ONES),
    Identity("resnet18", "random", calibration={"bn1.running_mean": np.zeros(2, dtype=np.float32)}),
    Identity("resnet18", "random", calibration={"bn1.running_var": np.ones(2, dtype=np.float32)}),
    Identity("resnet18", "random", calibration=ONES | {"bn1.running_var": np.ones(2, dtype=np.float32)}),
]


@pytest.mark.parametrize(("first", "second"), list(combinations(DIFFERENT, 2)))
def test_embeddings_that_cannot_be_compared_do_not_compare_equal(first: Identity, second: Identity) -> None:
    """Backbone, weights, seed and calibration are each part of the key, of equality and of the hash."""
    assert first != second
    assert first.key != second.key
    assert len({first, second}) == 2


def test_embeddings_that_can_be_compared_are_equal() -> None:
    """A copy of a calibration is the same one, and learned weights do not depend on the seed."""
    again = Identity("resnet18", "random", calibration={"bn1.running_mean": np.ones(2, dtype=np.float32)})
    assert again == DIFFERENT[4]
    assert Identity("resnet18", "imagenet", 0) == Identity("resnet18", "imagenet", 3)
    assert len({Identity("resnet18", "imagenet", 0), Identity("resnet18", "imagenet", 3)}) == 1
    assert again != again.key


def test_a_network_has_two_views_and_one_engine() -> None:
    """Embeddings of whole images are others; what computes them is the same, and its file is."""
    seen = Identity("resnet18", "imagenet", whole=True)
    assert seen.key == "resnet18:imagenet+whole"
    assert seen.network == Identity("resnet18", "imagenet") != seen
    assert engine_file(Path("data"), seen.key) == engine_file(Path("data"), seen.network_key)
