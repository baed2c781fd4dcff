"""Give a pod its volumes: fill them before it starts, and follow what they are made of while it runs."""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import Callable, Iterator
from pathlib import Path

from testcluster.kubelet.api import Api, Reference, Token
from testcluster.kubelet.atomic import write_volume
from testcluster.kubelet.fields import Place, field_of, resource_of
from testcluster.kubelet.objects import Pod
from testcluster.kubelet.payload import File, Files, files_of
from testcluster.kubelet.problems import CannotRun
from testcluster.kubelet.references import References
from testcluster.kubelet.security import sole_user
from testcluster.kubelet.volume_spec import (
    ConfigMapFiles,
    FieldFiles,
    KeyToPath,
    Projection,
    SecretFiles,
    TokenFile,
    Volume,
)
from trilithon.kube.errors import ApiError

# A token is renewed when this part of its life is over, as the kubelet does it.
_TOKEN_USE = 0.8
# What the API server refuses may be allowed later; nothing would tell.
_REFUSED_SECONDS = 2.0


class Volumes:
    """The volumes of one pod, in a folder; after ``pod`` is replaced by a later state of the pod, call ``look``."""

    def __init__(self, pod: Pod, folder: Path, api: Api, references: References, place: Callable[[], Place]) -> None:
        self.pod = pod
        self._folder = folder
        self._api = api
        self._references = references
        self._place = place
        self._bell = asyncio.Event()
        # By volume and path: the token, and when to replace it by another.
        self._tokens: dict[tuple[str, str], tuple[Token, float]] = {}
        self._is_filled: set[str] = set()

    def look(self) -> None:
        """Something of the pod itself changed."""
        self._bell.set()

    def path(self, name: str) -> Path:
        """Where a volume is on this machine. Raises CannotRun for one that there is not."""
        for volume in self.pod.spec.volumes:
            if volume.name == name:
                return Path(volume.host_path.path) if volume.host_path else self._folder / name
        raise CannotRun("CreateContainerConfigError", f"there is no volume {name}")

    def is_written(self, name: str) -> bool:
        """Whether a volume is written here alone, so that containers may only read it."""
        volume = next(each for each in self.pod.spec.volumes if each.name == name)
        return volume.empty_dir is None and volume.host_path is None

    async def follow(self, filled: asyncio.Event, waiting: Callable[[CannotRun], None]) -> None:
        """Fill all volumes, say so, and keep them current for ever; ``waiting`` hears why that takes longer."""
        with self._references.heard(_references(self.pod), self._bell):
            while True:
                self._bell.clear()
                problems = []
                is_refused = False
                for volume in self.pod.spec.volumes:
                    try:
                        await self._fill(volume)
                        self._is_filled.add(volume.name)
                    except CannotRun as problem:
                        problems.append(problem)
                    except ApiError as error:
                        is_refused = True
                        problems.append(CannotRun("ContainerCreating", f"volume {volume.name}: {error}"))
                if len(self._is_filled) == len(self.pod.spec.volumes):
                    # What is missing now was there: what was made of it stays.
                    filled.set()
                elif problems:
                    waiting(problems[0])
                await self._rest(_REFUSED_SECONDS if is_refused else None)

    async def _rest(self, longest: float | None) -> None:
        """Until there is something to do."""
        due = min((at for _, at in self._tokens.values()), default=None)
        if due is not None:
            until = max(1.0, due - time.time())
            longest = until if longest is None else min(longest, until)
        try:
            async with asyncio.timeout(longest):
                await self._bell.wait()
        except TimeoutError:
            return

    async def _fill(self, volume: Volume) -> None:
        folder = self._folder / volume.name
        group = self.pod.spec.security_context.fs_group
        if volume.host_path is not None:
            _host_path(Path(volume.host_path.path), volume.host_path.type)
            return
        if volume.empty_dir is not None:
            if volume.name not in self._is_filled:
                folder.mkdir(parents=True, exist_ok=True)
                os.chown(folder, -1, -1 if group is None else group)
                folder.chmod(0o777 if group is None else 0o2777)
            return
        files: dict[str, File] = {}
        for part, mode in _parts(volume):
            files.update(await self._files(volume.name, part, mode))
        folder.mkdir(parents=True, exist_ok=True)
        user = sole_user(self.pod.spec) if group is None and _has_token(volume) else None
        await asyncio.to_thread(write_volume, folder, files, user, group)

    async def _files(self, volume: str, part: Projection, mode: int) -> Files:
        if (source := part.config_map) is not None:
            reference = Reference("ConfigMap", self.pod.metadata.namespace, source.name)
            return await self._data_files(reference, source.items, mode, is_optional=source.optional)
        if (secret := part.secret) is not None:
            reference = Reference("Secret", self.pod.metadata.namespace, secret.secret_name or secret.name)
            return await self._data_files(reference, secret.items, mode, is_optional=secret.optional)
        if (fields := part.downward_api) is not None:
            return self._field_files(fields, mode)
        if (token := part.service_account_token) is not None:
            value = await self._token(volume, token)
            # Nobody but its user may read a token, where it is known who that is.
            is_private = self.pod.spec.security_context.fs_group is not None or sole_user(self.pod.spec) is not None
            return {token.path: File(value.encode(), 0o600 if is_private else mode)}
        raise CannotRun("ContainerCreating", f"volume {volume} has a source that is not supported")

    async def _data_files(
        self, reference: Reference, items: tuple[KeyToPath, ...], mode: int, *, is_optional: bool
    ) -> Files:
        data = await self._api.data(reference)
        if data is None and not is_optional:
            raise CannotRun("ContainerCreating", f"waiting for {reference}")
        return files_of(data or {}, items, mode, is_optional=is_optional)

    def _field_files(self, fields: FieldFiles, mode: int) -> Files:
        files = {}
        for item in fields.items:
            if item.field_ref is not None:
                text = field_of(self.pod, self._place(), item.field_ref)
            elif item.resource_field_ref is not None:
                text = resource_of(self.pod, item.resource_field_ref, "")
            else:
                continue
            files[item.path] = File(text.encode(), mode if item.mode is None else item.mode)
        return files

    async def _token(self, volume: str, wanted: TokenFile) -> str:
        key = (volume, wanted.path)
        held = self._tokens.get(key)
        if held is None or time.time() >= held[1]:
            token = await self._api.token(self.pod, wanted)
            life = token.expiration_timestamp.timestamp() - time.time()
            held = self._tokens[key] = (token, time.time() + life * _TOKEN_USE)
        return held[0].token


