"""Is this the password? Argon2id; what is stored opens nothing by itself."""

import asyncio
from functools import cache
from typing import Final

from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError, VerifyMismatchError

from shared.errors import KessaiError

SHORTEST, LONGEST = 12, 1024
"""Characters of a password."""

_HASHER: Final = PasswordHasher(time_cost=3, memory_cost=32 * 1024, parallelism=1)
"""32 MiB and some tens of milliseconds per try: expensive for a guesser, cheap for a person who logs in once a day."""


@cache
def _decoy() -> str:
    """Stands in for the hash of a name that does not exist, so that trying it takes as long as trying one that does."""
    return _HASHER.hash("the password of nobody")


class PasswordRefused(KessaiError):
    """A password that must not be set, and why."""


def hashed(password: str) -> str:
    """What the books keep of a password. Raises PasswordRefused when it is too short or too long."""
    if not SHORTEST <= len(password) <= LONGEST:
        raise PasswordRefused(f"a password must have {SHORTEST} to {LONGEST} characters: choose another")
    return _HASHER.hash(password)


def matches(password: str, password_hash: str) -> bool:
    try:
        return _HASHER.verify(password_hash, password[: LONGEST + 1])
    except (VerifyMismatchError, VerificationError, InvalidHashError):
        return False


class Verifier:
    """Verifies passwords in threads, a few at a time: each verification takes memory, and guessers cause many."""

    def __init__(self, *, at_once: int = 2) -> None:
        self._slots = asyncio.Semaphore(at_once)
        self._decoy = _decoy()

    async def matches(self, password: str, password_hash: str | None) -> bool:
        """Whether it is the password. False, after the same work, when there is no hash to compare with."""
        async with self._slots:
            right = await asyncio.to_thread(matches, password, password_hash or self._decoy)
        return right and password_hash is not None
