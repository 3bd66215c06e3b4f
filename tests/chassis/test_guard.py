"""Webhooks stay outside: no spelling of an inner address, and no name that leads to one, is connected to."""

import asyncio
import ipaddress
import socket
from collections.abc import Callable

import httpcore
import httpx
import pytest

from troth_chassis import guard
from troth_chassis.guard import ForbiddenAddressError, guarded_transport, is_public

INNER = {
    "loopback": ["127.0.0.1", "127.255.255.254", "::1"],
    "unspecified and this network": ["0.0.0.0", "0.1.2.3", "::"],  # noqa: S104
    "private": ["10.0.0.1", "172.16.0.1", "172.31.255.255", "192.168.1.1", "fc00::1", "fdff::1"],
    "link-local and cloud metadata": ["169.254.169.254", "169.254.0.1", "fe80::1", "fd00:ec2::254"],
    "site-local": ["fec0::1"],
    "shared by carriers (RFC 6598)": ["100.64.0.1", "100.127.255.254", "100.100.100.200"],
    "IETF assignments and metadata": ["192.0.0.1", "192.0.0.8", "192.0.0.192", "192.0.0.255"],
    "6to4 relays": ["192.88.99.1"],
    "documentation and benchmarks": ["192.0.2.1", "198.51.100.1", "203.0.113.1", "198.18.0.1", "2001:db8::1"],
    "multicast": ["224.0.0.1", "239.255.255.255", "ff02::1", "ff0e::1"],
    "reserved and broadcast": ["240.0.0.1", "255.255.255.255"],
    "mapped": ["::ffff:127.0.0.1", "::ffff:10.0.0.1", "::ffff:169.254.169.254"],
    "compatible": ["::127.0.0.1", "::10.0.0.1"],
    "translated (NAT64)": ["64:ff9b::127.0.0.1", "64:ff9b::10.0.0.1", "64:ff9b::a9fe:a9fe", "64:ff9b:1::1"],
    "6to4": ["2002:7f00:1::1", "2002:a00:1::", "2002:a9fe:a9fe::"],
    "Teredo": ["2001:0:4136:e378:8000:63bf:3fff:fdd2"],
    "discard and segment routing": ["100::1", "5f00::1"],
}
OUTER = [
    "8.8.8.8",
    "1.1.1.1",
    "192.0.1.1",
    "100.63.255.255",
    "100.128.0.1",
    "172.32.0.1",
    "2606:4700::1111",
    "::ffff:8.8.8.8",
    "64:ff9b::8.8.8.8",
    "2002:808:808::1",
]
Resolve = Callable[..., None]


@pytest.mark.parametrize(
    "address", [pytest.param(each, id=f"{kind}: {each}") for kind, group in INNER.items() for each in group]
)
def test_an_inner_address_is_not_public(address: str) -> None:
    assert not is_public(ipaddress.ip_address(address))


@pytest.mark.parametrize("address", OUTER)
def test_an_outer_address_is_public(address: str) -> None:
    assert is_public(ipaddress.ip_address(address))


class Connections:
    """Stands in for the network below the guard: notes who is connected to, and refuses those told to."""

    def __init__(self, refusing: tuple[str, ...] = ()) -> None:
        self.made: list[str] = []
        self._refusing = refusing

    async def connect_tcp(self, host: str, *_: object) -> httpcore.AsyncNetworkStream:
        self.made.append(host)
        if host in self._refusing:
            raise httpcore.ConnectError(f"{host} refused")
        return httpcore.AsyncMockStream([b"HTTP/1.1 204 No Content\r\n\r\n"])


@pytest.fixture
def network(monkeypatch: pytest.MonkeyPatch) -> Connections:
    connections = Connections()
    monkeypatch.setattr(httpcore, "AnyIOBackend", lambda: connections)
    return connections


@pytest.fixture
def resolve(monkeypatch: pytest.MonkeyPatch) -> Resolve:
    """`resolve(*addresses)`: what every name leads to from now on."""

    def answer(*addresses: str) -> None:
        async def getaddrinfo(_self: object, _host: str, port: int, **_: object) -> list[object]:
            if not addresses:
                raise socket.gaierror("unknown")
            return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (each, port)) for each in addresses]

        monkeypatch.setattr(asyncio.base_events.BaseEventLoop, "getaddrinfo", getaddrinfo)

    return answer


