"""What does the TOML file of KESSAI_CONFIG set for each endpoint? It has one `[endpoints.<name>]` table per shop."""

import re
import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Final

from pydantic import SecretStr

from shared.endpoints import EndpointKey
from shared.errors import KessaiError, SettingsError
from shared.ledger.books import Shop
from shared.sdrp.challenge import normalize_merchant
from shared.sdrp.signature import SigningSecret

ENDPOINT_NAME: Final = re.compile(r"[a-z0-9][a-z0-9_-]{0,63}", re.ASCII)
KEYS: Final = frozenset(
    {
        *("secrets", "secret_files", "keys", "merchant", "allow_metered_payments"),
        *("merchant_auth_token_file", "provider_auth_token_file", "challenge_secret_file"),
        *("webhook_url", "origins", "success_url", "cancel_url"),
    }
)
KEY_KEYS: Final = frozenset({"secret", "secret_file", "not_before", "not_after"})


@dataclass(frozen=True, slots=True)
class EndpointTable:
    """The settings of one endpoint in the file. A value is checked, and a secret's file read, when it is accessed."""

    name: str
    where: str
    """The table, as an error names it."""
    beside: Path
    """The folder to which the paths of secret files are relative."""
    values: Mapping[str, object] = field(repr=False)

    def named(self, key: str) -> str:
        """A setting, as an error names it."""
        return f"{self.where}: {key}"

    def text(self, key: str) -> str | None:
        """Raises SettingsError."""
        value = self.values.get(key)
        if value is not None and not isinstance(value, str):
            raise SettingsError(f"{self.named(key)} must be text")
        return value

    def secret_of(self, key: str) -> SecretStr | None:
        """The secret in the file that the setting names. Raises SettingsError."""
        file = self.text(key)
        if file is None:
            return None
        secret = read_secret_file(self.beside / file, self.named(key))
        if not secret.strip():
            raise SettingsError(f"{self.where}: the file of {key} is blank: put the secret into it, or leave {key} out")
        return SecretStr(secret)

    @property
    def origins(self) -> list[str] | None:
        """Where buyers may be sent back to. Raises SettingsError."""
        origins = self.values.get("origins")
        if origins is not None and not isinstance(origins, list):
            raise SettingsError(f"{self.named('origins')} must be a list")
        return None if origins is None else [str(origin) for origin in origins]


def tables(path: Path | None) -> Iterator[EndpointTable]:
    """Each endpoint of the TOML file. Raises SettingsError."""
    if path is None:
        return
    try:
        document = tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise SettingsError(f"KESSAI_CONFIG: cannot read {path}: {error}") from None
    found = document.get("endpoints", {})
    if not isinstance(found, dict):
        raise SettingsError(f"KESSAI_CONFIG: `endpoints` in {path} must hold one table an endpoint")
    for name, table in found.items():
        where = f"{path}: [endpoints.{name}]"
        if not ENDPOINT_NAME.fullmatch(name):
            raise SettingsError(f"{where}: a name is 1 to 64 of a-z, 0-9, - and _, and begins with a letter or digit")
        if not isinstance(table, dict):
            raise SettingsError(f"{where} must be a table")
        unknown = set(table) - KEYS
        if unknown:
            raise SettingsError(f"{where}: unknown settings {', '.join(sorted(unknown))}")
        yield EndpointTable(name, where, path.parent, table)


def shop_of(table: EndpointTable, *, default: Shop) -> Shop:
    """The policy of the endpoint; what the table leaves out is taken from `default`. Raises SettingsError."""
    allow_metered = table.values.get("allow_metered_payments", default.allow_metered_payments)
    if not isinstance(allow_metered, bool):
        raise SettingsError(f"{table.where}: allow_metered_payments must be true or false")
    merchant = merchant_key(table.text("merchant"), table.named("merchant"))
    return Shop(default.merchant if merchant is None else merchant, allow_metered)


