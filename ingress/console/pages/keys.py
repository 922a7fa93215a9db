"""Which webhook secrets do senders still sign with? By fingerprint: that is all the books know of a secret."""

from aiohttp import web

from ingress.console.keys import judged
from ingress.console.sections import Section, page
from ingress.console.visit import Visit
from shared.ledger import tallies


async def list_keys(visit: Visit) -> web.Response:
    async with visit.books() as connection:
        uses = await tallies.by_key(connection)
    return visit.page("keys.html", keys=judged(uses))


SECTION = Section("Keys", "/keys", (page("/keys", list_keys),))
