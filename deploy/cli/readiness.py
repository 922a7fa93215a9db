"""`kessai readiness`: checks whether an endpoint can take payments, as the official tool does and beyond it."""

import re
import sys
from dataclasses import replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated, NamedTuple

import typer

from deploy.cli.options import AsJson
from deploy.cli.output import print_json, printable, say
from shared.endpoints import DEFAULT_ENDPOINT

if TYPE_CHECKING:
    from deploy.readiness.check import Check
    from deploy.readiness.examine import Depth
    from deploy.readiness.local import Question
    from shared.endpoints import EndpointKey
    from shared.settings import Settings

MARKS = {"pass": ("✓", "green"), "warn": ("!", "yellow"), "fail": ("✗", "red")}
WIDTH = 41
"""Columns of the longest name."""
CLEAR = "\r\x1b[2K"
"""Clears the line of the cursor."""
SECRETS_FROM = 8
"""Characters; a shorter text occurs in other words by chance, and protects nothing."""

Endpoint = Annotated[str, typer.Option(help="Endpoint of the settings whose secrets and merchant are checked.")]
Merchant = Annotated[str | None, typer.Option(help="Merchant key; SIGLUME_DIRECT_PAYMENT_MERCHANT when omitted.")]
Origin = Annotated[str | None, typer.Option(help="Origin of the shop; SHOP_PUBLIC_ORIGIN when omitted.")]
WebhookUrl = Annotated[
    str | None, typer.Option(help="URL that Siglume posts webhooks to; SHOP_WEBHOOK_URL when omitted.")
]
Currency = Annotated[
    str, typer.Option(help="Currency of the probe: JPY or USD.", envvar="SIGLUME_DIRECT_PAYMENT_TEST_CURRENCY")
]
AmountMinor = Annotated[
    int,
    typer.Option(
        help="Amount of the probe in minor units; 0 stands for the smallest amount of the standard band.",
        envvar="SIGLUME_DIRECT_PAYMENT_TEST_AMOUNT_MINOR",
    ),
]
BaseUrl = Annotated[str | None, typer.Option(help="URL of Siglume's API; SIGLUME_API_BASE when omitted.")]
IsSandbox = Annotated[bool, typer.Option("--sandbox", help="Use a sandbox, as SIGLUME_ENV=sandbox does.")]
NoApi = Annotated[
    bool, typer.Option("--no-api", help="Send no request to Siglume: check only the settings and Kessai itself.")
]
NoProbe = Annotated[bool, typer.Option("--no-probe", help="Send no probe; the result is then never ready.")]


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
    as_json: AsJson = False,
) -> None:
    """Check whether payments can begin: the settings, Siglume, a probe of checkout and webhook, and Kessai itself.

    It runs the checks of the official `siglume-check readiness`, by their names and in their order, then Kessai's own.
    The probe opens a checkout session that nobody pays, and makes Siglume send one test event. --json prints
    {ok, checks: [{name, status, message}]}.

    Kessai's own checks are kessai_settings, kessai_http_parser, kessai_endpoints when there is none, else
    kessai_endpoint_NAME (its secrets by their fingerprints), kessai_database, kessai_clock, kessai_migrations,
    kessai_archive, kessai_outbox, kessai_open_work, kessai_broker, kessai_topology, kessai_queue_confirmations,
    kessai_queue_dead_letters and kessai_queue_replays; after a probe kessai_probe_in_books and
    kessai_clock_against_siglume. A check is omitted when what it needs is unavailable.

    Exit code 1 when a check failed; with --no-api, when one of the remaining checks failed.
    """
    from deploy.readiness.check import any_failed

    given = Given(
        endpoint, merchant, origin, webhook_url, currency, amount_minor, "sandbox" if sandbox else None, base_url
    )
    checks = _checks(given, Display(as_json=as_json), asks_platform=not no_api, probes=not no_probe)
    ok = not any_failed(checks)
    if as_json:
        print_json({"ok": ok, "checks": checks})
    else:
        say(_verdict(ok=ok, used_api=not no_api))
    raise typer.Exit(0 if ok else 1)


class Given(NamedTuple):
    """The options that override the settings; None where one is omitted."""

    endpoint: str
    merchant: str | None
    origin: str | None
    webhook_url: str | None
    currency: str
    amount_minor: int
    platform: str | None
    api_base: str | None


def _checks(given: Given, display: "Display", *, asks_platform: bool, probes: bool) -> "list[Check]":
    """Make all checks; settings that cannot be read are one failed check."""
    import asyncio

    from deploy.readiness.check import failed
    from deploy.readiness.examine import Depth
    from shared.errors import SettingsError

    try:
        question = _question(given)
    except SettingsError as error:
        unreadable = failed("kessai_settings", f"{error}.")
        display.show(unreadable)
        return [unreadable]
    return asyncio.run(_examined(question, Depth(asks_platform, probes), display))


def _question(given: Given) -> "Question":
    """Combine the options with the settings. Raises SettingsError and BadParameter."""
    from deploy.readiness.local import Question, smallest_standard
    from shared.settings import Settings

    settings = Settings.from_env()
    known = settings.registrations(platform=given.platform, api_base=given.api_base)
    if given.endpoint not in known:
        raise typer.BadParameter(f"there is no endpoint {given.endpoint!r} here: there are {', '.join(sorted(known))}")
    currency = given.currency.strip().upper()
    keys, fault = _live_keys(settings, given.endpoint)
    return Question(
        registration=known[given.endpoint].stating(
            merchant=given.merchant, origin=given.origin, webhook_url=given.webhook_url
        ),
        keys=keys,
        keys_fault=fault,
        currency=currency,
        amount_minor=given.amount_minor or smallest_standard(currency),
    )


def _live_keys(settings: "Settings", endpoint: str) -> "tuple[tuple[EndpointKey, ...], str | None]":
    """Return the live keys, or the error that prevents reading them."""
    from shared.errors import SettingsError

    try:
        configured = settings.endpoints().get(endpoint)
    except SettingsError as error:
        return (), str(error)
    return (() if configured is None else configured.live_keys(datetime.now(UTC))), None


async def _examined(question: "Question", depth: "Depth", display: "Display") -> "list[Check]":
    from deploy.readiness.examine import examine

    display.hide(question)
    checks = []
    async for check in examine(question, depth, report_step=display.doing):
        checks.append(safe := display.redacted(check))
        display.show(safe)
    return checks


class Display:
    """Prints each check when it is done, and the present step below; for --json it prints nothing."""

    def __init__(self, *, as_json: bool) -> None:
        self._as_json = as_json
        self._moves = sys.stderr.isatty()
        self._known: re.Pattern[str] | None = None

    def hide(self, question: "Question") -> None:
        """Redact the token and the secrets in all messages."""
        from shared.observe.redaction import literals

        token = question.registration.token
        texts = [key.secret.key.decode() for key in question.keys]
        texts += [token.get_secret_value()] if token is not None else []
        self._known = literals(text for text in texts if len(text) >= SECRETS_FROM)

    def redacted(self, check: "Check") -> "Check":
        from shared.observe.redaction import redacted

        return replace(check, message=redacted(check.message, self._known))

    def doing(self, what: str) -> None:
        """Show the present step on a terminal, until the next line replaces it."""
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


def _verdict(*, ok: bool, used_api: bool) -> str:
    if not ok:
        return "not ready: see the checks that are marked ✗"
    return "ready" if used_api else "no check failed here; Siglume was not contacted, and no probe was sent"
