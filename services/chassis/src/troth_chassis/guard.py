"""Keeps webhooks off the inside of the network: the address is checked when the connection is made.

A name is resolved once, every address is judged, and the connection goes to a judged address, so that a name that
changes its answer between check and connect gains nothing.
"""

from __future__ import annotations

import asyncio
import ipaddress
import socket
import ssl
from collections.abc import Iterable, Sequence

import httpcore
import httpx

Address = ipaddress.IPv4Address | ipaddress.IPv6Address
Network = ipaddress.IPv4Network | ipaddress.IPv6Network
_UNICAST = ipaddress.IPv6Network("2000::/3")
_NAT64 = ipaddress.IPv6Network("64:ff9b::/96")
_CLOSED = tuple(map(ipaddress.IPv4Network, ("192.0.0.0/24", "192.88.99.0/24")))
"""IETF protocol assignments (cloud metadata lives there, too) and 6to4 relays; Python's lists differ by version."""


class ForbiddenAddressError(httpcore.ConnectError):
    """The receiver's name leads to an address that webhooks may not reach."""


def is_public(address: Address) -> bool:
    """False for loopback, private, link-local, shared, multicast, reserved and for IPv6 forms that carry such."""
    if isinstance(address, ipaddress.IPv6Address):
        inner = _carried(address)
        if inner is not None:
            return is_public(inner)
        return address in _UNICAST and address.is_global
    return address.is_global and not address.is_multicast and not any(address in net for net in _CLOSED)


def _carried(address: ipaddress.IPv6Address) -> ipaddress.IPv4Address | None:
    """The IPv4 address inside a mapped, 6to4 or NAT64 one."""
    if address in _NAT64:
        return ipaddress.IPv4Address(int(address) & 0xFFFFFFFF)
    return address.ipv4_mapped or address.sixtofour


class _GuardedBackend(httpcore.AsyncNetworkBackend):
    def __init__(self, allowed: Sequence[Network]) -> None:
        self._inner = httpcore.AnyIOBackend()
        self._allowed = allowed

    async def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: Iterable[httpcore.SOCKET_OPTION] | None = None,
    ) -> httpcore.AsyncNetworkStream:
        failure = httpcore.ConnectError(f"{host} has no address")
        for address in await self._judged(host, port):
            try:
                return await self._inner.connect_tcp(address, port, timeout, local_address, socket_options)
            except httpcore.ConnectError as error:
                failure = error
        raise failure

    async def connect_unix_socket(
        self,
        path: str,
        timeout: float | None = None,
        socket_options: Iterable[httpcore.SOCKET_OPTION] | None = None,
    ) -> httpcore.AsyncNetworkStream:
        raise ForbiddenAddressError(
            f"webhooks never go to a local socket ({path}, {timeout}, {socket_options})"
        )

    async def sleep(self, seconds: float) -> None:
        await self._inner.sleep(seconds)

    async def _judged(self, host: str, port: int) -> list[str]:
        """Every address of the name; one that is forbidden forbids them all."""
        try:
            found = await asyncio.get_running_loop().getaddrinfo(host, port, type=socket.SOCK_STREAM)
        except socket.gaierror as error:
            raise httpcore.ConnectError(f"{host} does not resolve") from error
        addresses = [ipaddress.ip_address(str(entry[4][0]).split("%")[0]) for entry in found]
        for address in addresses:
            if not (is_public(address) or any(address in network for network in self._allowed)):
                raise ForbiddenAddressError(f"{host} leads to {address}, which webhooks may not reach")
        return list(dict.fromkeys(map(str, addresses)))


def guarded_transport(
    allowed: Sequence[Network] = (), ca_bundle: str | None = None
) -> httpx.AsyncHTTPTransport:
    """A transport for httpx that refuses every address that is neither public nor in ``allowed``."""
    context = ssl.create_default_context(cafile=ca_bundle)
    transport = httpx.AsyncHTTPTransport(verify=context, trust_env=False)
    transport._pool = httpcore.AsyncConnectionPool(  # noqa: SLF001  (httpx offers no argument for the backend)
        ssl_context=context, network_backend=_GuardedBackend(allowed)
    )
    return transport
