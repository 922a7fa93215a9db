"""`kessai checkout`: the API with which a merchant's own systems start payments."""

from typing import Annotated

import typer

from deploy.cli.options import AdminHost, AdminPort

Host = Annotated[str, typer.Option(help="Address to serve at, in plain HTTP: put a proxy with TLS in front of it.")]
Port = Annotated[int, typer.Option(min=0, max=65535, help="Port to serve at; 0 picks a free one.")]


def checkout(
    host: Host = "127.0.0.1", port: Port = 8060, admin_host: AdminHost = "127.0.0.1", admin_port: AdminPort = 9060
) -> None:
    """Serve the API that starts payments.

    It takes PUT /orders/{order_id}, then POST /orders/{order_id}/checkout, or POST /challenges.

    Each call carries a token of `kessai checkout-clients add`; GET /openapi.json needs none and describes all calls.
    The command needs SIGLUME_DIRECT_PAYMENT_MERCHANT, and SIGLUME_MERCHANT_AUTH_TOKEN for Hosted Checkout, with
    SHOP_PUBLIC_ORIGIN as the origin that buyers may return to, or SIGLUME_DIRECT_PAYMENT_CHALLENGE_SECRET for
    challenges.
    """
    from ingress.checkout.app import run
    from ingress.serving import ListenAddress
    from shared.settings import Settings

    address = ListenAddress(host=host, port=port, admin_host=admin_host, admin_port=admin_port)
    run(Settings.from_env(), address)
