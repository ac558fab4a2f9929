"""Connections whose request is still on its way, and until when each may take.

The worker notes them; the application, which reads the bodies, strikes out those that have arrived whole.
"""

import socket

_until: dict[socket.socket, float] = {}


def expect(connection: socket.socket, until: float) -> None:
    """Note that a request should be there by then, on the monotonic clock."""
    _until[connection] = until


def arrived(connection: socket.socket | None) -> None:
    """Strike out a request that has arrived, or that is waited for no longer; None where no worker noted it."""
    if connection is not None:
        _until.pop(connection, None)


def overdue(now: float) -> list[socket.socket]:
    """List, and strike out, the connections that took too long."""
    late = [connection for connection, until in list(_until.items()) if now >= until]
    for connection in late:
        _until.pop(connection, None)
    return late
