"""A web server that answers in every wrong way, on a port of this machine."""

import contextlib
import gzip
import socket
import socketserver
import threading
import time
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

Script = Callable[[socket.socket], None]


def page(body: bytes, *headers: str, status: str = "200 OK", length: int | None = None) -> bytes:
    """An answer with its length, or with another one."""
    lines = [f"HTTP/1.1 {status}", f"Content-Length: {len(body) if length is None else length}", *headers]
    return "\r\n".join([*lines, "", ""]).encode("latin-1") + body


def redirect(to: str) -> bytes:
    """An answer that points elsewhere."""
    return page(b"look elsewhere", f"Location: {to}", status="302 Found")


def chunked(*chunks: bytes) -> bytes:
    """An answer whose body is said to come in chunks."""
    return b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n" + b"".join(chunks)


def gzipped(body: bytes) -> bytes:
    """An answer that is packed although nobody asked for that."""
    return page(gzip.compress(body), "Content-Encoding: gzip")


def closing(answer: bytes) -> Script:
    """Answer and hang up."""

    def script(connection: socket.socket) -> None:
        connection.sendall(answer)
        connection.shutdown(socket.SHUT_RDWR)

    return script


def endless(head: bytes, piece: bytes, seconds: float = 0) -> Script:
    """Send a head and then the same piece again and again, at once or after some seconds each."""

    def script(connection: socket.socket) -> None:
        connection.sendall(head)
        while True:
            connection.sendall(piece)
            time.sleep(seconds)

    return script


def silent(connection: socket.socket) -> None:
    """Never answer."""
    connection.recv(1)


def bomb(megabytes: int) -> bytes:
    """So many megabytes of zeros, packed."""
    packing = zlib.compressobj(9, zlib.DEFLATED, 31)
    packed = b"".join(packing.compress(bytes(1_000_000)) for _ in range(megabytes))
    return page(packed + packing.flush(), "Content-Encoding: gzip")


_HEAD = b"HTTP/1.1 200 OK\r\n"
FAULTS: dict[str, tuple[bytes | Script, str]] = {
    "/gone": (page(b"", status="410 Gone"), "missing"),
    "/forbidden": (page(b"no", status="403 Forbidden"), "http_403"),
    "/broken-server": (page(b"oh", status="500 Oh"), "http_500"),
    "/empty": (page(b""), "empty"),
    "/corrupt": (page(b"\x89PNG\r\n\x1a\n" + b"\xff" * 500), "damaged"),
    "/login": (page(b"<!DOCTYPE html><html><title>Log in</title>", "Content-Type: text/html"), "html_page"),
    "/drawing.svg": (page(b"<svg xmlns='http://www.w3.org/2000/svg'/>"), "svg"),
    "/silent": (silent, "timeout"),
    "/slow-body": (endless(_HEAD + b"Content-Length: 100000\r\n\r\n", b"x", 0.05), "timeout"),
    "/slow-head": (endless(_HEAD, b"X", 0.05), "timeout"),
    "/endless-body": (endless(_HEAD + b"\r\n", b"x" * 65536), "too_many_bytes"),
    "/endless-chunks": (endless(chunked(), b"400\r\n" + b"x" * 1024 + b"\r\n"), "too_many_bytes"),
    "/endless-trailer": (endless(chunked(b"0\r\n"), b"X-Header: x\r\n" * 1000), "broken_answer"),
    "/endless-head": (endless(_HEAD, b"X-Header: x\r\n" * 1000), "broken_answer"),
    "/endless-hints": (endless(b"", b"HTTP/1.1 103 Hint\r\nLink: %b\r\n\r\n" % (b"x" * 50_000)), "too_many_bytes"),
    "/huge": (page(b"x", length=10**12), "too_many_bytes"),
    "/too-short": (closing(page(b"x" * 10, length=1000)), "broken_answer"),
    "/chunk-too-short": (closing(chunked(b"ff\r\nx")), "broken_answer"),
    "/chunk-below-zero": (closing(chunked(b"-5\r\nxxxxx\r\n0\r\n\r\n")), "broken_answer"),
    "/no-http": (closing(b"SSH-2.0-OpenSSH_9.6\r\n"), "broken_answer"),
    "/hangs-up": (closing(b""), "broken_answer"),
    "/bomb": (bomb(50), "too_many_bytes"),
    "/no-gzip": (page(b"hello", "Content-Encoding: gzip"), "broken_answer"),
    "/half-gzip": (page(gzip.compress(b"hello", mtime=0)[:-4], "Content-Encoding: gzip"), "broken_answer"),
    "/brotli": (page(b"hello", "Content-Encoding: br"), "content_encoding"),
    "/loop": (redirect("/loop"), "too_many_redirects"),
    "/to-nowhere": (page(b"", status="302 Found"), "http_302"),
    "/to-private": (redirect("http://10.0.0.1/secret.png"), "private_address"),
    "/to-metadata": (redirect("http://169.254.169.254/latest/meta-data/"), "private_address"),
    "/to-mapped": (redirect("http://[::ffff:169.254.169.254]/"), "private_address"),
    "/to-file": (redirect("file:///etc/passwd"), "unsupported_url"),
    "/to-ftp": (redirect("ftp://127.0.0.1/a.png"), "unsupported_url"),
    "/to-data": (redirect("data:image/png;base64,AA"), "unsupported_url"),
    "/to-password": (redirect("//user:password@127.0.0.1/a.png"), "password_in_url"),
    "/to-noise": (redirect("http://[\xff"), "unsupported_url"),
}
"""What each page does, and the reason with which it is left out."""


@dataclass
class FaultyWeb:
    """The server's address and pages.

    Parameters
    ----------
    url : str
        Without a slash at its end.
    port : int
    pages : dict of str to (bytes or callable)
        By path. Others are missing.
    seen : list of bytes
        The heads of the requests.
    connections : int
        That were made to it.
    """

    url: str
    port: int
    pages: dict[str, bytes | Script] = field(default_factory=dict)
    seen: list[bytes] = field(default_factory=list)
    connections: int = 0


@contextmanager
def faulty_web() -> Iterator[FaultyWeb]:
    """Start a server of the faults; more pages can be added."""

    class Answers(socketserver.BaseRequestHandler):
        def handle(self) -> None:
            web.connections += 1
            with contextlib.suppress(OSError):
                while head := _head(self.request):
                    web.seen.append(head)
                    answer = web.pages.get(head.split()[1].decode(), page(b"", status="404 Not Found"))
                    if isinstance(answer, bytes):
                        self.request.sendall(answer)
                    else:
                        answer(self.request)
                        return

    class Server(socketserver.ThreadingTCPServer):
        daemon_threads = True
        request_queue_size = 64

    with Server(("127.0.0.1", 0), Answers) as server:
        port = server.server_address[1]
        web = FaultyWeb(f"http://127.0.0.1:{port}", port, {path: fault for path, (fault, _) in FAULTS.items()})
        threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
        try:
            yield web
        finally:
            server.shutdown()


def _head(connection: socket.socket) -> bytes:
    read = b""
    while not read.endswith(b"\r\n\r\n"):
        piece = connection.recv(1)
        if not piece:
            return b""
        read += piece
    return read
