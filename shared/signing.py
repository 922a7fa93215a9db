"""With which of our secrets does Siglume sign an endpoint's webhooks? Its subscriptions show how each secret ends."""

import asyncio
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from urllib.parse import urlsplit

from shared.endpoints import Endpoint
from shared.errors import KessaiError
from shared.registrations import Registration
from shared.sdrp.api.clients import MerchantClient
from shared.sdrp.api.retries import Patience
from shared.sdrp.api.transport import Transport
from shared.subscriptions import leading_to, signing_keys


@dataclass(frozen=True, slots=True)
class Signing:
    endpoint: str
    fingerprints: frozenset[str] = frozenset()
    """The fingerprints of our keys, live or not, with which Siglume signs."""
    unknown: tuple[str, ...] = ()
    """Ids of subscriptions that are signed with none of our keys."""
    fault: str | None = None
    """Why nothing is known; None when something is."""

    @property
    def is_known(self) -> bool:
        return self.fault is None


def known_fingerprints(signings: Iterable[Signing]) -> dict[str, frozenset[str]]:
    """The fingerprints by endpoint, for endpoints of which something is known."""
    return {each.endpoint: each.fingerprints for each in signings if each.is_known}


async def ask_all(
    registrations: Mapping[str, Registration], endpoints: Mapping[str, Endpoint], *, patience: Patience
) -> list[Signing]:
    """One result for each endpoint, sorted by name; Siglume is called for all at once."""
    names = sorted(endpoints)
    return list(await asyncio.gather(*(_ask(registrations[name], endpoints[name], patience) for name in names)))


async def _ask(registration: Registration, endpoint: Endpoint, patience: Patience) -> Signing:
    try:
        async with Transport(registration.access(), patience=patience) as transport:
            subscriptions = await MerchantClient(transport).list_webhook_subscriptions()
    except KessaiError as error:
        return Signing(endpoint.name, fault=str(error))
    here = leading_to(registration.webhook_url, endpoint.name, subscriptions)
    if not here:
        where = registration.webhook_url or f"a URL that ends with /webhooks/{endpoint.name}"
        return Signing(endpoint.name, fault=f"no active subscription leads to {where}")
    matched = {each: signing_keys(each, endpoint.keys) for each in here}
    ours = frozenset(key.fingerprint for keys in matched.values() for key in keys)
    unknown = [each for each, keys in matched.items() if not keys]
    if not registration.webhook_url and unknown:  # another host of the account may have a secret of its own
        if not ours:
            hosts = ", ".join(sorted({urlsplit(each.callback_url or "").hostname or "?" for each in unknown}))
            why = (
                f"webhooks to {hosts} are signed with no secret from here: set SHOP_WEBHOOK_URL, if one is this shop's"
            )
            return Signing(endpoint.name, fault=why)
        unknown = []
    return Signing(endpoint.name, ours, tuple(each.subscription_id for each in unknown))
