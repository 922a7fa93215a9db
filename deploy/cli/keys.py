"""`kessai keys`: the webhook secrets, their use, and which of them can be removed."""

from typing import TYPE_CHECKING

import typer

from deploy.cli.options import AsJson, OnlyEndpoint
from deploy.cli.output import print_json, print_table, say

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from shared.endpoints import Endpoint
    from shared.ledger.database import Connection
    from shared.ledger.rotation import KeyStanding
    from shared.ledger.tallies import KeyUse
    from shared.signing import Signing

app = typer.Typer(
    name="keys", help="List webhook secrets, their use, and which of them can be removed.", no_args_is_help=True
)

HEADINGS = ("endpoint", "fingerprint", "state", "from", "until", "first used", "last used", "24 h", "7 d", "30 d")


@app.command("list")
def list_keys(endpoint: OnlyEndpoint = None, as_json: AsJson = False) -> None:
    """List the fingerprint of every secret that is configured here or verified a delivery within 30 days."""
    found = _standings(_endpoints(endpoint), (), endpoint)
    if as_json:
        print_json(found)
        return
    print_table(
        (*HEADINGS, "given by", "removable?"),
        [(*_row(key), key.given_by, key.told) for key in found],
        empty="no secret is configured here, and none verified a delivery within 30 days",
    )


@app.command()
def check(endpoint: OnlyEndpoint = None, as_json: AsJson = False) -> None:
    """Ask Siglume which secret it signs with, and show which secrets can be removed, and why.

    Each secret is a line of the file of SIGLUME_WEBHOOK_SECRET_FILE, or an entry of KESSAI_CONFIG. After a change, send
    SIGHUP to the ingress.

    Exit code 1 when Siglume signs an endpoint's webhooks with a secret that is not live, or did not answer.
    """
    import asyncio

    from deploy.readiness.examine import PATIENCE
    from shared.settings import Settings
    from shared.signing import ask_all

    settings, endpoints = Settings.from_env(), _endpoints(endpoint, required=True)
    signings = asyncio.run(ask_all(settings.registrations(), endpoints, patience=PATIENCE))
    found = _standings(endpoints, signings, endpoint)
    faults = _faults(found, signings)
    if as_json:
        print_json({"ok": not faults, "siglume": [_as_json(each) for each in signings], "keys": found})
    else:
        print_table(
            (*HEADINGS, "Siglume signs", "removable?"),
            [(*_row(key), _YES_NO[key.is_signing], key.told) for key in found],
            empty="",
        )
        for fault in faults:
            say(fault)
    raise typer.Exit(1 if faults else 0)


def _endpoints(only: str | None, *, required: bool = False) -> "Mapping[str, Endpoint]":
    """Return the configured endpoints, or none when no secret is configured and none is required.

    Raises SettingsError and BadParameter.
    """
    from shared.settings import Settings

    settings = Settings.from_env()
    if not required and settings.webhook_secret is None and settings.config is None:
        return {}
    found = settings.endpoints()
    if only is not None and only not in found:
        raise typer.BadParameter(f"there is no endpoint {only!r} here: there are {', '.join(sorted(found))}")
    return {name: configured for name, configured in found.items() if only in (None, name)}


def _standings(
    endpoints: "Mapping[str, Endpoint]", signings: "Sequence[Signing]", only: str | None
) -> "list[KeyStanding]":
    from datetime import UTC, datetime

    from deploy.cli.books import with_books
    from shared.ledger import rotation, tallies
    from shared.signing import known_fingerprints

    async def used(connection: "Connection") -> "list[KeyUse]":
        return [use for use in await tallies.by_key(connection) if only in (None, use.endpoint)]

    return rotation.standings(endpoints, with_books(used), known_fingerprints(signings), now=datetime.now(UTC))


def _faults(keys: "Sequence[KeyStanding]", signings: "Sequence[Signing]") -> list[str]:
    faults = [f"endpoint {each.endpoint}: {each.fault}" for each in signings if each.fault is not None]
    faults += [
        f"endpoint {each.endpoint}: Siglume signs {', '.join(each.unknown)} with a secret that is not here: add it"
        for each in signings
        if each.unknown
    ]
    faults += [
        f"endpoint {key.endpoint}: Siglume signs with {key.fingerprint}, which is not live: make it live"
        for key in keys
        if key.is_signing and key.state != "live"
    ]
    return faults


def _row(key: "KeyStanding") -> tuple[object, ...]:
    when = (key.not_before, key.not_after, key.first_used, key.last_used)
    return key.endpoint, key.fingerprint, key.state, *when, key.day, key.week, key.month


def _as_json(signing: "Signing") -> dict[str, object]:
    return {
        "endpoint": signing.endpoint,
        "signs_with": sorted(signing.fingerprints),
        "unknown": signing.unknown,
        "fault": signing.fault,
    }


_YES_NO = {True: "yes", False: "no", None: None}
