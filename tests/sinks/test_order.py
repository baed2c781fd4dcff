"""Make before break: in which order a change reaches one Envoy."""

from __future__ import annotations

import pytest

from tests.sinks.playbook import play
from tests.sinks.test_session import SERVING

PORT_TAKEN = "cannot bind '127.0.0.1:80': Address already in use"


@pytest.mark.parametrize(
    "conversation",
    [
        pytest.param(
            """
            publish 2: CDS b=1 EDS b=1 RDS r=2 -CDS a -EDS a
            << CDS b=1
            >> EDS +b
            << EDS b=1
            >> EDS ack
            >> CDS ack
            << RDS r=2
            at: applied 1
            >> RDS ack
            at: applied 2
            wait 29
            wait 1
            << CDS -a
            >> EDS -a
            >> CDS ack
            at: counts 4 wanted, 4 held
            """,
            id="a route moves when its new cluster is warm, and the old cluster leaves after the grace",
        ),
        pytest.param(
            """
            publish 2: CDS a=2 RDS r=2
            << CDS a=2
            << EDS a=1
            >> EDS ack
            >> CDS ack
            << RDS r=2
            """,
            id="a changed cluster gets its endpoints once more, because it warms up again",
        ),
        pytest.param(
            """
            publish 2: EDS a=2 RDS r=2
            << EDS a=2
            >> EDS ack
            << RDS r=2
            """,
            id="a route waits for the endpoints published with it",
        ),
        pytest.param(
            """
            publish 2: CDS b=1 EDS b=1 RDS r=2
            << CDS b=1
            publish 3: EDS a=2
            << EDS a=2
            >> EDS ack
            publish 4: EDS a=3
            << EDS a=3
            """,
            id="endpoints never wait for a transaction",
        ),
        pytest.param(
            """
            publish 2: EDS a=2 RDS r=2
            << EDS a=2
            publish 3: EDS a=3
            >> EDS ack
            << EDS a=3
            << RDS r=2
            publish 4: EDS a=4 RDS r=4
            >> RDS ack
            at: applied 2
            >> EDS ack
            << EDS a=4
            >> EDS ack
            << RDS r=4
            >> RDS ack
            at: applied 4
            """,
            id="endpoints that change all the time do not hold up a route",
        ),
        pytest.param(
            """
            publish 2: CDS b=1 RDS r=2
            << CDS b=1
            publish 3: CDS c=1 RDS r=3
            publish 4: CDS d=1 RDS r=4
            >> CDS ack
            << CDS c=1 d=1
            << RDS r=2
            >> RDS ack
            at: applied 2
            >> CDS ack
            << RDS r=4
            >> RDS ack
            at: applied 4
            """,
            id="what is published during a transaction gathers for the next, and the first one gets through",
        ),
        pytest.param(
            """
            publish 2: LDS l=2 k=1 RDS r=2 t=1
            << LDS l=2 k=1
            >> RDS +t
            << RDS t=1
            >> LDS ack
            >> RDS ack
            << RDS r=2
            >> RDS ack
            at: applied 2
            """,
            id="listeners go before the tables in use, with the tables that only they will use",
        ),
        pytest.param(
            """
            publish 2: LDS k=1 -LDS l -RDS r
            << LDS k=1 -l
            >> RDS -r
            >> LDS ack
            at: applied 2
            """,
            id="a listener can take the address of another one: both changes are one response",
        ),
        pytest.param(
            """
            publish 2: CDS b=1 EDS b=1 RDS r=2 -CDS a -EDS a
            << CDS b=1
            >> EDS +b
            << EDS b=1
            >> EDS ack
            >> CDS ack
            << RDS r=2
            >> RDS ack
            wait 20
            publish 3: CDS a=1 EDS a=1
            wait 20
            """,
            id="a cluster wanted again in time stays, and nothing is sent",
        ),
        pytest.param(
            """
            publish 2: RDS r=2 -CDS a -EDS a
            << RDS r=2
            >> RDS ack
            wait 30
            << CDS -a
            publish 3: CDS a=1 EDS a=1 RDS r=3
            >> EDS -a
            >> CDS ack
            << CDS a=1
            >> EDS +a
            << EDS a=1
            >> EDS ack
            >> CDS ack
            << RDS r=3
            """,
            id="a cluster wanted again while its removal is on the way is made anew before a route moves to it",
        ),
        pytest.param(
            """
            publish 2: CDS b=1 RDS r=2
            << CDS b=1
            publish 3: RDS r=3 -CDS a -EDS a
            >> CDS ack
            << RDS r=2
            >> RDS ack
            << RDS r=3
            wait 60
            >> RDS ack
            wait 29
            wait 1
            << CDS -a
            """,
            id="the grace of a cluster begins when the routes that left it are acknowledged, not those before",
        ),
        pytest.param(
            """
            publish 2: CDS b=1 EDS b=1 RDS r=2
            << CDS b=1
            >> CDS nack b is bad
            << RDS r=2
            >> RDS ack
            at: applied 2
            at: rejected CDS b=1 b is bad
            """,
            id="a refused cluster does not keep the table: one backend fails, the other routes move",
        ),
        pytest.param(
            """
            publish 2: CDS b=1 EDS b=1 RDS r=2 -CDS a -EDS a
            << CDS b=1
            >> EDS +b
            << EDS b=1
            >> EDS ack
            >> CDS ack
            << RDS r=2
            >> RDS nack r is bad
            at: applied 2
            wait 300
            publish 3: RDS r=3
            << RDS r=3
            >> RDS ack
            wait 29
            wait 1
            << CDS -a
            """,
            id="while Envoy keeps a table because it refused the new one, the clusters of the old one stay",
        ),
        pytest.param(
            f"""
            publish 2: LDS k=1 -CDS a -EDS a
            << LDS k=1
            >> LDS nack {PORT_TAKEN}
            wait 1
            << LDS k=1
            >> LDS nack {PORT_TAKEN}
            wait 28
            << LDS k=1
            >> LDS nack {PORT_TAKEN}
            wait 1
            << CDS -a
            """,
            id="a refused listener that never was there keeps nothing",
        ),
        pytest.param(
            """
            publish 2: CDS b=1 EDS b=1
            << CDS b=1
            >> SDS +s
            << SDS -s
            publish 3: SDS s=1
            >> SDS ack
            << SDS s=1
            >> EDS +b
            << EDS b=1
            >> SDS ack
            >> EDS ack
            >> CDS ack
            at: applied 3
            """,
            id="a cluster's secret that comes late is sent when it exists",
        ),
        pytest.param(
            """
            publish 2: SRDS s=1 LDS l=2
            << LDS l=2
            >> SRDS
            << SRDS s=1
            >> SRDS ack
            >> LDS ack
            publish 3: CDS b=1 SRDS t=1 -SRDS s
            << CDS b=1
            >> CDS ack
            << SRDS t=1 -s
            >> SRDS ack
            at: applied 3
            """,
            id="scopes are routes: they wait for clusters, and a replaced one leaves with its replacement",
        ),
    ],
)
def test_change(conversation: str) -> None:
    play(SERVING + conversation)


