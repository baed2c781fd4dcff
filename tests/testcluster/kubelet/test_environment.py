"""What ``$(NAME)`` means in commands and variables."""

from __future__ import annotations

import pytest

from testcluster.kubelet.environment import expanded


@pytest.mark.parametrize(
    ("text", "meant"),
    [
        pytest.param("a-$(A)-b", "a-1-b", id="a name is replaced"),
        pytest.param("$(NONE)", "$(NONE)", id="an unknown one stays"),
        pytest.param("$$(A)", "$(A)", id="two dollars are one, and no name follows"),
        pytest.param("$A $( A", "$A $( A", id="nothing else is special"),
        pytest.param("$(A)$(A)", "11", id="each is replaced"),
    ],
)
def test_names_are_expanded(text: str, meant: str) -> None:
    """As the API describes it for ``command``, ``args`` and ``env``."""
    assert expanded(text, {"A": "1"}) == meant
