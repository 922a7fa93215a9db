"""What is examined, in which order? Checks are left out when a server that they need is unavailable."""

from collections.abc import AsyncIterator
from datetime import UTC, datetime

from aiohttp import http_parser

from deploy.doctor.broker import examine_broker
from deploy.doctor.database import examine_database
from deploy.doctor.finding import ENDPOINTS, HTTP_PARSER, SETTINGS, Finding, fail, of_endpoint, ok, warn
from shared.endpoints import DEFAULT_ENDPOINT, Endpoint
from shared.errors import SettingsError
from shared.settings import Settings


async def examine() -> AsyncIterator[Finding]:
    """Each finding as soon as it is made."""
    yield _http_parser()
    try:
        settings = Settings.from_env()
    except SettingsError as error:
        yield fail(SETTINGS, str(error), "correct the environment, then ask again")
        return
    if settings.unknown:
        yield warn(SETTINGS, "; ".join(settings.unknown), "correct the name, or unset it")
    for finding in _endpoints(settings):
        yield finding
    async for finding in examine_database(settings):
        yield finding
    async for finding in examine_broker(settings):
        yield finding


def _http_parser() -> Finding:
    if http_parser.HttpRequestParser is http_parser.HttpRequestParserPy:
        return fail(
            HTTP_PARSER,
            "aiohttp is without its C parser",
            "unset AIOHTTP_NO_EXTENSIONS, or install its binary wheel; the ingress does not start",
        )
    return ok(HTTP_PARSER, "aiohttp has its C parser")


def _endpoints(settings: Settings) -> list[Finding]:
    """Secrets are shown by their fingerprints, as in the logs."""
    if settings.webhook_secret is None and settings.config is None:
        return [
            warn(ENDPOINTS, "no webhook secret", "set SIGLUME_WEBHOOK_SECRET where the ingress runs; workers need none")
        ]
    try:
        endpoints, shops = settings.endpoints(), settings.shops()
    except SettingsError as error:
        return [fail(ENDPOINTS, str(error), "correct it: the ingress does not start")]
    findings = []
    now = datetime.now(UTC)
    for name, endpoint in sorted(endpoints.items()):
        shop = shops[name]
        metered = "taken" if shop.allow_metered_payments else "go to review"
        secrets = _fingerprints(endpoint, now)
        found = f"secret {secrets}; merchant {shop.merchant or 'not checked'}; metered payments {metered}"
        if not endpoint.live_keys(now):
            findings.append(
                fail(of_endpoint(name), found, "every webhook is refused: name a secret in KESSAI_CONFIG that is valid")
            )
        elif shop.merchant is None:
            variable = (
                "SIGLUME_DIRECT_PAYMENT_MERCHANT" if name == DEFAULT_ENDPOINT else f"merchant of [endpoints.{name}]"
            )
            findings.append(
                warn(of_endpoint(name), found, f"set {variable}, so that another shop's payment is noticed")
            )
        else:
            findings.append(ok(of_endpoint(name), found))
    return findings


def _fingerprints(endpoint: Endpoint, now: datetime) -> str:
    """All keys; those that are not valid now are marked."""
    fingerprints = []
    for key in endpoint.keys:
        window = "" if key.is_live(now) else " (over)" if key.is_over(now) else " (not valid yet)"
        fingerprints.append(f"{key.fingerprint}{window}")
    return ", ".join(fingerprints)
