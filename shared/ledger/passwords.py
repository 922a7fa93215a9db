"""Is this the password? Argon2id; what is stored opens nothing by itself."""

import asyncio
from typing import Final

from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError, VerifyMismatchError

from shared.errors import KessaiError

SHORTEST, LONGEST = 12, 1024
"""Characters of a password."""

_HASHER: Final = PasswordHasher(time_cost=3, memory_cost=32 * 1024, parallelism=1)
"""32 MiB and some tens of milliseconds a try: dear for who guesses, cheap for who logs in once a day."""

NOBODYS: Final = _HASHER.hash("the password of nobody")
"""Stands in for the hash of a name that is not there, so that asking for it takes as long as for one that is."""


class PasswordRefused(KessaiError):
    """A password that must not be set, and why."""


def hashed(password: str) -> str:
    """What the books keep of a password. Raises PasswordRefused when it is too short to keep anybody out."""
    if not SHORTEST <= len(password) <= LONGEST:
        raise PasswordRefused(f"a password must have {SHORTEST} to {LONGEST} characters: choose another")
    return _HASHER.hash(password)


def matches(password: str, password_hash: str) -> bool:
    try:
        return _HASHER.verify(password_hash, password[: LONGEST + 1])
    except (VerifyMismatchError, VerificationError, InvalidHashError):
        return False


class Verifier:
    """Verifies passwords beside the event loop, a few at a time: each takes memory, and guessers ask for many."""

    def __init__(self, *, at_once: int = 2) -> None:
        self._turns = asyncio.Semaphore(at_once)

    async def matches(self, password: str, password_hash: str | None) -> bool:
        """False, after the same work, when there is no hash to compare with."""
        async with self._turns:
            right = await asyncio.to_thread(matches, password, password_hash or NOBODYS)
        return right and password_hash is not None
