"""What counts as an IP address."""

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
