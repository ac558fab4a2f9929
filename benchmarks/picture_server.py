"""Serve pictures over HTTP from memory, with little work: it shares the processors with what is measured.

    python benchmarks/picture_server.py FOLDER PORT

Each file is at ``/data/upload/1/NAME``, where Label Studio has what was uploaded to project 1.
"""

import asyncio
import sys
from pathlib import Path

UPLOADS = "/data/upload/1/"
_END = b"\r\n\r\n"


class Pages(asyncio.Protocol):
    """One connection, kept open.

    Parameters
    ----------
    pages : dict of bytes to bytes
        A whole answer by path.
    """

    def __init__(self, pages: dict[bytes, bytes]) -> None:
        self._pages, self._buffer = pages, b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Keep where to write."""
        self._transport = transport

    def data_received(self, received: bytes) -> None:
        """Answer each request that is complete."""
        self._buffer += received
        while _END in self._buffer:
            head, _, self._buffer = self._buffer.partition(_END)
            path = head.split(b" ", 2)[1].partition(b"?")[0]
            self._transport.write(self._pages.get(path, answer(b"", "404 Not Found")))  # type: ignore[attr-defined]


def answer(body: bytes, status: str = "200 OK") -> bytes:
    """Write an answer."""
    head = f"HTTP/1.1 {status}\r\nContent-Type: image/jpeg\r\nContent-Length: {len(body)}"
    return head.encode() + _END + body


def pages_of(folder: Path) -> dict[bytes, bytes]:
    """Read the files of a folder."""
    pages = {(UPLOADS + file.name).encode(): answer(file.read_bytes()) for file in folder.iterdir()}
    return pages | {b"/": answer(b"")}


async def serve(pages: dict[bytes, bytes], port: int) -> None:
    """Serve until the program is ended."""
    server = await asyncio.get_running_loop().create_server(lambda: Pages(pages), "127.0.0.1", port)
    await server.serve_forever()


if __name__ == "__main__":
    asyncio.run(serve(pages_of(Path(sys.argv[1])), int(sys.argv[2])))
