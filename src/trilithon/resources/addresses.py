"""What counts as an IP address or a network, to the API server."""

from __future__ import annotations

import ipaddress
import re

_LEADING_ZEROS = re.compile(r"\b0+(?=[0-9])")


def is_ip(text: str, *, version: int | None = None, leading_zeros: bool = False) -> bool:
    """Whether the text is an IPv4 or IPv6 address without a zone; with a version, whether it is one of that version.

    ``leading_zeros`` takes IPv4 octets such as 010 as decimal, the way the API server reads the format "ipv4".
    """
    if "%" in text or len(text) > 64:
        return False
    if leading_zeros and ":" not in text:
        text = _LEADING_ZEROS.sub("", text)
    try:
        address = ipaddress.ip_address(text)
    except ValueError:
        return False
    return version is None or address.version == version


def is_strict_ip(text: str) -> bool:
    """The same without an IPv4 address that is dressed up as an IPv6 one, which programs read in different ways."""
    return is_ip(text) and not _is_mapped(ipaddress.ip_address(text))


def is_network(text: str) -> bool:
    """Whether the text is a network such as 10.0.0.0/8, with nothing behind the prefix and no leading zeros."""
    address, _, bits = text.partition("/")
    if not is_strict_ip(address) or not bits.isascii() or not bits.isdecimal() or str(int(bits[:4])) != bits:
        return False
    try:
        ipaddress.ip_network(text)
    except ValueError:
        return False
    return True


def where_it_leads(text: str) -> str:
    """In words, where an IP address leads if it leads to no other host: "unspecified", "loopback", ...; or ""."""
    address = ipaddress.ip_address(text)
    if address.is_unspecified:
        return "unspecified"
    if address.is_loopback:
        return "loopback"
    if address.is_link_local:
        return "link-local"
    return "link-local multicast" if any(address in network for network in _LINK_MULTICAST) else ""


def _is_mapped(address: ipaddress.IPv4Address | ipaddress.IPv6Address) -> bool:
    return address.version == 6 and address.ipv4_mapped is not None


_LINK_MULTICAST = (ipaddress.ip_network("224.0.0.0/24"), ipaddress.ip_network("ff02::/16"))
