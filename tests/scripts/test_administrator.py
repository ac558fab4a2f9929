"""Accounts by the invite link, beside a Label Studio that has no time for one of them."""

import administrator
import httpx
import pytest
from administrator import Administrator
from in_memory_label_studio import URL, InMemoryStudio

from common.errors import LabelStudioError


@pytest.mark.parametrize(("refusals", "tokens"), [(2, {"a1@example.com": "abc"}), (3, None)])
def test_a_token_is_asked_for_again(
    monkeypatch: pytest.MonkeyPatch, refusals: int, tokens: dict[str, str] | None
) -> None:
    """Two answers of 500 cost no account; a third is told with the account's name."""
    monkeypatch.setattr(administrator, "TOKEN_PAUSES", (0.0, 0.0, 0.0))
    answers = [httpx.Response(500)] * refusals + [httpx.Response(200, json={"token": "abc"})]
    studio = InMemoryStudio()
    studio.faults |= {
        "GET invite": httpx.Response(200, json={"invite_url": "/user/signup/"}),
        "GET signup": httpx.Response(200),
        "POST signup": httpx.Response(200),
        "GET token": lambda _: answers.pop(0),
    }
    with Administrator(URL, "token", studio) as admin:
        if tokens:
            assert admin.sign_up(["a1@example.com"]) == tokens
        else:
            with pytest.raises(LabelStudioError, match=r"no account a1@example.com \(500\)"):
                admin.sign_up(["a1@example.com"])


def test_images_are_uploaded_fifty_at_a_time() -> None:
    """Label Studio refuses more than a hundred in one request; it puts eight letters before each name."""
    studio, names = InMemoryStudio(), [f"{number}.png" for number in range(120)]
    uploads = [{"file": f"upload/7/7b9fb79e-{name}"} for name in names]
    studio.faults |= {
        "POST import": httpx.Response(201, json={}),
        "GET uploads": httpx.Response(200, json=uploads),
    }
    with Administrator(URL, "token", studio) as admin:
        addresses = admin.upload(7, {name: name.encode() for name in names})
    assert addresses == {name: f"/data/upload/7/7b9fb79e-{name}" for name in names}
    sent = [request.content.count(b"Content-Type: image/png") for request in studio.requests if request.content]
    assert sent == [50, 50, 20]
