"""A small application behind our server, for tests: ``python serving_program.py PORT CONNECTIONS``."""

import sys

from flask import Flask, Response, request

from common.logs import configure_logs
from common.serving.server import Server

THREADS = 4


def make() -> Flask:
    """An application that is up and repeats what it gets."""
    app = Flask(__name__)

    @app.get("/health")
    def health() -> str:
        return "UP"

    @app.post("/echo")
    def echo() -> Response:
        return Response(request.get_data(), mimetype="application/octet-stream")

    return app


if __name__ == "__main__":
    configure_logs()
    port, connections = map(int, sys.argv[1:])
    Server(make, "127.0.0.1", port, workers=1, threads=THREADS, worker_connections=connections).run()
