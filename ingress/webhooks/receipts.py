"""What names one receipt? A UUID that sorts by the time of receipt (RFC 9562, version 7 layout)."""

from random import Random
from uuid import UUID

_VERSION_7 = 0x7 << 76
_VARIANT = 0b10 << 62
_RANDOM_LOW = (1 << 62) - 1


def receipt_id(*, now: float, random: Random) -> UUID:
    """A fresh id for a receipt at `now` (unix seconds): 48 bits of milliseconds, then 74 random bits.

    An ordinary generator, seeded by the system, is enough and saves a system call: the id guards nothing.
    """
    bits = random.getrandbits(74)
    high, low = bits >> 62, bits & _RANDOM_LOW
    return UUID(int=int(now * 1000) << 80 | _VERSION_7 | high << 64 | _VARIANT | low)
