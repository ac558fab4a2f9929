"""Which view of its images a project gets."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from ml_backend.core.controls import Control
from ml_backend.core.model import Evidence
from ml_backend.embedding.gather import Gathered, ImageRef
from ml_backend.settings import Settings
from ml_backend.training import view
from ml_backend.training.view import seen

CONTROL = Control("kind", "image", ("cat", "dog"), multiple=False, image_key="image")
REFS = [ImageRef(number, "image", f"{number}.png") for number in range(80)]


@dataclass
class Viewed:
    """An embedder of which only the view matters."""

    key: str = "net"
    has_view: bool = True

    def seeing_whole(self) -> "Viewed | None":
        """The other view, where there is one."""
        return Viewed("net+whole") if self.has_view else None


@dataclass
class Project:
    """Images whose kind shows in some views alone; it keeps of how many in which view it was asked."""

    tells: Sequence[str]
    asked: list[tuple[str, int]] = field(default_factory=list)

    def gather(self, refs: Sequence[ImageRef], embedder: Any) -> Gathered:  # noqa: ANN401
        """Noise, and the kind in the first number."""
        self.asked.append((embedder.key, len(refs)))
        rng = np.random.default_rng(0)
        vectors = {}
        for ref in sorted(refs, key=lambda ref: ref.task_id):
            vectors[ref] = rng.normal(size=8).astype(np.float32)
            vectors[ref][0] += 6 * (ref.task_id % 2) * (embedder.key in self.tells)
        return Gathered(vectors)

    def evidence(self, gathered: Gathered) -> list[Evidence]:
        """All are annotated."""
        tasks = np.array([ref.task_id for ref in gathered.vectors])
        return [Evidence(CONTROL, np.arange(len(tasks)), np.eye(2, dtype=np.float32)[tasks % 2], tasks=tasks)]

    def view(self, settings: Settings, last: str = "", refs: Sequence[ImageRef] = REFS, **embedder: Any) -> str:  # noqa: ANN401
        """The key of the view that is taken."""
        before: Any = SimpleNamespace(embedding_key=last) if last else None
        network: Any = Viewed(**embedder)
        return seen(network, refs, before, settings, self.gather, self.evidence).key


@pytest.mark.parametrize(
    ("tells", "last", "taken"),
    [
        (["net+whole"], "", "net+whole"),
        (["net"], "", "net"),
        (["net"], "net+whole", "net"),
        (["net", "net+whole"], "", "net"),
        (["net", "net+whole"], "net+whole", "net+whole"),
        ([], "net+whole", "net+whole"),
    ],
)
def test_held_out_annotations_choose(settings: Settings, tells: list[str], last: str, taken: str) -> None:
    """The view that tells the kinds apart; that of the last version where neither is clearly better."""
    assert Project(tells).view(settings, last) == taken


def test_the_settings_choose(settings: Settings) -> None:
    """Nothing is embedded twice then."""
    project = Project(["net"])
    assert project.view(settings.model_copy(update={"view": "whole"})) == "net+whole"
    assert project.view(settings.model_copy(update={"view": "crop"}), "net+whole") == "net"
    assert project.asked == []


def test_an_embedder_that_prepares_images_its_own_way_has_one_view(settings: Settings) -> None:
    """Whatever the settings say."""
    project = Project(["net+whole"])
    for wanted in ("auto", "whole", "crop"):
        assert project.view(settings.model_copy(update={"view": wanted}), has_view=False) == "net"
    assert project.asked == []


def test_few_annotations_choose_nothing_and_many_cost_no_more(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Below the fewest the usual view stays; of many the same sample is embedded each time."""
    few = Project(["net+whole"])
    assert few.view(settings, refs=REFS[:49]) == "net"
    assert few.asked == []
    monkeypatch.setattr(view, "MOST", 60)
    many = Project(["net+whole"])
    assert many.view(settings) == "net+whole"
    assert many.asked == [("net", 60), ("net+whole", 60)]
