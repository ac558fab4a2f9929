"""The API and the console behind gunicorn."""

from common.serving.server import Server
from consensus.console.app import create_console
from consensus.console.desk import Console
from consensus.console.front import Front
from consensus.serving.app import create_app

THREADS = 16


def serve(console: Console, host: str, port: int) -> None:
    """Serve until a signal ends it, in one process, which knows what is at work in the background."""

    def make() -> Front:
        api = create_app(console.service)
        https = console.public_url.startswith("https://")
        return Front(api, create_console(console), console.prefix, https=https, proxies=console.proxies)

    Server(
        make,
        host,
        port,
        workers=1,
        threads=THREADS,
        worker_exit=lambda _server, _worker: stop(console),
    ).run()


def stop(console: Console) -> None:
    """End what works in the background."""
    console.pictures.close()
    console.service.stop()
