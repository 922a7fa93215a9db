"""How are times, amounts and ids written in the platform's JSON?"""

import hashlib
from collections import Counter
from datetime import UTC, datetime
from decimal import Decimal
from typing import overload


@overload
def iso(moment: datetime) -> str: ...
@overload
def iso(moment: None) -> None: ...
def iso(moment: datetime | None) -> str | None:
    """`2026-11-20T12:00:00Z`, with microseconds where there are any."""
    return None if moment is None else moment.astimezone(UTC).replace(tzinfo=None).isoformat() + "Z"


def minor(amount: Decimal) -> str:
    """Minor units as a plain decimal text without needless zeros: `100`, `0.2`."""
    text = format(amount, "f")
    return text.rstrip("0").rstrip(".") if "." in text else text


def digest(*parts: str) -> str:
    """`sha256:<hex>` of the parts, a line each."""
    lines = "\n".join(parts)
    return f"sha256:{hashlib.sha256(lines.encode()).hexdigest()}"


def short(*parts: str, length: int = 16) -> str:
    """Hex digits that are computed from the parts."""
    return digest(*parts)[7 : 7 + length]


class Ids:
    """Ids that no other run of a sandbox gives out: books that outlive it must not see an id twice."""

    def __init__(self, run: str) -> None:
        self._run = run
        self._given: Counter[str] = Counter()

    def next(self, kind: str) -> str:
        """`chk_<run>_1`, `chk_<run>_2`, ..."""
        self._given[kind] += 1
        return f"{kind}_{self._run}_{self._given[kind]}"
