import pytest

from common.errors import SettingsError
from ml_backend.label_studio.client import LabelStudioClient
from ml_backend.settings import Settings


def test_without_a_key_there_is_no_client(settings: Settings) -> None:
    """A missing variable is named before anything is sent."""
    missing = settings.model_copy(update={"label_studio_url": ""})
    with pytest.raises(SettingsError, match="LABEL_STUDIO_URL is not set"):
        LabelStudioClient(missing)
