"""Plan a container: its command, environment, files, mounts and identity, from what its pod says."""

from __future__ import annotations

import posixpath
import stat
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path, PurePosixPath

from msgspec import Struct

from testcluster.kubelet.environment import Environments, expanded
from testcluster.kubelet.fields import Place
from testcluster.kubelet.images import Image, Images
from testcluster.kubelet.launch import Create, Mount
from testcluster.kubelet.objects import Container, Pod
from testcluster.kubelet.problems import CannotRun
from testcluster.kubelet.security import identity_of, sysctls_of
from testcluster.kubelet.volumes import Volumes

# Folders that every container has for itself, and empty.
_EMPTY = (Path("/tmp"), Path("/run"))  # noqa: S108 - a name, not a file to be made


class Resolver(Struct, frozen=True):
    """The cluster's DNS: its address ("" if there is none) and the domain of its names."""

    address: str
    domain: str


class Planner:
    """Makes plans; ``programs`` are folders, or files in folders, whose programs containers must be able to run."""

    def __init__(
        self, images: Images, environments: Environments, resolver: Resolver, programs: Iterable[Path]
    ) -> None:
        self._images = images
        self._environments = environments
        self._resolver = resolver
        self._programs = tuple(programs)

    async def plan(
        self, pod: Pod, container: Container, place: Place, netns: str, volumes: Volumes, scratch: Path
    ) -> Create:
        """A new container of a pod. Raises CannotRun for what is missing or not allowed."""
        image = self._images.find(container.image)
        identity = identity_of(pod.spec, container, image.user if image else 0)
        home = "/root" if identity.user == 0 else "/"
        environment = await self._environments.of(pod, container, place, home)
        command = _command(container, image, environment)
        programs = _folders((*self._programs, *((Path(command[0]),) if command[0].startswith("/") else ())))
        layers = _layers(programs)
        return Create(
            scratch=str(scratch),
            netns=netns,
            hostname="" if pod.spec.host_network else pod.spec.hostname or pod.metadata.name,
            sysctls=sysctls_of(pod.spec),
            layers=[str(folder) for folder in layers],
            opened=sorted({str(path) for folder in programs for path in _closed(folder, layers)}),
            files=[("/etc/resolv.conf", self._resolv_conf(pod)), ("/etc/hosts", _hosts(pod, place))],
            mounts=list(_volume_mounts(container, volumes, environment)),
            read_only=container.security_context.read_only_root_filesystem,
            identity=identity,
            environment=environment,
            folder=container.working_dir or "/",
            command=command,
            told=-1,
        )

    def _resolv_conf(self, pod: Pod) -> str:
        own, cluster = pod.spec.dns_config, self._resolver
        servers, searches, options = list(own.nameservers), list(own.searches), ""
        if pod.spec.dns_policy != "None":
            # Without a resolver, one that refuses at once: an unreachable one costs many seconds per name.
            servers.insert(0, cluster.address or "127.0.0.1")
            domain = cluster.domain
            searches = [f"{pod.metadata.namespace}.svc.{domain}", f"svc.{domain}", domain, *searches]
            options = "options ndots:5\n"
        lines = [f"nameserver {server}\n" for server in servers]
        return "".join(lines) + (f"search {' '.join(searches)}\n" if searches else "") + options


def _command(container: Container, image: Image | None, environment: dict[str, str]) -> tuple[str, ...]:
    given = tuple(expanded(word, environment) for word in container.command)
    arguments = tuple(expanded(word, environment) for word in container.args)
    if given:
        return given + arguments
    if image is None:
        raise CannotRun("ErrImagePull", f"the table of images has no {container.image}")
    return image.command + arguments


def _volume_mounts(container: Container, volumes: Volumes, environment: dict[str, str]) -> Iterator[Mount]:
    # What is mounted below another mount must come after it.
    for mount in sorted(container.volume_mounts, key=lambda each: each.mount_path.count("/")):
        source = volumes.path(mount.name)
        below = mount.sub_path or expanded(mount.sub_path_expr, environment)
        if below:
            if ".." in PurePosixPath(below).parts or below.startswith("/"):
                raise CannotRun("CreateContainerConfigError", f"subPath {below} leads out of volume {mount.name}")
            source = source / below
            if not source.exists():
                source.mkdir(parents=True)
        is_read_only = mount.read_only or volumes.is_written(mount.name)
        yield Mount(str(source), posixpath.normpath(mount.mount_path), is_read_only)


def _hosts(pod: Pod, place: Place) -> str:
    lines = ["127.0.0.1 localhost", "::1 localhost"]
    name = pod.spec.hostname or pod.metadata.name
    if not pod.spec.host_network:
        lines.append(f"{place.address} {name}")
    lines.extend(f"{alias.ip} {' '.join(alias.hostnames)}" for alias in pod.spec.host_aliases)
    return "\n".join(lines) + "\n"


def program_folders(variables: Iterable[str]) -> Iterator[Path]:
    """Where programs are that this machine's pods run: the paths given, and what this interpreter needs."""
    for path in (*variables, sys.prefix, sys.base_prefix):
        if path.startswith("/"):
            yield Path(path)


def _folders(programs: Iterable[Path]) -> list[Path]:
    """The folders of programs, as named and as links lead to them; outer ones first."""
    found = set()
    for path in programs:
        for each in (path, path.resolve()):
            if each.exists():
                found.add(each if each.is_dir() else each.parent)
    return sorted(found)


def _is_hidden(folder: Path) -> bool:
    return any(folder.is_relative_to(empty) for empty in _EMPTY) or folder.stat().st_dev != Path("/").stat().st_dev


def _layers(folders: Iterable[Path]) -> list[Path]:
    """Those of the folders that a container would not see; not what is in another of them.

    Its /tmp and /run are empty, and other file systems than that of / are not in its layers.
    """
    layers: list[Path] = []
    for folder in sorted(folders):
        if _is_hidden(folder) and not any(folder.is_relative_to(layer) for layer in layers):
            layers.append(folder)
    return layers


def _closed(folder: Path, layers: Iterable[Path]) -> Iterator[Path]:
    """The folders on the way to a folder that others than their owner may not pass through."""
    for path in (folder, *folder.parents):
        is_seen = not _is_hidden(path) or any(path.is_relative_to(layer) for layer in layers)
        if is_seen and not path.stat().st_mode & stat.S_IXOTH:
            yield path
