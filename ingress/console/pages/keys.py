"""Which webhook secrets do senders still sign with, and which one does Siglume sign with now? By fingerprint."""

from datetime import UTC, datetime

from aiohttp import web

from ingress.console.sections import Section, act, page
from ingress.console.visit import Failed, Visit
from shared.ledger import rotation, tallies
from shared.ledger.roles import Role
from shared.signing import known_fingerprints


async def list_keys(visit: Visit) -> web.Response:
    keyring = visit.services.keyring
    endpoints = await keyring.endpoints() if keyring is not None else {}
    heard = keyring.heard if keyring is not None else None
    async with visit.books() as connection:
        uses = await tallies.by_key(connection)
    signing = known_fingerprints(heard.signings) if heard is not None else {}
    keys = rotation.standings(endpoints, uses, signing, now=datetime.now(UTC))
    return visit.page("keys.html", keys=keys, heard=heard, may_ask=bool(endpoints))


async def ask(visit: Visit) -> web.Response:
    """Changes nothing here; a form, so that no reload asks again."""
    if visit.services.keyring is None:
        raise Failed(404, "This console was told of no secret")
    await visit.services.keyring.ask()
    return visit.to("/keys")


SECTION = Section("Keys", "/keys", (page("/keys", list_keys), act("/keys/ask", ask, needs=Role.VIEWER)))