def keys_of(table: EndpointTable) -> tuple[EndpointKey, ...]:
    """Every secret of the endpoint; those with an end come last, so that their successor is counted first.

    Raises SettingsError.
    """
    where, beside = table.where, table.beside
    given, files, windowed = (table.values.get(name, []) for name in ("secrets", "secret_files", "keys"))
    if not isinstance(given, list) or not isinstance(files, list):
        raise SettingsError(f"{where}: secrets and secret_files must be lists")
    if not isinstance(windowed, list) or not all(isinstance(entry, dict) for entry in windowed):
        raise SettingsError(f"{where}: keys must be tables, as in [[endpoints.<name>.keys]]")
    keys = [
        *(EndpointKey(signing_secret(text, f"{where}: a secret"), f"{where}: secrets") for text in given),
        *(_key_of_file(beside / str(file), f"{where}: secret_files") for file in files),
        *(_key_of_table(entry, f"{where}: keys", beside=beside) for entry in windowed),
    ]
    if not keys:
        raise SettingsError(f"{where}: no secret: list `secrets`, `secret_files` or `keys`")
    windows: dict[str, EndpointKey] = {}
    for key in keys:
        known = windows.setdefault(key.fingerprint, key)
        if (known.not_before, known.not_after) != (key.not_before, key.not_after):
            raise SettingsError(f"{where}: secret {key.fingerprint} is given twice with two windows: keep one")
    return tuple(sorted(windows.values(), key=lambda key: key.not_after is not None))


def keys_of_lines(text: str, file: Path | None, *, named_by: str) -> tuple[EndpointKey, ...]:
    """Every secret of a file that holds one a line, in its order; without a file the text is one secret.

    Blank lines are ignored. A note between the secrets is refused, because everybody who guesses it could sign webhooks
    with it. Raises SettingsError.
    """
    if file is None:
        return (EndpointKey(signing_secret(text, named_by), named_by),)
    lines = [line.strip() for line in text.splitlines()]
    for number, line in enumerate(lines, start=1):
        if line.startswith("#") or len(line.split()) > 1:
            raise SettingsError(f"{named_by}: line {number} of {file} is not a secret: write one secret a line")
    keys = [EndpointKey(signing_secret(line, named_by), str(file)) for line in filter(None, lines)]
    if not keys:
        signing_secret(text, named_by)
    return tuple({key.fingerprint: key for key in keys}.values())


def _key_of_file(
    path: Path, named_by: str, *, not_before: datetime | None = None, not_after: datetime | None = None
) -> EndpointKey:
    secret = signing_secret(read_secret_file(path, named_by), f"{named_by}: {path}")
    return EndpointKey(secret, str(path), not_before, not_after)


def _key_of_table(table: Mapping[str, object], where: str, *, beside: Path) -> EndpointKey:
    unknown = set(table) - KEY_KEYS
    if unknown:
        raise SettingsError(f"{where}: unknown settings {', '.join(sorted(unknown))}")
    not_before, not_after = (_moment(table.get(name), f"{where}: {name}") for name in ("not_before", "not_after"))
    if not_before is not None and not_after is not None and not_after <= not_before:
        raise SettingsError(f"{where}: not_after must be later than not_before, or the secret is never valid")
    if ("secret" in table) == ("secret_file" in table):
        raise SettingsError(f"{where}: each needs either secret or secret_file")
    if "secret_file" in table:
        return _key_of_file(beside / str(table["secret_file"]), where, not_before=not_before, not_after=not_after)
    return EndpointKey(signing_secret(table["secret"], f"{where}: a secret"), where, not_before, not_after)


def _moment(value: object, named_by: str) -> datetime | None:
    if value is None:
        return None
    if not isinstance(value, datetime) or value.tzinfo is None:
        raise SettingsError(f"{named_by} must be a time with its offset from UTC, as in 2026-12-01T09:00:00Z")
    return value


def signing_secret(secret: object, named_by: str) -> SigningSecret:
    if not isinstance(secret, str) or not secret.strip():
        raise SettingsError(f"{named_by} is blank: an empty secret verifies anything that anyone signs; set whsec_...")
    try:
        return SigningSecret.from_text(secret)
    except KessaiError as error:
        raise SettingsError(f"{named_by}: {error}") from None


def merchant_key(value: str | None, named_by: str) -> str | None:
    if value is None:
        return None
    try:
        return normalize_merchant(value)
    except KessaiError as error:
        raise SettingsError(f"{named_by}: {error}") from None


def read_secret_file(path: Path, named_by: str) -> str:
    try:
        return path.read_text(encoding="utf-8").rstrip("\r\n")
    except (OSError, UnicodeDecodeError) as error:
        raise SettingsError(f"{named_by}: cannot read {path}: {type(error).__name__}") from None
