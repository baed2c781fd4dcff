"""``trilithon explain``: say what happens to a request, and why."""

from __future__ import annotations

from collections.abc import Sequence

import click

from trilithon.cli.command import PORT_OFFSETS, Command, output
from trilithon.cli.origin import Origin, origin


@click.command(
    cls=Command,
    examples=(
        "trilithon explain examples/hello GET http://127.0.0.1:8080/cart",
        "trilithon explain examples/hello GET http://127.0.0.1:8080/ -H 'Host: shop.test'",
        "trilithon explain manifests/ POST https://shop.test/pay --listener tls -o json",
        "trilithon explain --cluster GET http://shop.test/cart --listener infra/edge/http",
    ),
    exits={0: "there is an answer, whatever it says", 2: "the command was used wrongly"},
)
@origin
@click.argument("method")
@click.argument("url")
@click.option("-H", "--header", "headers", multiple=True, metavar="'NAME: VALUE'", help="A header of the request.")
@click.option("--listener", metavar="NAME", help="Ask this listener ([[NAMESPACE/]GATEWAY/]NAME), not the URL's port.")
@click.option("--port-offset", type=PORT_OFFSETS, default=0, help="The offset that the ports are served at.")
@output("text", "json")
def command(  # noqa: PLR0913, PLR0917 - click passes every option
    origin: Origin,
    method: str,
    url: str,
    headers: Sequence[str],
    listener: str | None,
    port_offset: int,
    output: str,
) -> int:
    """Say what happens to the request METHOD URL under the manifests in PATH..., and why.

    The answer names the listener, the virtual host, the route, the rule and the match, what the filters make of the
    request, the backends with their shares, or the redirect, or the status; then the candidates that lost, each with
    the first reason. Nothing is started and nothing is sent. The URL's scheme and port pick the listener.
    """
    from trilithon.cli import manifests
    from trilithon.cli.answer_text import as_json, as_text
    from trilithon.cli.printing import print_json
    from trilithon.inspect.explain import explain
    from trilithon.inspect.listening import UnknownListenerError
    from trilithon.inspect.request import BadRequestError, parse
    from trilithon.model.settings import Settings

    try:
        request = parse(method, url, headers)
        read = manifests.read(origin, Settings(port_offset=port_offset))
        decision = explain(read.translation, request, listener)
    except (BadRequestError, UnknownListenerError) as error:
        raise click.UsageError(str(error)) from error
    if output == "json":
        print_json(as_json(decision, request, read))
    else:
        for line in as_text(decision, request, read):
            click.echo(line)
    return 0
