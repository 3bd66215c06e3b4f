"""Free loopback ports for the servers the sandbox starts."""

import contextlib
import socket


def free_ports(count: int) -> list[int]:
    """Return distinct ports of 127.0.0.1 that nobody listened on a moment ago."""
    with contextlib.ExitStack() as stack:
        # All are held open together, so no port is given twice.
        probes = [stack.enter_context(socket.socket()) for _ in range(count)]
        for probe in probes:
            probe.bind(("127.0.0.1", 0))
        return [int(probe.getsockname()[1]) for probe in probes]


def is_open(address: str, patience: float = 1.0) -> bool:
    """True when something accepts a TCP connection at `host:port`."""
    host, port = address.rsplit(":", 1)
    try:
        socket.create_connection((host, int(port)), timeout=patience).close()
    except OSError:
        return False
    return True
