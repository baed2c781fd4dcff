"""Answer what the API server asks of a kubelet: logs; and tell execd how to enter a container."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import datetime

from aiohttp import web

from testcluster.kubelet.container import Keeper
from testcluster.kubelet.logs import Log, LogOptions, log_time, seconds_ago

# Finds a container by namespace, pod and name.
Find = Callable[[str, str, str], Keeper | None]


def application(find: Find) -> web.Application:
    """The kubelet's HTTP API, for execd in front of it."""
    app = web.Application()

    async def logs(request: web.Request) -> web.StreamResponse:
        return await _logs(request, _found(find, request))

    async def enter(request: web.Request) -> web.Response:
        keeper = _found(find, request)
        if keeper.process is None or not keeper.process.is_running:
            raise web.HTTPNotFound(text=f"container {keeper.container.name} does not run")
        return web.json_response(keeper.process.entrance)

    async def healthz(_: web.Request) -> web.Response:
        return web.Response(text="ok")

    app.router.add_get("/containerLogs/{namespace}/{pod}/{container}", logs)
    app.router.add_get("/enter/{namespace}/{pod}/{container}", enter)
    app.router.add_get("/healthz", healthz)
    return app


def _found(find: Find, request: web.Request) -> Keeper:
    namespace, pod, container = (request.match_info[name] for name in ("namespace", "pod", "container"))
    keeper = find(namespace, pod, container)
    if keeper is None:
        raise web.HTTPNotFound(text=f"there is no container {container} in pod {namespace}/{pod}")
    return keeper


async def _logs(request: web.Request, keeper: Keeper) -> web.StreamResponse:
    query = request.query
    log = _log(keeper, is_previous=_is_true(query, "previous"))
    try:
        options = _options(query)
    except ValueError as error:
        raise web.HTTPBadRequest(text=str(error)) from None
    response = web.StreamResponse(headers={"Content-Type": "text/plain; charset=utf-8"})
    await response.prepare(request)
    text, position = log.lines(options)
    await response.write(text)
    if _is_true(query, "follow"):
        async for more in log.follow(position, options):
            await response.write(more)
    await response.write_eof()
    return response


def _log(keeper: Keeper, *, is_previous: bool) -> Log:
    logs = keeper.logs[:-1] if is_previous else keeper.logs
    if logs:
        return logs[-1]
    which = "previous terminated " if is_previous else ""
    raise web.HTTPBadRequest(text=f"{which}container {keeper.container.name} has not run")


def _options(query: Mapping[str, str]) -> LogOptions:
    """The options of a request. Raises ValueError."""
    since = b""
    if asked := query.get("sinceTime"):
        since = log_time(datetime.fromisoformat(asked))
    elif asked := query.get("sinceSeconds"):
        since = seconds_ago(float(asked))
    tail, limit = query.get("tailLines"), query.get("limitBytes")
    return LogOptions(
        since=since,
        tail=int(tail) if tail else None,
        limit=int(limit) if limit else None,
        with_times=_is_true(query, "timestamps"),
    )


def _is_true(query: Mapping[str, str], name: str) -> bool:
    return query.get(name, "").lower() in ("true", "1")