def _parts(volume: Volume) -> Iterator[tuple[Projection, int]]:
    """The sources of a volume that is written here, each with the mode of its files."""
    if volume.projected is not None:
        for source in volume.projected.sources:
            yield source, volume.projected.default_mode
    elif (config_map := volume.config_map) is not None:
        yield Projection(config_map=config_map), config_map.default_mode
    elif (secret := volume.secret) is not None:
        yield Projection(secret=secret), secret.default_mode
    elif (fields := volume.downward_api) is not None:
        yield Projection(downward_api=fields), fields.default_mode
    else:
        yield Projection(), 0


def _references(pod: Pod) -> Iterator[Reference]:
    namespace = pod.metadata.namespace
    for volume in pod.spec.volumes:
        for part, _ in _parts(volume):
            match part:
                case Projection(config_map=ConfigMapFiles(name=name)):
                    yield Reference("ConfigMap", namespace, name)
                case Projection(secret=SecretFiles(secret_name=long, name=short)):
                    yield Reference("Secret", namespace, long or short)
                case _:
                    continue


def _has_token(volume: Volume) -> bool:
    return any(part.service_account_token is not None for part, _ in _parts(volume))


def _host_path(path: Path, kind: str) -> None:
    if kind == "DirectoryOrCreate":
        path.mkdir(parents=True, exist_ok=True)
    elif kind == "FileOrCreate":
        path.touch()
    elif not path.exists():
        raise CannotRun("ContainerCreating", f"there is no {path}")
