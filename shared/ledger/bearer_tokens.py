"""The form of our bearer tokens, and what the books keep of them: only the SHA-256."""

import hashlib
import re
import secrets
from datetime import timedelta
from typing import Final

TOKEN: Final = re.compile(r"kessai_[A-Za-z0-9_-]{43}", re.ASCII)
"""256 random bits; the beginning lets scanners of leaked secrets know it."""
USED_EVERY: Final = timedelta(minutes=1)
"""How exactly the last use of a token is known: a call that reads should cost no write."""


def fresh() -> str:
    return f"kessai_{secrets.token_urlsafe(32)}"


def digest(token: str) -> bytes:
    return hashlib.sha256(token.encode("utf-8", "surrogateescape")).digest()
