"""`kessai readiness`: may this endpoint take payments? The official tool's checks, and Kessai's own."""

import re
import sys
from dataclasses import replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated

import typer

from deploy.cli.show import print_json, printable, say
from shared.endpoints import DEFAULT_ENDPOINT

if TYPE_CHECKING:
    from deploy.readiness.check import Check
    from deploy.readiness.examine import Depth
    from deploy.readiness.local import Question
    from shared.endpoints import EndpointKey
    from shared.settings import Settings

MARKS = {"pass": ("✓", "green"), "warn": ("!", "yellow"), "fail": ("✗", "red")}
WIDTH = 41
"""Of the longest name."""
CLEAR = "\r\x1b[2K"
"""The line that the cursor is in."""
SECRETS_FROM = 8
"""Characters; shorter ones stand in other words by chance, and protect nothing."""

Endpoint = Annotated[str, typer.Option(help="Whose secrets and merchant: an endpoint of the settings.")]
Merchant = Annotated[str | None, typer.Option(help="Merchant key; else SIGLUME_DIRECT_PAYMENT_MERCHANT.")]
Origin = Annotated[str | None, typer.Option(help="The shop's origin; else SHOP_PUBLIC_ORIGIN.")]
WebhookUrl = Annotated[str | None, typer.Option(help="How Siglume reaches the endpoint; else SHOP_WEBHOOK_URL.")]
Currency = Annotated[str, typer.Option(help="Of the probe: JPY or USD.", envvar="SIGLUME_DIRECT_PAYMENT_TEST_CURRENCY")]
AmountMinor = Annotated[
    int,
    typer.Option(
        help="Of the probe, in minor units; 0: the smallest of the standard band.",
        envvar="SIGLUME_DIRECT_PAYMENT_TEST_AMOUNT_MINOR",
    ),
]
BaseUrl = Annotated[str | None, typer.Option(help="Of Siglume's API; else SIGLUME_API_BASE.")]
IsSandbox = Annotated[bool, typer.Option("--sandbox", help="Ask a sandbox, as SIGLUME_ENV=sandbox does.")]
NoApi = Annotated[bool, typer.Option("--no-api", help="Do not ask Siglume; look at the settings and at Kessai alone.")]
NoProbe = Annotated[bool, typer.Option("--no-probe", help="Try nothing out; never found ready.")]
Json = Annotated[bool, typer.Option("--json", help="{ok, checks: [{name, status, message}]} when all is asked.")]


def readiness(
    endpoint: Endpoint = DEFAULT_ENDPOINT,
    merchant: Merchant = None,
    origin: Origin = None,
    webhook_url: WebhookUrl = None,
    currency: Currency = "JPY",
    amount_minor: AmountMinor = 0,
    base_url: BaseUrl = None,
    sandbox: IsSandbox = False,
    no_api: NoApi = False,
    no_probe: NoProbe = False,
    as_json: Json = False,
) -> None:
    """Ask whether payments can begin: settings, Siglume, a try of both ways, and Kessai itself.

    The checks of the official `siglume-check readiness` by their names and in their order, then Kessai's own, whose
    names begin with kessai_. A try opens a checkout session that nobody pays, and has Siglume send one test event.

    Those of Kessai: kessai_settings, kessai_http_parser, kessai_endpoints when there is none, else
    kessai_endpoint_NAME (its secrets by their fingerprints), kessai_database, kessai_clock, kessai_migrations,
    kessai_archive, kessai_outbox, kessai_open_work, kessai_broker, kessai_topology, kessai_queue_confirmations,
    kessai_queue_dead_letters and kessai_queue_replays; after a try kessai_probe_in_books and
    kessai_clock_against_siglume. What stands on something that is away is left out.

    Exit code: 0 when nothing failed (with --no-api: of what was asked), 1 when something did, 2 for wrong usage.
    """
    import asyncio

    from deploy.readiness.check import any_failed, failed
    from deploy.readiness.examine import Depth
    from shared.errors import SettingsError

    display = Display(as_json=as_json)
    stated = (merchant, origin, webhook_url)
    platform = "sandbox" if sandbox else None
    try:
        question = _question(endpoint, stated, (currency, amount_minor), platform=platform, api_base=base_url)
    except SettingsError as error:
        checks = [failed("kessai_settings", f"{error}.")]
        display.show(checks[0])
    else:
        checks = asyncio.run(_examined(question, Depth(not no_api, not no_probe), display))
    ok = not any_failed(checks)
    if as_json:
        print_json({"ok": ok, "checks": checks})
    else:
        say(_verdict(ok=ok, asked_siglume=not no_api))
    raise typer.Exit(0 if ok else 1)


