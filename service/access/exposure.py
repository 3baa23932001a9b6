"""Says it loudly when everybody who reaches this machine may use the service, its admin routes included."""

import ipaddress
import logging
import os
import socket
from pathlib import Path

from service.settings import Settings

logger = logging.getLogger("convserve.access")


def warn_if_exposed(settings: Settings) -> None:
    """Write one line when a socket is bound to a public address and no key is asked for."""
    if settings.keys_file is not None:
        return
    public = sorted({host for host in bound_hosts() if not ipaddress.ip_address(host).is_loopback})
    if public:
        logger.warning(
            "!!! OPEN TO EVERYBODY: listening on %s without keys; whoever reaches this port may classify, load, "
            "promote and unload. Set CONVSERVE_KEYS_FILE, or --host 127.0.0.1",
            " and ".join(public),
        )


def bound_hosts() -> set[str]:
    """Return the addresses that TCP sockets of this process are bound to without being connected.

    A worker of BentoML inherits its socket as a file descriptor and is told no address.
    """
    hosts = set()
    for entry in Path("/proc/self/fd").iterdir():
        try:
            with socket.socket(fileno=os.dup(int(entry.name))) as probe:
                if probe.type != socket.SOCK_STREAM or probe.family not in {socket.AF_INET, socket.AF_INET6}:
                    continue
                host, port = probe.getsockname()[:2]
                if port and not _is_connected(probe):
                    hosts.add(host)
        except OSError:  # not a socket, or the descriptor of the listing itself
            continue
    return hosts


def _is_connected(probe: socket.socket) -> bool:
    try:
        probe.getpeername()
    except OSError:
        return False
    return True
