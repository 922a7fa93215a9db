"""What does the TOML file of KESSAI_CONFIG say of each endpoint? One `[endpoints.<name>]` table a shop."""

import re
import tomllib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Final

from shared.errors import KessaiError, SettingsError
from shared.ledger.books import Shop
from shared.sdrp.challenge import normalize_merchant
from shared.sdrp.signature import SigningSecret

ENDPOINT_NAME: Final = re.compile(r"[a-z0-9][a-z0-9_-]{0,63}", re.ASCII)
KEYS: Final = frozenset(
    {
        *("secrets", "secret_files", "merchant", "allow_metered_payments"),
        *("merchant_auth_token_file", "challenge_secret_file", "origins", "success_url", "cancel_url"),
    }
)


def tables(path: Path | None) -> Iterator[tuple[str, Mapping[str, object], str, Path]]:
    """Each endpoint of the TOML file: its name, its table, how to name it in an error, and the file."""
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
        yield name, table, where, path


def shop_of(table: Mapping[str, object], where: str, *, default: Shop) -> Shop:
    """What the table leaves out is as `default` says: the environment still speaks for the default endpoint."""
    allow_metered = table.get("allow_metered_payments", default.allow_metered_payments)
    if not isinstance(allow_metered, bool):
        raise SettingsError(f"{where}: allow_metered_payments must be true or false")
    return Shop(merchant_key(table.get("merchant", default.merchant), f"{where}: merchant"), allow_metered)


def secrets_of(table: Mapping[str, object], where: str, *, beside: Path) -> tuple[SigningSecret, ...]:
    given, files = table.get("secrets", []), table.get("secret_files", [])
    if not isinstance(given, list) or not isinstance(files, list):
        raise SettingsError(f"{where}: secrets and secret_files must be lists")
    texts = [*given, *(read_secret_file(beside / str(file), f"{where}: secret_files") for file in files)]
    if not texts:
        raise SettingsError(f"{where}: no secret: list `secrets` or `secret_files`")
    return tuple(signing_secret(text, f"{where}: a secret") for text in texts)


def signing_secret(secret: object, named_by: str) -> SigningSecret:
    if not isinstance(secret, str) or not secret.strip():
        raise SettingsError(f"{named_by} is blank: an empty secret verifies anything that anyone signs; set whsec_...")
    try:
        return SigningSecret.from_text(secret)
    except KessaiError as error:
        raise SettingsError(f"{named_by}: {error}") from None


def merchant_key(value: object, named_by: str) -> str | None:
    if value is None:
        return None
    if not isinstance(value, str):
        raise SettingsError(f"{named_by} must be text")
    try:
        return normalize_merchant(value)
    except KessaiError as error:
        raise SettingsError(f"{named_by}: {error}") from None


def read_secret_file(path: Path, named_by: str) -> str:
    try:
        return path.read_text(encoding="utf-8").rstrip("\r\n")
    except (OSError, UnicodeDecodeError) as error:
        raise SettingsError(f"{named_by}: cannot read {path}: {type(error).__name__}") from None
