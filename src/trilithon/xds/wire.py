"""Join bytes that are encoded already into larger protobuf messages, so that nothing is encoded twice."""

from __future__ import annotations

from collections.abc import Iterable
from hashlib import blake2b

# 64 bits: a version is compared with earlier versions of the same resource only.
_DIGEST_BYTES = 8
_LENGTH_DELIMITED = 2
_CONTINUES = 0x80
_SEVEN_BITS = 0x7F

# Field numbers of envoy.service.discovery.v3.DeltaDiscoveryResponse, of its Resource and of google.protobuf.Any.
_RESPONSE_RESOURCES, _RESPONSE_TYPE_URL, _RESPONSE_NONCE, _RESPONSE_REMOVED = 2, 4, 5, 6
_RESOURCE_VERSION, _RESOURCE_ANY, _RESOURCE_NAME = 1, 2, 3
_ANY_TYPE_URL, _ANY_VALUE = 1, 2


def digest(chunks: Iterable[bytes]) -> str:
    """A short hash of the joined chunks: the same however the bytes are cut."""
    hasher = blake2b(digest_size=_DIGEST_BYTES)
    for chunk in chunks:
        hasher.update(chunk)
    return hasher.hexdigest()


def varint(number: int) -> bytes:
    """A non-negative integer as protobuf writes it."""
    encoded = bytearray()
    while number > _SEVEN_BITS:
        encoded.append(number & _SEVEN_BITS | _CONTINUES)
        number >>= 7
    encoded.append(number)
    return bytes(encoded)


def header(field: int, length: int) -> bytes:
    """What stands before `length` bytes of a string, bytes or message field."""
    return varint(field << 3 | _LENGTH_DELIMITED) + varint(length)


def delimited(field: int, content: bytes) -> bytes:
    """One string, bytes or message field; an encoded message in a repeated field is one call for each element."""
    return header(field, len(content)) + content


def text(field: int, content: str) -> bytes:
    """One string field."""
    return delimited(field, content.encode())


def delta_resource(type_url: str, name: str, version: str, chunks: tuple[bytes, ...]) -> tuple[bytes, ...]:
    """One entry of a response's `resources`, as chunks: the given ones uncopied and a few bytes before them."""
    size = sum(map(len, chunks))
    inner = text(_ANY_TYPE_URL, type_url) + header(_ANY_VALUE, size)
    before = text(_RESOURCE_VERSION, version) + header(_RESOURCE_ANY, len(inner) + size) + inner
    after = text(_RESOURCE_NAME, name)
    return (header(_RESPONSE_RESOURCES, len(before) + size + len(after)) + before, *chunks, after)


def delta_response(type_url: str, nonce: str, resources: Iterable[tuple[bytes, ...]], removed: Iterable[str]) -> bytes:
    """A DeltaDiscoveryResponse. Each of `resources` comes from `delta_resource`."""
    parts: list[bytes] = []
    for resource in resources:
        parts.extend(resource)
    parts.append(text(_RESPONSE_TYPE_URL, type_url))
    parts.append(text(_RESPONSE_NONCE, nonce))
    parts.extend(text(_RESPONSE_REMOVED, name) for name in removed)
    return b"".join(parts)