async def post(host: str, *allowed: str) -> int:
    transport = guarded_transport([ipaddress.ip_network(each) for each in allowed])
    async with httpx.AsyncClient(transport=transport) as client:
        return (await client.post(f"http://{host}/hook", json={})).status_code


async def test_a_public_name_is_connected_to_by_the_address_that_was_judged(
    network: Connections, resolve: Resolve
) -> None:
    """So that a name that changes its answer between check and connect gains nothing."""
    resolve("93.184.215.14")
    assert await post("hooks.example") == 204
    assert network.made == ["93.184.215.14"]


@pytest.mark.parametrize(
    "inner", ["127.0.0.1", "10.0.0.7", "169.254.169.254", "fe80::1%eth0", "::ffff:10.0.0.1"]
)
async def test_a_name_that_leads_inside_is_refused(
    network: Connections, resolve: Resolve, inner: str
) -> None:
    resolve(inner)
    with pytest.raises(httpx.ConnectError, match=r"hooks\.example leads to .* which webhooks may not reach"):
        await post("hooks.example")
    assert network.made == []


async def test_one_inner_address_among_outer_ones_refuses_the_name(
    network: Connections, resolve: Resolve
) -> None:
    resolve("93.184.215.14", "10.0.0.7")
    with pytest.raises(httpx.ConnectError, match="10\\.0\\.0\\.7"):
        await post("hooks.example")
    assert network.made == []


@pytest.mark.parametrize(
    "spelling",
    [
        "2130706433",
        "0177.0.0.1",
        "0177.1",
        "0x7f.0.0.1",
        "0x7f000001",
        "127.1",
        "0",
        "[::1]",
        "[::ffff:7f00:1]",
    ],
)
async def test_no_spelling_of_an_inner_address_passes(network: Connections, spelling: str) -> None:
    """Asked of the system's own resolver, which reads octal, hexadecimal and short forms; no network is used."""
    with pytest.raises((httpx.ConnectError, httpx.InvalidURL), match=r"webhooks may not reach|Invalid IPv4"):
        await post(spelling)
    assert network.made == []


async def test_an_allowed_network_may_be_reached(network: Connections, resolve: Resolve) -> None:
    resolve("10.1.2.3")
    assert await post("hooks.internal", "10.1.0.0/16") == 204
    assert network.made == ["10.1.2.3"]


async def test_an_allowed_network_opens_no_other(network: Connections, resolve: Resolve) -> None:
    resolve("10.2.0.1")
    with pytest.raises(httpx.ConnectError):
        await post("hooks.internal", "10.1.0.0/16", "fd00::/8")


async def test_an_unknown_name_is_a_failed_connection(network: Connections, resolve: Resolve) -> None:
    resolve()
    with pytest.raises(httpx.ConnectError, match="does not resolve"):
        await post("hooks.example")


async def test_the_next_address_is_tried_when_one_does_not_answer(
    monkeypatch: pytest.MonkeyPatch, resolve: Resolve
) -> None:
    """A name with an IPv6 address first must work from a network without IPv6."""
    connections = Connections(refusing=("2606:4700::1111",))
    monkeypatch.setattr(httpcore, "AnyIOBackend", lambda: connections)
    resolve("2606:4700::1111", "93.184.215.14")
    assert await post("hooks.example") == 204
    assert connections.made == ["2606:4700::1111", "93.184.215.14"]


async def test_a_redirect_is_not_followed(monkeypatch: pytest.MonkeyPatch, resolve: Resolve) -> None:
    class Redirecting(Connections):
        async def connect_tcp(self, host: str, *_: object) -> httpcore.AsyncNetworkStream:
            self.made.append(host)
            return httpcore.AsyncMockStream([b"HTTP/1.1 302 Found\r\nLocation: http://127.0.0.1/\r\n\r\n"])

    connections = Redirecting()
    monkeypatch.setattr(httpcore, "AnyIOBackend", lambda: connections)
    resolve("93.184.215.14")
    assert await post("hooks.example") == 302
    assert connections.made == ["93.184.215.14"]


async def test_a_local_socket_is_never_connected_to() -> None:
    backend = guard._GuardedBackend(())
    with pytest.raises(ForbiddenAddressError):
        await backend.connect_unix_socket("/var/run/docker.sock")
