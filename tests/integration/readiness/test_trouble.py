"""When Siglume is away, answers nonsense or takes its time; when the person stops; and what a terminal shows."""

import asyncio
import os
import pty
import re
import signal
import time
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path

import pytest
import pytest_asyncio
from aiohttp import web
from pydantic import SecretStr

from deploy.local.ports import LOOPBACK, free_ports
from deploy.readiness.examine import Depth, examine
from deploy.readiness.local import Question
from deploy.sandbox.sandbox import Sandbox
from deploy.sandbox.serve import environment
from shared.endpoints import EndpointKey
from shared.registrations import Registration
from shared.sdrp.signature import SigningSecret
from tests.integration.platform_api.platform import QUICK, TOKEN, Handler, Platform, data, platform, raw, refusal
from tests.integration.readiness.asking import kessai
from tests.programs import KESSAI, clean_environment

SECRET = "whsec_that_nobody_may_see"
ACCOUNT = {
    "merchant_account": {
        "merchant": "tea_house",
        "status": "active",
        "billing_status": "active",
        "billing_mandate_id": "mandate_1",
    }
}


@pytest_asyncio.fixture
async def there() -> AsyncIterator[Platform]:
    async with platform() as scripted:
        yield scripted


def settings(base_url: str) -> dict[str, str]:
    return {
        "SIGLUME_ENV": "sandbox",
        "SIGLUME_API_BASE": base_url,
        "SIGLUME_DIRECT_PAYMENT_MERCHANT": "tea_house",
        "SIGLUME_MERCHANT_AUTH_TOKEN": TOKEN,
        "SIGLUME_WEBHOOK_SECRET": SECRET,
        "SHOP_PUBLIC_ORIGIN": "https://tea.example",
        "SHOP_WEBHOOK_URL": "https://tea.example/webhooks/siglume",
    }


async def late(request: web.Request) -> web.StreamResponse:
    await asyncio.sleep(30)
    raise web.HTTPNoContent


async def found(there: Platform) -> dict[str, str]:
    """What failed, with little patience."""
    key = EndpointKey(SigningSecret.from_text(SECRET), "a test")
    registration = Registration(
        endpoint="siglume",
        is_sandbox=True,
        base_url=there.base_url,
        merchant="tea_house",
        token=SecretStr(TOKEN),
        origin="https://tea.example",
        webhook_url="https://tea.example/webhooks/siglume",
    )
    question = Question(registration, (key,), None, "JPY", 501)
    checks = [check async for check in examine(question, Depth(), report_step=lambda what: None, patience=QUICK)]
    failed = {each.name: each.message for each in checks if each.status == "fail" and "kessai" not in each.name}
    assert TOKEN not in repr(checks)
    assert SECRET not in repr(checks)
    return failed


@pytest.mark.parametrize(
    ("answer", "says"),
    [
        (refusal(401, "UNAUTHENTICATED"), "401 UNAUTHENTICATED"),
        (refusal(401, "UNAUTHENTICATED", f"token {TOKEN} and {SECRET} are unknown"), "401 UNAUTHENTICATED"),
        (refusal(404, "EXTERNAL_402_MERCHANT_NOT_FOUND"), "EXTERNAL_402_MERCHANT_NOT_FOUND"),
        (raw(b"<html>Welcome</html>", content_type="text/html"), "no JSON"),
        (raw(b"<html>Bad gateway</html>", status=502, content_type="text/html"), "502"),
        (raw(b"", status=302, headers={"Location": "https://elsewhere.example"}), "redirect"),
        (data([]), "is a list"),
        (data({"merchant_account": None}), "merchant_account"),
        (late, "repeat the call later"),
    ],
    ids=["401", "401 that repeats", "404", "html", "502", "redirect", "list", "empty", "late"],
)
async def test_a_platform_that_is_of_no_use_is_a_failed_check(there: Platform, answer: Handler, says: str) -> None:
    there.answers(answer)
    failed = await found(there)
    assert set(failed) == {"merchant_api"}
    assert says in failed["merchant_api"]


async def test_an_account_that_was_not_asked_for_is_none(there: Platform) -> None:
    there.answers(data({"merchant_account": {"merchant": "coffee_house", "status": "suspended"}}))
    assert set(await found(there)) == {
        *("merchant_exists", "billing_mandate", "billing_status_active", "merchant_status_active")
    }


@pytest.mark.parametrize("answer", [refusal(403), data({"subscriptions": []}), data([{"status": "active"}])])
async def test_subscriptions_that_cannot_be_read_are_a_failed_check(there: Platform, answer: Handler) -> None:
    there.answers(data(ACCOUNT), answer)
    assert set(await found(there)) == {"webhook_subscription_api"}


