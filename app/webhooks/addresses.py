"""Which addresses a webhook may have: public ones, spelled plainly.

A client names an address and this service calls it, so the address must not lead back into the
network that the service runs in (server-side request forgery). The spelling is checked when the job
is submitted; what the name leads to is checked at every delivery, by
:mod:`app.webhooks.sender`.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network
from urllib.parse import SplitResult, urlsplit

Address = IPv4Address | IPv6Address
Network = IPv4Network | IPv6Network

_PLAIN = re.compile(r"^[\x21\x24-\x5b\x5d\x5f\x61-\x7a\x7e]+$", re.ASCII)  # no quotes, backslash, #
_LABEL = re.compile(r"^[a-z0-9](?:[a-z0-9_-]{0,61}[a-z0-9])?$")
_NAME = re.compile(r"^(?:[a-z0-9_](?:[a-z0-9_-]{0,61}[a-z0-9])?\.)+[a-z][a-z0-9-]{0,61}[a-z0-9]$")
_LOCAL_NAMES = (".local", ".localhost", ".internal", ".lan", ".home.arpa", ".test", ".onion")
_NAT64 = ip_network("64:ff9b::/96")
_GLOBAL_UNICAST = ip_network("2000::/3")  # all of IPv6 that is on the internet today
# Global by the registry, yet not somebody's server on the internet:
_RESERVED = tuple(
    map(
        ip_network,
        (
            "168.63.129.16/32",  # Azure's metadata
            "192.0.0.0/24",  # protocol assignments; Oracle's metadata
            "192.88.99.0/24",  # relays of 6to4
            "2001::/23",  # Teredo and other protocol assignments
            "2002::/16",  # 6to4: an IPv4 address in disguise
            "3fff::/20",  # documentation
        ),
    )
)


class UnsafeAddress(ValueError):
    """The address is not one that a webhook may have; the message is a sentence for its sender."""


@dataclass(frozen=True)
class Target:
    """A checked address. ``host`` is a name, or an IP address without brackets; ``path`` is what
    stands in the request line.
    """

    scheme: str
    host: str
    port: int
    path: str


@dataclass(frozen=True)
class AddressPolicy:
    """What is allowed beside https to public addresses: plain http, other ports (none listed: any),
    and networks of the operator's own.
    """

    allow_http: bool = False
    ports: tuple[int, ...] = (443, 8443)
    networks: tuple[Network, ...] = ()

    def check(self, url: str) -> Target:
        """The parts of ``url``. Raises UnsafeAddress; looks nothing up."""
        if not _PLAIN.match(url):
            raise UnsafeAddress("it holds characters that an address has only percent-encoded.")
        try:
            parts = urlsplit(url)
            port = parts.port
        except ValueError as error:
            raise UnsafeAddress("it is no address.") from error
        if parts.scheme != "https" and not (parts.scheme == "http" and self.allow_http):
            raise UnsafeAddress("it must begin with https://.")
        if "@" in parts.netloc:
            raise UnsafeAddress("it must not hold a user name or password.")
        port = (443 if parts.scheme == "https" else 80) if port is None else port
        if self.ports and port not in self.ports:
            allowed = ", ".join(map(str, self.ports))
            raise UnsafeAddress(f"port {port} is not allowed; these are: {allowed}.")
        return Target(parts.scheme, self._host(parts), port, _path(parts))

    def _host(self, parts: SplitResult) -> str:
        host = (parts.hostname or "").lower()
        if parts.netloc.startswith("[") or host.rsplit(".", 1)[-1][:1].isdigit():
            self._check_literal(host)
        elif self.networks and _LABEL.match(host):
            return host  # a neighbour's name, such as a container's; its address decides
        elif not _NAME.match(host) or len(host) > 253:
            raise UnsafeAddress(f"{host[:100] or 'it'} is no full host name.")
        elif not self.networks and host.endswith(_LOCAL_NAMES):
            raise UnsafeAddress(f"{host[:100]} is a local name.")
        return host

    def _check_literal(self, text: str) -> None:
        try:
            address = ip_address(text)  # four decimal numbers; no octal, hexadecimal or short form
        except ValueError as error:
            raise UnsafeAddress(f"{text[:100]} is no plain IP address.") from error
        self.check_address(address)

    def check_address(self, address: Address) -> None:
        """Raise UnsafeAddress unless ``address`` may be connected to."""
        if not is_public(address) and not any(address in network for network in self.networks):
            raise UnsafeAddress(f"{address} is not a public address.")


def is_public(address: Address) -> bool:
    """A host on the internet, as far as numbers tell; IPv4 addresses inside IPv6 ones are looked
    at too.
    """
    if isinstance(address, IPv6Address):
        if address.scope_id:
            return False
        if address.ipv4_mapped:
            return is_public(address.ipv4_mapped)
        if address in _NAT64:
            return is_public(IPv4Address(int(address) & 0xFFFFFFFF))
        if address not in _GLOBAL_UNICAST or _is_isatap(address):
            return False
    reserved = any(address in network for network in _RESERVED)
    return address.is_global and not address.is_multicast and not reserved


def _is_isatap(address: IPv6Address) -> bool:
    """An IPv4 address of a site's own, in disguise (RFC 5214, section 6.1)."""
    return int(address) >> 32 & 0xFCFFFFFF == 0x00005EFE


def _path(parts: SplitResult) -> str:
    path = parts.path or "/"
    return f"{path}?{parts.query}" if parts.query else path
