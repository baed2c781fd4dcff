"""What a volume holds of a ConfigMap or a Secret."""

from __future__ import annotations

import pytest

from testcluster.kubelet.payload import File, data_of, files_of
from testcluster.kubelet.problems import CannotRun
from testcluster.kubelet.volume_spec import KeyToPath


def test_secrets_and_binary_data_are_encoded_and_the_rest_is_not() -> None:
    """Either may have none."""
    assert data_of(b'{"kind": "ConfigMap", "data": {"a": "YQ=="}, "binaryData": {"b": "Yg=="}}') == {
        "a": b"YQ==",
        "b": b"b",
    }
    assert data_of(b'{"kind": "Secret", "data": {"a": "YQ=="}}') == {"a": b"a"}
    assert data_of(b'{"kind": "Secret"}') == {}


def test_all_keys_are_files_unless_some_are_chosen() -> None:
    """Those chosen have their path, and their own mode or the volume's."""
    data = {"a": b"1", "b": b"2"}
    assert files_of(data, (), 0o400, is_optional=False) == {"a": File(b"1", 0o400), "b": File(b"2", 0o400)}
    chosen = (KeyToPath("b", "x/y"), KeyToPath("a", "z", 0o600))
    assert files_of(data, chosen, 0o400, is_optional=False) == {"x/y": File(b"2", 0o400), "z": File(b"1", 0o600)}


def test_a_chosen_key_must_be_there_unless_it_may_be_missing() -> None:
    """Then it is left out."""
    chosen = (KeyToPath("a", "a"), KeyToPath("none", "none"))
    with pytest.raises(CannotRun, match="none"):
        files_of({"a": b""}, chosen, 0o400, is_optional=False)
    assert list(files_of({"a": b""}, chosen, 0o400, is_optional=True)) == ["a"]
