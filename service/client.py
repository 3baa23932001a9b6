"""Who a client is, for everything that is counted per client: its key, where keys are asked for, else the address that
it comes from. Behind proxies that are trusted, that is what they say in X-Forwarded-For; from anybody else the header
means nothing.
"""

from collections.abc import Collection
from functools import lru_cache
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network
from typing import Any

Network = IPv4Network | IPv6Network
UNKNOWN = "unknown"  # a peer without an address, as on a Unix socket: all of them share one share
_IPV6_SITE_BITS = 64  # one household or host gets so many addresses: they are one client (RFC 6177)


class Clients:
    """Names the client of a request; *trusted* are the networks of the proxies in front."""

    def __init__(self, trusted: Collection[Network]) -> None:
        self._trusted = tuple(trusted)

    def of(self, scope: Any) -> str:
        """Return the client's address; of IPv6 its network, as a client can take any address in it."""
        peer = scope["client"]
        if not peer:
            return UNKNOWN
        host: str = peer[0]
        if self._trusted and self._is_trusted(host):
            host = self._forwarded(scope, host)
        return _site(host) if ":" in host else host

    def is_proxy(self, scope: Any) -> bool:
        """Tell whether the connection is a trusted proxy's, and so carries the requests of many."""
        peer = scope["client"]
        return bool(self._trusted) and bool(peer) and self._is_trusted(peer[0])

    def _forwarded(self, scope: Any, peer: str) -> str:
        """Return the nearest address of X-Forwarded-For that is none of our proxies', *peer* if there is none."""
        lines = [value.decode("latin-1") for name, value in scope["headers"] if name == b"x-forwarded-for"]
        for said in reversed(",".join(lines).split(",")):
            host = said.strip()
            if _address(host) is None:  # a proxy that we trust did not write this: whoever stands before it did
                break
            if not self._is_trusted(host):
                return host
            peer = host
        return peer

    def _is_trusted(self, host: str) -> bool:
        address = _address(host)
        return address is not None and any(address in network for network in self._trusted)


@lru_cache(4096)
def _address(host: str) -> IPv4Address | IPv6Address | None:
    try:
        return ip_address(host.partition("%")[0])
    except ValueError:
        return None


@lru_cache(4096)
def _site(host: str) -> str:
    address = _address(host)
    if not isinstance(address, IPv6Address):
        return host
    if address.ipv4_mapped is not None:
        return str(address.ipv4_mapped)
    return str(ip_network((address, _IPV6_SITE_BITS), strict=False))
