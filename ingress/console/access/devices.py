"""Has this browser logged in under this name before? Only a login gives out the cookie that says so.

Guessing from unknown browsers then locks out unknown browsers only (OWASP calls this a device cookie). The cookie alone
gives no access. Its seal is made with the stored hash, whose salt nobody outside knows: it needs no secret of its own,
and it becomes invalid when the password changes.
"""

import hashlib
import hmac
import secrets
from typing import Final

KEPT_SECONDS: Final = 180 * 24 * 60 * 60


def issue(name: str, password_hash: str) -> str:
    device = secrets.token_urlsafe(16)
    return f"{device}.{_seal(device, name, password_hash)}"


def known_device(cookie: str, name: str, password_hash: str) -> str | None:
    """Which browser this is, when it has logged in under the name since the password was set."""
    device, _, seal = cookie.partition(".")
    right = _seal(device, name, password_hash).encode()
    return device if hmac.compare_digest(seal.encode("utf-8", "replace"), right) else None


def _seal(device: str, name: str, password_hash: str) -> str:
    said = f"kessai device\0{device}\0{name}".encode("utf-8", "replace")
    return hmac.new(password_hash.encode(), said, hashlib.sha256).hexdigest()
