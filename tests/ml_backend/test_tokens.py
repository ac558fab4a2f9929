from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from PIL import Image

from ml_backend.backend import Backend
from ml_backend.embedding.gather import ImageRef
from ml_backend.settings import Settings

if TYPE_CHECKING:
    from conftest import RunningLabelStudio, Samples


@pytest.mark.server
@pytest.mark.filterwarnings("ignore:The `parse_obj` method")  # the SDK calls it to renew an access token
@pytest.mark.parametrize("kind", ["legacy token", "personal access token"])
def test_uploaded_images_are_read_with_either_token(
    label_studio: "RunningLabelStudio", samples: "Samples", tmp_path: Path, kind: str
) -> None:
    """Tasks and their uploaded pictures are read with a legacy token and with a personal access token."""
    admin, key = label_studio.administrator, label_studio.api_key
    if kind == "personal access token":
        enabled = {"api_token_ttl_days": 30, "api_tokens_enabled": True, "legacy_api_tokens_enabled": True}
        admin.ask("POST", "/api/jwt/settings", json=enabled)
        key = admin.ask("POST", "/api/token/")["token"]
    project = admin.create_project(samples.config)
    admin.upload(project, {"a.png": samples.png("red")}, make_tasks=True)

    given = {"label_studio_url": label_studio.url, "label_studio_api_key": key, "data_dir": tmp_path}
    backend = Backend(Settings.model_validate(given))
    [task] = backend.client.annotated_tasks(project)
    refs = [ImageRef(task.id, "image", task.data["image"])]
    assert backend.gatherer.prepare(refs, Colours()) == ([(255, 0, 0)], {})
    backend.close()


class Colours:
    """An embedder that only looks at an image's first pixel."""

    short_side, streams = 8, 1

    def prepare(self, image: Image.Image) -> object:
        """The colour."""
        return image.getpixel((0, 0))