@pytest.mark.parametrize(
    "conversation",
    [
        pytest.param(
            """
            publish 1: CDS a=1 LDS l=1
            >> LDS
            >> CDS
            << CDS a=1
            >> CDS ack
            << LDS l=1
            """,
            id="an empty answer is not given while the real one waits for its turn",
        ),
        pytest.param(
            """
            publish 1: CDS a=2 EDS a=1 LDS l=1 RDS r=2
            >> CDS have a=1
            << CDS a=2
            >> EDS +a have a=1
            << EDS a=1
            >> EDS ack
            >> CDS ack
            >> LDS have l=1
            >> RDS +r have r=1
            << RDS r=2
            """,
            id="a changed cluster of a reconnecting Envoy gets its endpoints although Envoy holds them",
        ),
        pytest.param(
            """
            publish 1: CDS a=2 EDS a=1 b=1
            >> EDS +a +b have a=1 b=1
            << EDS a=1 b=1
            >> CDS have a=2
            >> EDS ack
            at: counts 3 wanted, 3 held
            """,
            id="an Envoy that reconnects while clusters warm up gets the endpoints that they wait for",
        ),
        pytest.param(
            """
            >> EDS +a have a=1
            publish 1: CDS a=2 EDS a=1
            << EDS a=1
            """,
            id="the same when the Gateway becomes known only later",
        ),
        pytest.param(
            """
            >> CDS have a=1 b=1
            >> LDS have l=1 k=1
            >> RDS +r have r=1
            >> EDS +a +b have a=1 b=1
            wait 3600
            publish 1: CDS a=1 EDS a=1 LDS l=1 RDS r=1
            << LDS -k
            """,
            id="a serving Envoy keeps everything until its Gateway is known",
        ),
        pytest.param(
            """
            publish 1: CDS a=1 b=1 SRDS n=1 LDS l=1
            >> CDS have a=1
            << CDS b=1
            >> LDS have l=1
            >> SRDS have s=1
            >> CDS ack
            << SRDS n=1 -s
            """,
            id="after a reconnect a scope leaves with its replacement, not before",
        ),
        pytest.param(
            """
            publish 1: CDS a=1 b=1 LDS l=2 RDS r=2
            >> EDS +a have a=1
            << EDS -a
            >> LDS have l=1 k=1
            >> RDS +r have r=1
            >> EDS ack
            >> CDS have a=1
            << CDS b=1
            >> CDS ack
            << LDS l=2 -k
            >> LDS ack
            << RDS r=2
            """,
            id="and nothing moves before Envoy has said which clusters it has",
        ),
    ],
)
def test_start(conversation: str) -> None:
    play(conversation)
