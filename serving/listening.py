"""A listening socket for an address of the configuration, and its URL. The servers of collector and API take it over from here."""

import socket

from millrace.errors import SetupError
from millrace.local.processes import split_address

BACKLOG = 2048


def open_listener(address: str) -> socket.socket:
    """Listens on ``host:port``, port 0 on any free one; SetupError when the port is taken or the host is not this machine's."""
    host, port = split_address(address)
    host = host.strip("[]")
    try:
        return socket.create_server((host, port), family=socket.AF_INET6 if ":" in host else socket.AF_INET, backlog=BACKLOG)
    except OSError as error:
        why = str(error.strerror).partition(" (")[0]
        raise SetupError(f"cannot listen on {address} ({why}); stop what holds the port, or give another address (port 0: any free one)") from None


def url_of(listener: socket.socket) -> str:
    host, port = listener.getsockname()[:2]
    return f"http://[{host}]:{port}" if listener.family == socket.AF_INET6 else f"http://{host}:{port}"
