"""Which addresses of the internet may be connected to: those of the public, and no others.

A definition's address is written by a customer, and connected to from inside the platform's own network. So what a name
resolves to is looked at where the connection is made (`shared.sources.http`), and only an address that was looked at is
connected to: there is no second look-up that could answer otherwise.
"""

from __future__ import annotations

import ipaddress
import socket
from collections.abc import Collection
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network

from shared.sources.errors import SourceFailed

Address = IPv4Address | IPv6Address

MAX_HOST_CHARACTERS = 253
"""Of a name in the DNS (RFC 1035), as it is looked up."""

# The special-purpose registries of IANA, written out: what Python's `is_global` says differs between its versions.
_REFUSED_V4 = tuple(
    IPv4Network(network)
    for network in (
        "0.0.0.0/8",  # this network
        "10.0.0.0/8",  # private
        "100.64.0.0/10",  # shared by customers of a carrier; a cloud's metadata (100.100.100.200)
        "127.0.0.0/8",  # loopback
        "169.254.0.0/16",  # link-local; the metadata of clouds (169.254.169.254)
        "172.16.0.0/12",  # private
        "192.0.0.0/24",  # protocol assignments
        "192.0.2.0/24",  # documentation
        "192.88.99.0/24",  # relays of 6to4
        "192.168.0.0/16",  # private
        "198.18.0.0/15",  # benchmarks
        "198.51.100.0/24",  # documentation
        "203.0.113.0/24",  # documentation
        "224.0.0.0/4",  # multicast
        "240.0.0.0/4",  # reserved, broadcast
    )
)
_PUBLIC_V6 = IPv6Network("2000::/3")
"""All that is handed out as global unicast; the rest is private, local, multicast, or reserved."""

_REFUSED_V6 = tuple(
    IPv6Network(network)
    for network in (
        "2001::/23",  # protocol assignments, Teredo among them: its addresses lead to IPv4 addresses by way of relays
        "2001:db8::/32",  # documentation
        "3fff::/20",  # documentation
    )
)
_MAPPED = IPv6Network("::ffff:0:0/96")
_NAT64 = IPv6Network("64:ff9b::/96")
_6TO4 = IPv6Network("2002::/16")

# What a host that the deployment names may have besides public addresses: never those where clouds tell secrets.
_OWN_V4 = tuple(map(IPv4Network, ("10.0.0.0/8", "127.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16")))
_OWN_V6 = tuple(map(IPv6Network, ("::1/128", "fc00::/7")))
_METADATA_V6 = IPv6Network("fd00:ec2::/32")


def is_public(address: Address) -> bool:
    """Whether the address is one of the public internet, also where it is an IPv4 address inside an IPv6 one."""
    if isinstance(address, IPv4Address):
        return not any(address in network for network in _REFUSED_V4)
    inside = _ipv4_inside(address)
    if inside is not None:
        return is_public(inside)
    return address in _PUBLIC_V6 and not any(address in network for network in _REFUSED_V6)


def is_own(address: Address) -> bool:
    """Whether the address is on this machine or in a private network."""
    if isinstance(address, IPv4Address):
        return any(address in network for network in _OWN_V4)
    inside = _ipv4_inside(address)
    if inside is not None:
        return is_own(inside)
    return any(address in network for network in _OWN_V6) and address not in _METADATA_V6


def may_connect(address: Address, host: str, named_hosts: Collection[str]) -> bool:
    """Whether `host` may be connected to at `address`; the hosts that a deployment names may be in its own network."""
    return is_public(address) or (spelled(host) in named_hosts and is_own(address))


def spelled(host: str) -> str:
    """A host's name as it is compared: in lower case, without the dot of the root."""
    return host.lower().rstrip(".")


def is_host(host: str) -> bool:
    """Whether `host` can be a host at all: an address, or a name that could be looked up. An international name may be
    written in its own letters, or as it is looked up (`xn--…`), and has to be one.
    """
    name = spelled(host)
    is_international = not name.isascii() or "xn--" in name
    try:
        looked_up = _looked_up(name) if is_international else name
    except UnicodeError:
        return False
    return literal(host) is not None or 0 < len(looked_up) <= MAX_HOST_CHARACTERS


def literal(host: str) -> Address | None:
    """The address that `host` itself is, in any of the spellings that systems understand; None for a name.

    `2130706433`, `0x7f.1` and `0177.0.0.1` are all 127.0.0.1.
    """
    try:
        return ipaddress.ip_address(host.strip("[]"))
    except ValueError:
        pass
    try:
        return IPv4Address(socket.inet_aton(host))
    except (OSError, ValueError):
        return None


def resolve(host: str, port: int, named_hosts: Collection[str]) -> list[str]:
    """The addresses of `host` that may be connected to, in the system's order.

    Raises SourceFailed when it has none, or when any of them is refused: a name that leads both outside and inside is
    not a mistake.
    """
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError) as error:
        passing = getattr(error, "errno", None) == socket.EAI_AGAIN
        raise SourceFailed("source_unreachable", f"no address is known for {host}", passing=passing) from error
    addresses = [str(entry[4][0]) for entry in found]
    for text in addresses:
        if not may_connect(ipaddress.ip_address(text), host, named_hosts):
            raise refused_address(host)
    return addresses


def refused_address(host: str) -> SourceFailed:
    """The refusal of a host in a network that is not the public's. What it resolves to is not told: whoever asks could
    map the inside by it.
    """
    detail = f"{host} is not an address of the public internet, and nothing is fetched from private networks"
    return SourceFailed("source_address_refused", detail)


def _looked_up(name: str) -> str:
    """An international name as it is looked up. Raises UnicodeError when it is none."""
    # Loaded when it is needed: it takes longer than all else that a request needs of this room.
    import idna  # noqa: PLC0415

    encoded = name if name.isascii() else idna.encode(name).decode("ascii")
    for label in encoded.split("."):
        if label.startswith("xn--"):
            idna.decode(label)
    return encoded


def _ipv4_inside(address: IPv6Address) -> IPv4Address | None:
    """The IPv4 address that packets for `address` would reach: mapped, translated (NAT64), or by 6to4."""
    if address in _MAPPED or address in _NAT64:
        return IPv4Address(int(address) & 0xFFFFFFFF)
    if address in _6TO4:
        return IPv4Address(int(address) >> 80 & 0xFFFFFFFF)
    return None
