"""service/client.py: who a request is counted for."""

from ipaddress import ip_network

import pytest

from service.client import Clients

PROXIES = [ip_network("10.0.0.0/8"), ip_network("::1/128")]


def client_of(peer: str | None, *forwarded: str, trusted: bool = True) -> str:
    """The client of a request from *peer* with lines of X-Forwarded-For."""
    headers = [(b"host", b"x"), *((b"x-forwarded-for", line.encode()) for line in forwarded)]
    return Clients(PROXIES if trusted else []).of({"client": (peer, 1) if peer else None, "headers": headers})


@pytest.mark.parametrize(
    ("peer", "forwarded", "client"),
    [
        ("192.0.2.1", [], "192.0.2.1"),
        ("192.0.2.1", ["198.51.100.7"], "192.0.2.1"),  # no proxy of ours: what it says means nothing
        ("10.0.0.1", ["198.51.100.7"], "198.51.100.7"),
        ("10.0.0.1", ["203.0.113.9, 198.51.100.7"], "198.51.100.7"),  # the first is the client's own invention
        ("10.0.0.1", ["198.51.100.7, 10.2.3.4"], "198.51.100.7"),  # two proxies
        ("10.0.0.1", ["203.0.113.9", "198.51.100.7"], "198.51.100.7"),  # two lines are one list
        ("10.0.0.1", ["198.51.100.7, nonsense"], "10.0.0.1"),
        ("10.0.0.1", [""], "10.0.0.1"),
        ("10.0.0.1", ["10.2.3.4, 10.0.0.2"], "10.2.3.4"),  # somebody inside
        ("::1", ["2001:db8:1:2:3::4"], "2001:db8:1:2::/64"),
    ],
)
def test_behind_trusted_proxies_the_nearest_untrusted_address_counts(
    peer: str, forwarded: list[str], client: str
) -> None:
    """And nothing that a client could have written itself."""
    assert client_of(peer, *forwarded) == client


def test_without_trusted_proxies_the_header_is_not_looked_at() -> None:
    """Whoever sends it."""
    assert client_of("10.0.0.1", "198.51.100.7", trusted=False) == "10.0.0.1"


def test_an_ipv6_client_is_its_network() -> None:
    """Else it could be 2^64 clients."""
    assert client_of("2001:db8::1") == client_of("2001:db8::ffff:1") == "2001:db8::/64"
    assert client_of("::ffff:192.0.2.1") == "192.0.2.1"


def test_peers_without_an_address_are_one_client() -> None:
    """As on a Unix socket."""
    assert client_of(None) == "unknown"
