"""What is examined, in which order? Where one thing is away, what stands on it is left out."""

from collections.abc import AsyncIterator

from aiohttp import http_parser

from deploy.doctor.broker import examine_broker
from deploy.doctor.database import examine_database
from deploy.doctor.finding import Finding, fail, ok, warn
from shared.errors import SettingsError
from shared.settings import Settings


async def examine() -> AsyncIterator[Finding]:
    """Each finding as soon as it is made."""
    yield _http_parser()
    try:
        settings = Settings.from_env()
    except SettingsError as error:
        yield fail("settings", str(error), "correct the environment, then ask again")
        return
    for finding in _endpoints(settings):
        yield finding
    async for finding in examine_database(settings):
        yield finding
    async for finding in examine_broker(settings):
        yield finding


def _http_parser() -> Finding:
    if http_parser.HttpRequestParser is http_parser.HttpRequestParserPy:
        return fail(
            "http parser",
            "aiohttp is without its C parser",
            "unset AIOHTTP_NO_EXTENSIONS, or install its binary wheel; the ingress does not start",
        )
    return ok("http parser", "aiohttp has its C parser")


def _endpoints(settings: Settings) -> list[Finding]:
    """Secrets are known by their fingerprints, as in the logs."""
    if settings.webhook_secret is None and settings.config is None:
        return [
            warn(
                "endpoints", "no webhook secret", "set SIGLUME_WEBHOOK_SECRET where the ingress runs; workers need none"
            )
        ]
    try:
        doors, shops = settings.endpoints(), settings.shops()
    except SettingsError as error:
        return [fail("endpoints", str(error), "correct it: the ingress does not start")]
    findings = []
    for name, door in sorted(doors.items()):
        shop = shops[name]
        fingerprints = ", ".join(secret.fingerprint for secret in door.secrets)
        metered = "taken" if shop.allow_metered_payments else "go to review"
        told = f"secret {fingerprints}; merchant {shop.merchant or 'not checked'}; metered payments {metered}"
        if shop.merchant is None:
            variable = "SIGLUME_DIRECT_PAYMENT_MERCHANT" if name == "siglume" else f"merchant of [endpoints.{name}]"
            findings.append(
                warn(f"endpoint {name}", told, f"set {variable}, so that another shop's payment is noticed")
            )
        else:
            findings.append(ok(f"endpoint {name}", told))
    return findings
