"""What does each layer of the ingress cost? Its own server with a handler that only verifies, or with an empty one.

`python -m deploy.bench.baselines verify|noop PORT`, configured by the environment like the ingress it is compared with.
"""

import asyncio
import signal
import sys

import uvloop
from aiohttp import web

from ingress.webhooks import replies
from ingress.webhooks.app import open_server
from ingress.webhooks.connection import Handler, Limits
from ingress.webhooks.metrics import IngressMetrics
from ingress.webhooks.receive import PATH, Refused, WebhookHandler
from shared.observe.listening import bind
from shared.observe.metrics import new_registry
from shared.settings import Settings


class NoSink:
    """Accepts nothing: a server that only verifies must never publish."""

    async def publish(self, body: bytes, *, exchange: str, routing_key: str) -> None:
        raise AssertionError("a baseline of the bench tried to publish")


def verifying(settings: Settings, metrics: IngressMetrics) -> Handler:
    """Answers 204 to every webhook that a live secret has signed; nothing is parsed or kept."""
    endpoints = settings.endpoints()
    handler = WebhookHandler(endpoints=endpoints, sink=NoSink(), metrics=metrics, max_body=settings.max_body)
    by_path = {PATH + name: endpoint for name, endpoint in endpoints.items()}

    async def handle(request: web.BaseRequest) -> web.StreamResponse:
        try:
            await handler.authenticate(request, by_path[request.raw_path])
        except Refused as refused:
            return refused.answer.to(request)
        return replies.ACCEPTED.to(request)

    return handle


async def empty_handler(request: web.BaseRequest) -> web.StreamResponse:
    return replies.ACCEPTED.to(request)


async def serve(what: str, port: int) -> None:
    settings, metrics = Settings.from_env(), IngressMetrics(new_registry())
    handler = verifying(settings, metrics) if what == "verify" else empty_handler
    stop = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stop.set)
    bound = bind("127.0.0.1", port)
    async with open_server(handler, bound, limits=Limits(), metrics=metrics, drain_seconds=0.5):
        await stop.wait()


if __name__ == "__main__":
    uvloop.run(serve(sys.argv[1], int(sys.argv[2])))
