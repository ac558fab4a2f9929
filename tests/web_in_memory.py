"""A network that is not real, with pages by path."""

from dataclasses import dataclass, field

import httpx


@dataclass
class Web:
    """What the network answers: a body or a status by path. Keeps the requests that were made."""

    pages: dict[str, bytes | int | str] = field(default_factory=dict)
    seen: list[httpx.Request] = field(default_factory=list)

    def answer(self, request: httpx.Request) -> httpx.Response:
        """Answer with the page of the path; a text is where to look instead."""
        self.seen.append(request)
        page = self.pages.get(request.url.path, 404)
        if isinstance(page, int):
            return httpx.Response(page)
        if isinstance(page, str):
            return httpx.Response(302, headers={"location": page})
        return httpx.Response(200, content=iter([page]))
