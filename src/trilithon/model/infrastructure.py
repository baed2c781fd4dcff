"""What runs a Gateway: the objects that are generated for it, what came of them, and the addresses it has."""

from __future__ import annotations

from typing import Literal, NamedTuple

from msgspec import Struct

from trilithon.kube.objects import ObjectPath
from trilithon.resources.meta import Key
from trilithon.resources.problem import Problem


class Generated(Struct, frozen=True, gc=False):
    """One object that is generated for a Gateway.

    ``manifest`` is its JSON without what only the API server knows: the owner's uid. The object that ``is_identity``
    is a Secret whose data is made when it is applied.
    """

    path: ObjectPath
    manifest: bytes
    is_identity: bool = False


class Infrastructure(Struct, frozen=True, gc=False):
    """Everything that runs one Gateway, the first to be applied first.

    ``is_held`` says that not everything can be generated now, and that what is there stays: a mistake in a Gateway must
    not cost its address. Then ``objects`` are those that are kept right where they are there already. A Gateway that
    another controller serves has no row at all, and loses what was generated.
    """

    gateway: Key
    objects: tuple[Generated, ...] = ()
    is_held: bool = False


class Unapplied(Struct, frozen=True, gc=False):
    """An object that could not be applied: another has its name ("foreign"), or the API server refused it.

    ``object`` is its kind and name, ``why`` the reason in words.
    """

    object: str
    cause: Literal["foreign", "refused"]
    why: str


class Applied(Struct, frozen=True, gc=False):
    """What came of applying the generated objects of one Gateway; without ``unapplied`` all of them are there."""

    gateway: Key
    unapplied: tuple[Unapplied, ...] = ()


class Host(Struct, frozen=True, gc=False):
    """The address of this machine that the Envoy of one Gateway binds."""

    address: str


class BoundAddress(NamedTuple):
    """An address at which a Gateway is reached; ``type`` is IPAddress or Hostname."""

    type: str
    value: str

    def __str__(self) -> str:
        return self.value


class GatewayAddresses(Struct, frozen=True, gc=False):
    """Where a Gateway is reached, and what keeps it from being reached as it should."""

    gateway: Key
    addresses: tuple[BoundAddress, ...]
    problems: tuple[Problem, ...] = ()
