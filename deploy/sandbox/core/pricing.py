"""What does a payment cost, and when does it settle? (SDRP pricing bands, as the platform decides them)"""

from dataclasses import dataclass
from decimal import Decimal
from types import MappingProxyType
from typing import Final

from shared.sdrp.classify import AGGREGATED_ONCHAIN, PENDING_SETTLEMENT, PER_PAYMENT_ONCHAIN, SETTLED
from shared.sdrp.money import CADENCES, Band, Cadence, Currency, band_for, protocol_fee

TOKENS: Final = MappingProxyType({Currency.JPY: "JPYC", Currency.USD: "USDC"})
THRESHOLD: Final = Decimal(10_000)
"""Minor units of unsettled gross at which a period closes and new usage is refused: JPY 10,000 and USD 100.00."""
FEE_BPS: Final = MappingProxyType({"launch": 180, "free": 180, "starter": 100, "growth": 70, "pro": 50})
"""Of a standard payment, by billing plan."""


@dataclass(frozen=True, slots=True)
class Price:
    """Of one payment, in minor units."""

    band: Band
    gross: Decimal
    """What the buyer pays."""
    fee_bps: int | None
    """Of the standard band."""
    fee: Decimal | None
    """Of the micro and nano bands, borne by the seller."""

    @property
    def is_metered(self) -> bool:
        return self.band is not Band.STANDARD

    @property
    def cadence(self) -> Cadence:
        return CADENCES[self.band]

    @property
    def finality(self) -> str:
        return AGGREGATED_ONCHAIN if self.is_metered else PER_PAYMENT_ONCHAIN

    @property
    def accepted_status(self) -> str:
        """The settlement status with which a payment is confirmed."""
        return PENDING_SETTLEMENT if self.is_metered else SETTLED

    @property
    def receivable(self) -> Decimal | None:
        """What a metered payment brings the seller; the standard band has its fee in basis points."""
        return None if self.fee is None else self.gross - self.fee


def price(amount_minor: int, currency: Currency, *, plan: str) -> Price:
    """Raises InvalidAmount."""
    band = band_for(amount_minor, currency)
    if band is Band.STANDARD:
        return Price(band, Decimal(amount_minor), FEE_BPS[plan], None)
    return Price(band, Decimal(amount_minor), None, protocol_fee(band, currency))
