"""Volumes as pods name them, and where the files and values in them come from."""

from __future__ import annotations

from msgspec import Struct, field


class KeySelector(Struct, frozen=True):
    """One key of a ConfigMap or Secret."""

    key: str
    name: str = ""
    optional: bool = False


class ObjectSelector(Struct, frozen=True):
    """A whole ConfigMap or Secret."""

    name: str = ""
    optional: bool = False


class FieldRef(Struct, frozen=True, rename="camel"):
    """A field of the pod itself, such as ``metadata.name``."""

    field_path: str


class ResourceFieldRef(Struct, frozen=True, rename="camel"):
    """A request or limit of a container, in units of ``divisor``."""

    resource: str
    container_name: str = ""
    divisor: str = "0"


class EnvironmentSource(Struct, frozen=True, rename="camel"):
    """Where the value of one variable comes from; one field is set."""

    field_ref: FieldRef | None = None
    resource_field_ref: ResourceFieldRef | None = None
    config_map_key_ref: KeySelector | None = None
    secret_key_ref: KeySelector | None = None


class EnvironmentVariable(Struct, frozen=True, rename="camel"):
    """One variable."""

    name: str
    value: str = ""
    value_from: EnvironmentSource | None = None


class EnvironmentFrom(Struct, frozen=True, rename="camel"):
    """All keys of an object as variables."""

    prefix: str = ""
    config_map_ref: ObjectSelector | None = None
    secret_ref: ObjectSelector | None = None


class KeyToPath(Struct, frozen=True):
    """Where in a volume one key is written."""

    key: str
    path: str
    mode: int | None = None


class ConfigMapFiles(Struct, frozen=True, rename="camel"):
    """The keys of a ConfigMap as files."""

    name: str = ""
    items: tuple[KeyToPath, ...] = ()
    default_mode: int = 0o644
    optional: bool = False


class SecretFiles(Struct, frozen=True, rename="camel"):
    """The keys of a Secret as files; a projection says ``name``, a volume ``secretName``."""

    secret_name: str = ""
    name: str = ""
    items: tuple[KeyToPath, ...] = ()
    default_mode: int = 0o644
    optional: bool = False


class FieldFile(Struct, frozen=True, rename="camel"):
    """One field of the pod as a file."""

    path: str
    field_ref: FieldRef | None = None
    resource_field_ref: ResourceFieldRef | None = None
    mode: int | None = None


class FieldFiles(Struct, frozen=True, rename="camel"):
    """Fields of the pod as files."""

    items: tuple[FieldFile, ...] = ()
    default_mode: int = 0o644


class TokenFile(Struct, frozen=True, rename="camel"):
    """A token of the pod's service account, for an audience ("": the API server)."""

    path: str
    audience: str = ""
    expiration_seconds: int = 3600


class Projection(Struct, frozen=True, rename="camel"):
    """One part of a projected volume; one field is set."""

    config_map: ConfigMapFiles | None = None
    secret: SecretFiles | None = None
    downward_api: FieldFiles | None = field(name="downwardAPI", default=None)
    service_account_token: TokenFile | None = None


class Projected(Struct, frozen=True, rename="camel"):
    """Several sources in one folder."""

    sources: tuple[Projection, ...] = ()
    default_mode: int = 0o644


class HostPath(Struct, frozen=True):
    """A path of this machine."""

    path: str
    type: str = ""


class EmptyFolder(Struct, frozen=True):
    """A folder that lives as long as the pod."""


class Volume(Struct, frozen=True, rename="camel"):
    """A volume; a kind that is not known here leaves every field unset."""

    name: str
    config_map: ConfigMapFiles | None = None
    secret: SecretFiles | None = None
    downward_api: FieldFiles | None = field(name="downwardAPI", default=None)
    projected: Projected | None = None
    empty_dir: EmptyFolder | None = None
    host_path: HostPath | None = None


class VolumeMount(Struct, frozen=True, rename="camel"):
    """Where a container sees a volume."""

    name: str
    mount_path: str
    sub_path: str = ""
    sub_path_expr: str = ""
    read_only: bool = False
