"""The traffic generator tells the truth: what fails is counted, and what is slow does not slow it down."""

from __future__ import annotations

import time

from tests.cluster.traffic import Running, Target
from tests.system.harness import free_port

HERE = "127.0.0.1"


def test_whoever_answers_is_counted_once_a_request() -> None:
    with Running(HERE, ("one", "two")) as running:
        targets = [Target(HERE, "a.test", port) for port in running.backends.ports.values()]
        began = time.monotonic()
        with running.traffic(targets, rate=200) as traffic:
            time.sleep(2.0)
        seconds = time.monotonic() - began
    assert traffic.verdict() == ""
    assert traffic.answered["one"] + traffic.answered["two"] == traffic.total
    assert abs(traffic.answered["one"] - traffic.answered["two"]) <= 1
    # Whoever was kept from beginning on time begins what is due, and never more than that.
    assert 200 * 2.0 * 0.6 <= traffic.total <= 200 * seconds + 2


def test_whoever_refuses_is_a_failure_with_its_reason() -> None:
    with Running(HERE, ("one",)) as running:
        targets = [Target(HERE, "a.test", running.backends.ports["one"]), Target(HERE, "b.test", free_port())]
        with running.traffic(targets, rate=100) as traffic:
            time.sleep(0.5)
    assert len(traffic.failures) == traffic.total // 2
    assert {failure.target.host for failure in traffic.failures} == {"b.test"}
    assert "Connection refused" in traffic.verdict() or "Connect call failed" in traffic.verdict()


def test_whoever_ends_connections_without_an_answer_is_a_failure() -> None:
    with Running(HERE, ("one",)) as running:
        port = running.backends.ports["one"]
        with running.traffic([Target(HERE, "a.test", port)], rate=100) as traffic:
            time.sleep(2.0)
            running.stop_backends()
            time.sleep(0.5)
    assert traffic.failures
    # What began long before was answered.
    assert min(failure.at for failure in traffic.failures) > 1.0