async def test_a_subscription_without_a_hint_vouches_for_no_secret(there: Platform) -> None:
    callback = "https://tea.example/webhooks/siglume"
    there.answers(data(ACCOUNT), data([{"id": "whsub_1", "status": "active", "callback_url": callback}]))
    assert set(await found(there)) == {"webhook_secret_matches_subscription_hint"}


async def test_a_platform_that_is_away_is_told_in_time() -> None:
    (nobody,) = free_ports(1)
    began = time.monotonic()
    told = await kessai(settings(f"http://{LOOPBACK}:{nobody}/v1"))
    assert set(told.failed) == {"merchant_api"}
    assert "no connection" in told.failed["merchant_api"]
    assert time.monotonic() - began < 30
    assert TOKEN not in told.text
    assert SECRET not in told.text


async def test_a_person_who_stops_leaves_no_trace_on_the_screen(there: Platform) -> None:
    there.answers(late)
    process = await asyncio.create_subprocess_exec(
        *(KESSAI, "readiness", "--json"),
        env=clean_environment() | settings(there.base_url),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    async with asyncio.timeout(30):
        while not there.received:
            await asyncio.sleep(0.05)
    process.send_signal(signal.SIGINT)
    out, err = await asyncio.wait_for(process.communicate(), 10)
    assert (process.returncode, out, err) == (130, b"", b"")


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (("--endpoint", "tea"), "no endpoint 'tea'"),
        (("--amount-minor", "many"), "--amount-minor"),
        (("--no-sandbox",), "--no-sandbox"),
    ],
)
async def test_wrong_usage_is_one_line_and_2(arguments: tuple[str, ...], says: str) -> None:
    process = await asyncio.create_subprocess_exec(
        *(str(KESSAI), "readiness", *arguments),
        env=clean_environment(),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    out, err = await process.communicate()
    assert (process.returncode, out) == (2, b"")
    assert says in err.decode()
    assert len(err.decode().splitlines()) == 1


async def test_settings_that_cannot_be_read_are_a_failed_check() -> None:
    told = await kessai({"KESSAI_BATCH_SIZE": "many"})
    assert [each["name"] for each in told.checks] == ["kessai_settings"]
    assert (told.ok, told.code) == (False, 1)
    assert "KESSAI_BATCH_SIZE" in told.checks[0]["message"]


@dataclass(frozen=True, slots=True)
class Seen:
    plain: str
    screen: str


async def seen(environ: dict[str, str]) -> Seen:
    """What goes to a pipe on stdout, and to a terminal on stderr."""
    ours, theirs = pty.openpty()
    try:
        process = await asyncio.create_subprocess_exec(
            *(KESSAI, "readiness"), env=clean_environment() | environ, stdout=asyncio.subprocess.PIPE, stderr=theirs
        )
        out, _ = await process.communicate()
        return Seen(out.decode(), os.read(ours, 1 << 16).decode())
    finally:
        os.close(ours)
        os.close(theirs)


async def test_a_terminal_shows_what_is_being_done_and_a_pipe_plain_lines(sandbox: Sandbox) -> None:
    found = await seen(dict(environment(sandbox)))
    steps = [line for line in re.split(r"\r\x1b\[2K", found.screen) if line.startswith("… ")]
    assert any("merchant" in step for step in steps)
    assert any("test event" in step for step in steps)
    assert found.screen.rstrip().endswith("not ready: see the checks that are marked ✗")
    assert "✓ hosted_checkout_probe" in found.plain
    assert "\x1b" not in found.plain


async def test_the_endpoint_of_a_file_is_asked_about_with_what_the_file_says(sandbox: Sandbox, tmp_path: Path) -> None:
    known = environment(sandbox)
    (tmp_path / "secret").write_text(f"{known['SIGLUME_WEBHOOK_SECRET']}\n")
    (tmp_path / "token").write_text(f"{known['SIGLUME_MERCHANT_AUTH_TOKEN']}\n")
    (tmp_path / "kessai.toml").write_text(
        f"""
        [endpoints.tea]
        secret_files = ["secret"]
        merchant = "{known["SIGLUME_DIRECT_PAYMENT_MERCHANT"]}"
        merchant_auth_token_file = "token"
        origins = ["{known["SHOP_PUBLIC_ORIGIN"]}"]
        webhook_url = "{known["SHOP_WEBHOOK_URL"]}"
        """
    )
    base = {"SIGLUME_ENV": "sandbox", "SIGLUME_API_BASE": sandbox.base_url}
    told = await kessai(base | {"KESSAI_CONFIG": str(tmp_path / "kessai.toml")}, "--endpoint", "tea")
    assert told.failed == {}
    assert "webhook_delivery_probe_passed" in told.statuses
    default = await kessai(base | {"KESSAI_CONFIG": str(tmp_path / "kessai.toml")})
    assert "merchant_key" in default.failed
