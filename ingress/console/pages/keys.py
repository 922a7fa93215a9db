"""Which webhook secrets are still used, and which one does Siglume sign with now? Shown by fingerprint."""

from collections.abc import Mapping
from datetime import UTC, datetime

from aiohttp import web

from ingress.console.sections import Section, act, page
from ingress.console.visit import Failed, Visit
from ingress.console.webhook_keys import WebhookKeys
from shared.endpoints import Endpoint
from shared.errors import SettingsError
from shared.ledger import rotation, tallies
from shared.ledger.roles import Role
from shared.signing import known_fingerprints


async def list_keys(visit: Visit) -> web.Response:
    webhook_keys = visit.services.webhook_keys
    endpoints, fault = await _endpoints(webhook_keys)
    heard = webhook_keys.heard if webhook_keys is not None else None
    async with visit.books() as connection:
        uses = await tallies.by_key(connection)
    signing = known_fingerprints(heard.signings) if heard is not None else {}
    keys = rotation.standings(endpoints, uses, signing, now=datetime.now(UTC))
    return visit.page("keys.html", keys=keys, heard=heard, may_ask=bool(endpoints), fault=fault)


async def _endpoints(webhook_keys: WebhookKeys | None) -> tuple[Mapping[str, Endpoint], str | None]:
    """The endpoints by name, and why they are not known when they are not."""
    if webhook_keys is None:
        return {}, None
    try:
        return await webhook_keys.endpoints(), None
    except SettingsError as error:
        return {}, str(error)


async def ask(visit: Visit) -> web.Response:
    """Ask Siglume. This is a form, so that loading the page again does not ask again."""
    if visit.services.webhook_keys is None:
        raise Failed(404, "This console has no webhook secret")
    await visit.services.webhook_keys.ask()
    return visit.to("/keys")


SECTION = Section("Keys", "/keys", (page("/keys", list_keys), act("/keys/ask", ask, needs=Role.VIEWER)))
