"""The page of keys: windows, what Siglume says when somebody asks it, and that nobody waits for Siglume otherwise."""

import asyncio
import time
from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path

import pytest
import pytest_asyncio
from aiohttp import web

from ingress.console.webhook_keys import WebhookKeys
from shared.sdrp.api.retries import Patience
from shared.sdrp.signature import SigningSecret
from shared.settings import Settings
from tests.integration.console.conftest import OpenBrowser
from tests.integration.platform_api.platform import TOKEN, Platform, data, platform, refusal

OLD, NEW = "whsec_of_last_year_1111", "whsec_of_this_year_2222"
URL = "https://shop.example/webhooks/siglume"
HASTY = Patience(attempts=1, connect=0.5, attempt=0.5, deadline=0.5)


@pytest_asyncio.fixture
async def there() -> AsyncIterator[Platform]:
    async with platform() as scripted:
        yield scripted


def fingerprint(secret: str) -> str:
    return SigningSecret.from_text(secret).fingerprint


def webhook_keys(
    folder: Path, base_url: str, *, every: timedelta = timedelta(0), webhook_url: str | None = URL
) -> WebhookKeys:
    """Of a shop in the middle of a rotation."""
    for name, secret in (("old", OLD), ("new", NEW)):
        (folder / name).write_text(secret)
    config = folder / "kessai.toml"
    config.write_text(
        """
        [[endpoints.siglume.keys]]
        secret_file = "new"
        not_before = 2026-01-01T00:00:00Z
        [[endpoints.siglume.keys]]
        secret_file = "old"
        not_after = 2100-01-01T00:00:00Z
        """
    )
    environ = {
        "KESSAI_CONFIG": str(config),
        "SIGLUME_API_BASE": base_url,
        "SIGLUME_MERCHANT_AUTH_TOKEN": TOKEN,
    } | ({"SHOP_WEBHOOK_URL": webhook_url} if webhook_url else {})
    return WebhookKeys(lambda: Settings.from_env(environ), patience=HASTY, every=every)


def subscription(hint: str) -> dict[str, str]:
    return {"id": "whsub_1", "status": "active", "callback_url": URL, "signing_secret_hint": hint}


async def late(request: web.Request) -> web.StreamResponse:
    await asyncio.sleep(30)
    raise web.HTTPNoContent


async def test_windows_show_and_siglume_is_asked_by_a_button_alone(
    open_browser: OpenBrowser, there: Platform, tmp_path: Path
) -> None:
    there.answers(data([subscription("2222")]))
    vera = await open_browser("vera", webhook_keys=webhook_keys(tmp_path, there.base_url))
    before = await vera.get("/keys")
    assert there.received == []
    assert "Siglume was not asked yet" in before.words
    assert fingerprint(OLD) in before.words
    assert fingerprint(NEW) in before.words
    assert "2100-01-01" in before.text
    assert (await vera.act("/keys/ask", on="/keys")).status == 303
    after = await vera.get("/keys")
    assert len(there.received) == 1
    assert "Siglume signs with it: keep it." in after.words
    assert f"Keep it until {fingerprint(NEW)} has vouched" in after.words
    assert not any(secret in before.text + after.text for secret in (OLD, NEW, TOKEN, "2222"))


@pytest.mark.parametrize(
    ("answer", "says"),
    [
        (late, "not known"),
        (refusal(401, "UNAUTHENTICATED"), "401 UNAUTHENTICATED"),
        (data([]), "no active subscription leads to"),
        (data([subscription("3333")]), "whsub_1 is signed with a secret that is not configured here"),
    ],
    ids=["late", "401", "none", "another secret"],
)
async def test_a_siglume_that_is_of_no_use_is_told_and_soon(
    open_browser: OpenBrowser, there: Platform, tmp_path: Path, answer: object, says: str
) -> None:
    there.answers(answer)  # type: ignore[arg-type]
    vera = await open_browser("vera", webhook_keys=webhook_keys(tmp_path, there.base_url))
    began = time.monotonic()
    assert (await vera.act("/keys/ask", on="/keys")).status == 303
    assert says in (await vera.get("/keys")).words
    assert time.monotonic() - began < 10


async def test_impatient_people_share_one_answer(open_browser: OpenBrowser, there: Platform, tmp_path: Path) -> None:
    there.answers(data([subscription("2222")]))
    ring = webhook_keys(tmp_path, there.base_url, every=timedelta(minutes=1))
    await asyncio.gather(*(ring.ask() for _ in range(5)))
    await ring.ask()
    assert len(there.received) == 1


async def test_a_retired_secret_is_gone_from_the_page_without_a_restart(
    open_browser: OpenBrowser, there: Platform, tmp_path: Path
) -> None:
    vera = await open_browser("vera", webhook_keys=webhook_keys(tmp_path, there.base_url))
    assert fingerprint(OLD) in (await vera.get("/keys")).words
    (tmp_path / "kessai.toml").write_text('[endpoints.siglume]\nsecret_files = ["new"]\n')
    assert fingerprint(OLD) not in (await vera.get("/keys")).words


async def test_settings_that_cannot_be_read_are_told_and_hide_no_use(
    open_browser: OpenBrowser, there: Platform, tmp_path: Path
) -> None:
    vera = await open_browser("vera", webhook_keys=webhook_keys(tmp_path, there.base_url))
    (tmp_path / "kessai.toml").write_text("[endpoints.siglume\n")
    page = await vera.get("/keys")
    assert page.status == 200
    assert "cannot tell which secrets are live: KESSAI_CONFIG: cannot read" in page.words


@pytest.mark.parametrize(
    ("hints", "says"),
    [
        (("2222", "3333"), f"signed with {fingerprint(NEW)}"),
        (("3333", "4444"), "signed with no secret from here: set SHOP_WEBHOOK_URL"),
    ],
    ids=["ours and another host's", "another host's alone"],
)
async def test_nobody_is_told_to_add_the_secret_of_another_host(
    open_browser: OpenBrowser, there: Platform, tmp_path: Path, hints: tuple[str, ...], says: str
) -> None:
    """Where this shop's URL is not known."""
    there.answers(data([subscription(hint) | {"id": hint} for hint in hints]))
    vera = await open_browser("vera", webhook_keys=webhook_keys(tmp_path, there.base_url, webhook_url=None))
    assert (await vera.act("/keys/ask", on="/keys")).status == 303
    words = (await vera.get("/keys")).words
    assert says in words
    assert "that is not configured here" not in words


async def test_a_console_without_secrets_shows_what_was_used_and_asks_nobody(open_browser: OpenBrowser) -> None:
    vera = await open_browser("vera", webhook_keys=WebhookKeys(lambda: Settings.from_env({})))
    page = await vera.get("/keys")
    assert page.status == 200
    assert "Ask Siglume" not in page.words
