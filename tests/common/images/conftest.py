import httpx
import pytest
from web_in_memory import Web

from common.images.fetch import Connect


@pytest.fixture
def web() -> Web:
    """A network without pages."""
    return Web()


@pytest.fixture
def connections(web: Web) -> Connect:
    """Connections to that network, whatever hosts are allowed."""
    return lambda _: httpx.MockTransport(web.answer)
