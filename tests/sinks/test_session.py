"""What one Envoy is told: subscriptions, reconnects, acknowledgements and refusals of delta xDS.

The sentences are those of https://www.envoyproxy.io/docs/envoy/latest/api-docs/xds_protocol (incremental xDS).
"""

from __future__ import annotations

import pytest

from tests.sinks.playbook import play

# A stream on which Envoy has everything of the first revision.
SERVING = """
    publish 1: CDS a=1 EDS a=1 LDS l=1 RDS r=1
    >> CDS
    << CDS a=1
    >> EDS +a
    << EDS a=1
    >> EDS ack
    >> CDS ack
    >> LDS
    << LDS l=1
    >> RDS +r
    << RDS r=1
    >> LDS ack
    >> RDS ack
    at: applied 1
"""


@pytest.mark.parametrize(
    "conversation",
    [
        pytest.param(SERVING, id="a fresh Envoy gets everything as it subscribes"),
        pytest.param(
            """
            >> CDS
            >> LDS
            publish 1: LDS l=1
            << CDS
            << LDS l=1
            """,
            id="nothing is said before the Gateway is published, not even that there is nothing",
        ),
        pytest.param(
            """
            publish 1:
            >> CDS
            << CDS
            >> CDS ack
            >> LDS
            << LDS
            >> LDS ack
            at: applied 1
            """,
            id="a Gateway with nothing says so, because Envoy waits for a first answer",
        ),
        pytest.param(
            """
            publish 1: CDS a=1 b=1
            >> CDS +*
            << CDS a=1 b=1
            >> CDS ack
            >> CDS -*
            publish 2: CDS a=2
            >> CDS +b
            << CDS b=1
            """,
            id="a star subscribes to everything and unsubscribes from it",
        ),
        pytest.param(
            """
            publish 1: EDS a=1
            >> EDS +a +b
            << EDS a=1 -b
            >> EDS ack
            publish 2: EDS b=1
            << EDS b=1
            """,
            id="a name that does not exist is reported as removed, and sent when it exists",
        ),
        pytest.param(
            """
            publish 1: EDS a=1
            >> EDS +a
            << EDS a=1
            >> EDS ack
            >> EDS +a
            << EDS a=1
            """,
            id="who subscribes once more gets it once more",
        ),
        pytest.param(
            """
            publish 1: EDS a=1 b=1
            >> EDS +a +b
            << EDS a=1 b=1
            >> EDS ack
            >> EDS -a
            publish 2: EDS a=2 b=2
            << EDS b=2
            """,
            id="what was unsubscribed is not sent",
        ),
        pytest.param(
            """
            publish 1: EDS a=1
            >> EDS +a
            << EDS a=1
            publish 2: EDS a=2
            publish 3: EDS a=3
            >> EDS ack
            << EDS a=3
            >> EDS ack
            """,
            id="at most one response of a type is outstanding, and the latest version wins",
        ),
        pytest.param(
            """
            publish 1: EDS a=1
            >> EDS +a
            << EDS a=1
            publish 2: EDS a=2
            >> EDS ack 17
            >> EDS ack
            << EDS a=2
            """,
            id="an answer to another response is ignored",
        ),
        pytest.param(
            """
            publish 1: EDS a=1
            >> EDS +a
            << EDS a=1
            >> EDS ack
            publish 2: EDS a=2
            << EDS a=2
            publish 3: EDS a=1
            >> EDS ack
            << EDS a=1
            """,
            id="a change taken back while it was on its way is sent back",
        ),
        pytest.param(
            """
            publish 1: CDS a=1 b=2 c=1 EDS a=1 b=1 c=1 LDS l=1 RDS r=1
            >> CDS have a=1 b=1 z=1
            << CDS b=2 c=1
            >> EDS +a +b +z have a=1 b=1 z=1
            << EDS b=1
            >> LDS have l=1 old=1
            >> RDS +r have r=1
            >> EDS ack
            >> EDS +c
            << EDS c=1
            >> EDS ack
            >> CDS ack
            << LDS -old
            >> LDS ack
            at: applied 1
            wait 29
            wait 1
            << CDS -z
            >> EDS -z
            >> CDS ack
            """,
            id="a reconnecting Envoy gets the difference: changed, new, and after the grace removed",
        ),
        pytest.param(
            """
            publish 1: CDS a=1
            >> CDS
            << CDS a=1
            >> SRDS
            << SRDS
            """,
            id="a type of which there is nothing is answered",
        ),
        pytest.param(
            """
            publish 1: CDS a=1 EDS a=1
            >> CDS
            << CDS a=1
            publish 2: -CDS a -EDS a
            >> EDS +a
            << EDS a=1
            """,
            id="a cluster that is withdrawn while it warms up still gets the endpoints that it waits for",
        ),
        pytest.param(
            """
            publish 1: CDS a=1 b=1 EDS a=1 b=1
            >> CDS
            << CDS a=1 b=1
            >> EDS +a
            << EDS a=1
            >> EDS +b
            publish 2: -CDS b -EDS b
            >> EDS ack
            << EDS b=1
            """,
            id="and also those that were owed to it already",
        ),
    ],
)
def test_conversation(conversation: str) -> None:
    play(conversation)


