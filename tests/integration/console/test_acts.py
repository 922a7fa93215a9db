"""Every act of the console needs its role, and a form that the console itself made."""

import re

from ingress.console.site import SECTIONS
from shared.ledger.database import Pool
from shared.ledger.roles import Role
from tests.integration.console.conftest import OpenBrowser
from tests.integration.console.furnished import furnish
from tests.integration.ledger.books import TestBooks

ACTS = [
    (re.sub(r"\{[a-z_]+\}", "1", route.path).replace("/groups/1", "/groups/{group}"), route.needs)
    for section in SECTIONS
    for route in section.routes
    if route.method == "POST" and route.path not in ("/login", "/logout")
]


async def test_no_act_is_done_without_the_role_and_the_forms_own_token(pool: Pool, open_browser: OpenBrowser) -> None:
    await furnish(pool, letters=3)
    books = TestBooks(pool)
    group = await pool.fetchval("SELECT group_id FROM kessai.dead_letters LIMIT 1")
    vera, ada = await open_browser("vera"), await open_browser("ada")
    before = await books.everything("orders", "reviews", "dead_letters", "replays", "notes", "users")
    token = (await vera.get("/")).form_token
    assert len(ACTS) > 20
    for path, needs in ACTS:
        assert (await ada.post(path.format(group=group), form_token="f" * 64, why="x", version="1")).status == 403, path
        if needs is not Role.VIEWER:
            refused = await vera.post(path.format(group=group), form_token=token, why="x", version="1")
            assert (refused.status, f"This needs the role {needs}" in refused.words) == (403, True), path
    assert await books.everything(*before) == before


async def test_what_a_viewer_may_not_do_is_shown_with_the_reason(pool: Pool, open_browser: OpenBrowser) -> None:
    await furnish(pool, letters=3)
    group = await pool.fetchval("SELECT group_id FROM kessai.dead_letters LIMIT 1")
    vera = await open_browser("vera")
    for path in (f"/dead-letters/groups/{group}", "/reviews/1", "/replays/2", "/dead-letters/1"):
        page = await vera.get(path)
        assert "This needs the role operator; your role is viewer." in page.words, path
        enabled = re.findall(r'<button type="submit" class="[a-z]*">([^<]*)</button>', page.text)
        assert enabled == [], path
