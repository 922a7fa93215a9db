"""How does `kessai sandbox` serve until a signal ends it?"""

from collections.abc import Callable, Mapping

import uvloop

from deploy.sandbox.sandbox import Options, Sandbox
from shared.stopping import stop_at_signals


def serve(options: Options, *, started: Callable[[Sandbox], None]) -> None:
    """Until SIGTERM or SIGINT. Raises CannotListen."""
    uvloop.run(_serve(options, started))


def environment(sandbox: Sandbox) -> Mapping[str, str]:
    """What a shop sets to talk to this sandbox; the first seven are those of the official one."""
    shop = sandbox.options.shop
    return {
        "SIGLUME_ENV": "sandbox",
        "SIGLUME_API_BASE": sandbox.base_url,
        "SIGLUME_DIRECT_PAYMENT_MERCHANT": shop.merchant,
        "SIGLUME_MERCHANT_AUTH_TOKEN": shop.token,
        "SIGLUME_WEBHOOK_SECRET": shop.webhook_secret,
        "SHOP_PUBLIC_ORIGIN": shop.origin,
        "SHOP_WEBHOOK_URL": shop.webhook_url or "",
        "SIGLUME_DIRECT_PAYMENT_CHALLENGE_SECRET": shop.challenge_secret,
    }


async def _serve(options: Options, started: Callable[[Sandbox], None]) -> None:
    stop = stop_at_signals()
    async with Sandbox(options) as sandbox:
        started(sandbox)
        await stop.wait()
