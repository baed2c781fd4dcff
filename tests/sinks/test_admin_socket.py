"""What counts as busy when an Envoy drains."""

from __future__ import annotations

import pytest

from trilithon.sinks.envoy.admin_socket import busy_in

IDLE = {
    "http.admin.downstream_rq_active": 1,
    "http.admin.downstream_cx_active": 2,
    "listener.admin.downstream_cx_active": 2,
    "listener.admin.main_thread.downstream_cx_active": 2,
    "http.trilithon-ready.downstream_rq_active": 1,
    "http.trilithon-ready.downstream_cx_active": 1,
    "listener.trilithon-ready.downstream_cx_active": 1,
    "listener.trilithon-ready.worker_0.downstream_cx_active": 1,
}


@pytest.mark.parametrize(
    ("stats", "busy"),
    [
        pytest.param({}, 0, id="whoever asks, and the kubelet, are no clients"),
        pytest.param({"http.l.downstream_rq_active": 3, "http.l.downstream_cx_active": 5}, 3, id="requests count"),
        pytest.param(
            {"http.l.downstream_cx_active": 5, "listener.0.0.0.0_80.downstream_cx_active": 5},
            0,
            id="an idle HTTP connection does not",
        ),
        pytest.param(
            {"listener.0.0.0.0_80.downstream_cx_active": 2, "listener.0.0.0.0_80.worker_0.downstream_cx_active": 2},
            2,
            id="a connection without HTTP does, once",
        ),
        pytest.param({"http.ready.downstream_rq_active": 1}, 1, id="a listener may be called ready"),
    ],
)
def test_what_clients_do_counts(stats: dict[str, int], busy: int) -> None:
    assert busy_in({**IDLE, **stats}) == busy
