"""Which webhook secrets do senders still sign with, and which one does Siglume sign with now? By fingerprint."""

from collections.abc import Mapping
from datetime import UTC, datetime

from aiohttp import web

from ingress.console.keyring import Keyring
from ingress.console.sections import Section, act, page
from ingress.console.visit import Failed, Visit
from shared.endpoints import Endpoint
from shared.errors import SettingsError
from shared.ledger import rotation, tallies
from shared.ledger.roles import Role
from shared.signing import known_fingerprints


async def list_keys(visit: Visit) -> web.Response:
    keyring = visit.services.keyring
    endpoints, fault = await _endpoints(keyring)
    heard = keyring.heard if keyring is not None else None
    async with visit.books() as connection:
        uses = await tallies.by_key(connection)
    signing = known_fingerprints(heard.signings) if heard is not None else {}
    keys = rotation.standings(endpoints, uses, signing, now=datetime.now(UTC))
    return visit.page("keys.html", keys=keys, heard=heard, may_ask=bool(endpoints), fault=fault)


async def _endpoints(keyring: Keyring | None) -> tuple[Mapping[str, Endpoint], str | None]:
    """And why they are not known."""
    if keyring is None:
        return {}, None
    try:
        return await keyring.endpoints(), None
    except SettingsError as error:
        return {}, str(error)


async def ask(visit: Visit) -> web.Response:
    """Changes nothing here; a form, so that no reload asks again."""
    if visit.services.keyring is None:
        raise Failed(404, "This console was told of no secret")
    await visit.services.keyring.ask()
    return visit.to("/keys")


SECTION = Section("Keys", "/keys", (page("/keys", list_keys), act("/keys/ask", ask, needs=Role.VIEWER)))