def _question(
    endpoint: str,
    stated: tuple[str | None, str | None, str | None],
    probe: tuple[str, int],
    *,
    platform: str | None,
    api_base: str | None,
) -> "Question":
    """What is stated here goes before the settings. Raises SettingsError."""
    from deploy.readiness.local import Question, smallest_standard
    from shared.settings import Settings

    settings = Settings.from_env()
    known = settings.registrations(platform=platform, api_base=api_base)
    if endpoint not in known:
        raise typer.BadParameter(f"there is no endpoint {endpoint!r} here: there are {', '.join(sorted(known))}")
    currency = probe[0].strip().upper()
    keys, fault = _live_keys(settings, endpoint)
    return Question(
        registration=known[endpoint].stating(merchant=stated[0], origin=stated[1], webhook_url=stated[2]),
        keys=keys,
        keys_fault=fault,
        currency=currency,
        amount_minor=probe[1] or smallest_standard(currency),
    )


def _live_keys(settings: "Settings", endpoint: str) -> "tuple[tuple[EndpointKey, ...], str | None]":
    """Or what keeps them from being read."""
    from shared.errors import SettingsError

    try:
        door = settings.endpoints().get(endpoint)
    except SettingsError as error:
        return (), str(error)
    return (() if door is None else door.live_keys(datetime.now(UTC))), None


async def _examined(question: "Question", depth: "Depth", display: "Display") -> "list[Check]":
    from deploy.readiness.examine import examine

    display.hide(question)
    checks = []
    async for check in examine(question, depth, doing=display.doing):
        checks.append(struck := display.struck(check))
        display.show(struck)
    return checks


class Display:
    """Lines for a person as they come, and below them what is being done; nothing but the end for a script."""

    def __init__(self, *, as_json: bool) -> None:
        self._as_json = as_json
        self._moves = sys.stderr.isatty()
        self._known: re.Pattern[str] | None = None

    def hide(self, question: "Question") -> None:
        """Strike the token and the secrets out of whatever is shown, wherever it came from."""
        from shared.observe.redaction import literals

        token = question.registration.token
        texts = [key.secret.key.decode() for key in question.keys]
        texts += [token.get_secret_value()] if token is not None else []
        self._known = literals(text for text in texts if len(text) >= SECRETS_FROM)

    def struck(self, check: "Check") -> "Check":
        from shared.observe.redaction import redacted

        return replace(check, message=redacted(check.message, self._known))

    def doing(self, what: str) -> None:
        """On a terminal only, and gone when the next line comes."""
        if self._moves:
            sys.stderr.write(f"{CLEAR}… {what}")
            sys.stderr.flush()

    def show(self, check: "Check") -> None:
        if self._moves:
            sys.stderr.write(CLEAR)
            sys.stderr.flush()
        if not self._as_json:
            mark, colour = MARKS[check.status]
            typer.echo(f"{typer.style(mark, fg=colour)} {check.name:<{WIDTH}} {printable(check.message)}")
            sys.stdout.flush()


def _verdict(*, ok: bool, asked_siglume: bool) -> str:
    if not ok:
        return "not ready: see what is marked ✗"
    return "ready" if asked_siglume else "sound as far as that shows here; Siglume was not asked, and nothing was tried"
