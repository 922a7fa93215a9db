"""What became of the proof of each delivery that is kept?"""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Literal
from uuid import UUID

from shared.ledger.proof import Verdict, prove
from shared.ledger.receipts import Receipt
from shared.sdrp.signature import SigningSecret


@dataclass(frozen=True, slots=True)
class ProvedReceipt:
    """A receipt and what became of its proof."""

    endpoint: str
    receipt_id: UUID
    received_at: datetime
    kept_in: Literal["archive", "dead_letters"]
    verdict: Verdict
    signed_at: datetime | None
    key_fingerprint: str
    """Of the secret that verified it at the door."""
    proved_by: str | None
    """Fingerprint of the secret that vouches for the bytes now."""


def prove_receipts(
    endpoint: str, kept: Sequence[Receipt], secrets: Mapping[str, Sequence[SigningSecret]]
) -> list[ProvedReceipt]:
    """`secrets` are those of each endpoint."""
    return [
        ProvedReceipt(
            endpoint=endpoint,
            receipt_id=receipt.receipt_id,
            received_at=receipt.received_at,
            kept_in=receipt.kept_in,
            key_fingerprint=receipt.key_fingerprint,
            **asdict(prove(receipt.raw, receipt.signature, receipt.key_fingerprint, secrets=secrets.get(endpoint, ()))),
        )
        for receipt in kept
    ]