@pytest.mark.parametrize(
    "conversation",
    [
        pytest.param(
            """
            publish 1: CDS a=1 b=1 c=1 d=1
            >> CDS
            << CDS a=1 b=1 c=1 d=1
            >> CDS nack c is bad
            << CDS a=1 b=1
            at: rejected
            >> CDS ack
            << CDS c=1 d=1
            >> CDS nack c is bad
            << CDS c=1
            >> CDS nack c is bad
            << CDS d=1
            >> CDS ack
            at: rejected CDS c=1 c is bad
            at: counts 4 wanted, 3 held
            """,
            id="of a refused response all but the offender arrive",
        ),
        pytest.param(
            """
            publish 1: EDS a=1
            >> EDS +a
            << EDS a=1
            >> EDS nack bad
            publish 2: EDS b=1
            publish 3: EDS a=1
            at: rejected EDS a=1 bad
            publish 4: EDS a=2
            << EDS a=2
            at: rejected
            >> EDS ack
            """,
            id="what was refused is sent again when its content has changed, not before",
        ),
        pytest.param(
            """
            publish 1: EDS a=1
            >> EDS +a
            << EDS a=1
            >> EDS nack bad
            publish 2: -EDS a
            << EDS -a
            at: rejected
            """,
            id="a refused resource that is withdrawn is no problem any more",
        ),
        pytest.param(
            """
            publish 1: EDS a=1 b=1
            >> EDS +a +b
            << EDS a=1 b=1
            >> EDS ack
            publish 2: EDS a=2 b=2
            << EDS a=2 b=2
            >> EDS nack b is bad
            << EDS a=2
            publish 3: EDS a=1 b=1
            >> EDS ack
            << EDS b=1
            >> EDS ack
            << EDS a=1
            """,
            id="a refused response may have been applied in part, so going back is said aloud",
        ),
        pytest.param(
            """
            publish 1: EDS a=1
            >> EDS +a
            << EDS a=1
            publish 2: EDS a=2
            >> EDS nack bad
            << EDS a=2
            at: rejected
            """,
            id="a refusal of an older version does not hold for the newer one",
        ),
        pytest.param(
            SERVING
            + """
    publish 2: LDS l=2 k=1 -CDS a -EDS a
    << LDS l=2 k=1
    >> LDS nack Error adding/updating listener(s) k: cannot bind '127.0.0.1:80': Address already in use
    << LDS l=2
    >> LDS ack
    << LDS k=1
    >> LDS nack Error adding/updating listener(s) k: cannot bind '127.0.0.1:80': Address already in use
    at: acked LDS l=2 RDS r=1
    at: applied 2
    wait 1
    << LDS k=1
    at: rejected LDS k=1 Error adding/updating listener(s) k: cannot bind '127.0.0.1:80': Address already in use
    >> LDS nack cannot bind
    wait 1
    wait 1
    << LDS k=1
    >> LDS ack
    at: acked LDS k=1 LDS l=2 RDS r=1
    at: rejected
            """,
            id="a listener whose port is taken is tried again, less and less often",
        ),
        pytest.param(
            """
            publish 1: LDS l=1
            >> CDS
            << CDS
            >> LDS
            << LDS l=1
            >> LDS nack unknown filter
            wait 60
            """,
            id="a listener that is refused for its content is not",
        ),
        pytest.param(
            SERVING
            + """
    publish 2: LDS k=1 -LDS l
    << LDS k=1 -l
    >> LDS nack k is bad
    << LDS k=1
    >> LDS nack k is bad
    << LDS -l
    >> LDS ack
    at: acked RDS r=1
            """,
            id="a removal beside something refused is said again",
        ),
        pytest.param(
            """
            publish 1: SDS s=1
            >> SDS +s
            << SDS s=1
            >> SDS nack bad: goo.gle/debugstr name: "s" key: "PRIVATE" : Proto constraint validation failed (no chain)
            at: rejected SDS s=1 bad: Proto constraint validation failed (no chain)
            """,
            id="the reason is told without the message that Envoy dumps: it may hold a key",
        ),
    ],
)
def test_refusal(conversation: str) -> None:
    play(conversation)


@pytest.mark.parametrize(
    "conversation",
    [
        pytest.param(
            SERVING
            + """
    publish 2: RDS r=one.2
    << RDS r=one.2
    at: acked LDS l=1 RDS r=1
    >> RDS ack
    at: acked LDS l=1 RDS r=one
    publish 3: RDS r=one.3
    << RDS r=one.3
    at: acked LDS l=1 RDS r=one
    >> RDS ack
    publish 4: RDS r=two.4
    << RDS r=two.4
    >> RDS nack bad
    at: acked LDS l=1 RDS r=one
            """,
            id="routes that come and go leave a table at the shape that the listeners gave it",
        ),
        pytest.param(
            """
    publish 1: LDS l=1 RDS r=one.2
    >> CDS
    << CDS
    >> CDS ack
    >> LDS have l=1
    >> RDS +r have r=one.1
    << RDS r=one.2
    at: acked LDS l=1 RDS r=one
            """,
            id="the shape that Envoy has is known again on a new stream",
        ),
        pytest.param(
            """
    publish 1: LDS l=1 SDS s=1
    >> CDS
    << CDS
    >> CDS ack
    >> LDS
    << LDS l=1
    >> LDS ack
    >> SDS +s
    << SDS s=1
    at: acked LDS l=1
    >> SDS ack
    at: acked LDS l=1 SDS s=
    publish 2: SDS s=2
    << SDS s=2
    at: acked LDS l=1 SDS s=
            """,
            id="a secret counts once Envoy has it, at whatever version",
        ),
    ],
)
def test_what_counts_as_acknowledged(conversation: str) -> None:
    play(conversation)
