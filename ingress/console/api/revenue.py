"""What came in, what is still expected or lost, and is it all explained? As `kessai revenue` tells it.

The shapes here tell the document what `Report.as_json` and `Exposure.as_json` make; amounts are text.
"""

import asyncio
from dataclasses import dataclass
from datetime import datetime
from typing import Annotated, Any, Final

from pydantic import BeforeValidator, Field

from ingress.api.inputs import MAX_LIMIT, Input, Text, invalid, number
from ingress.api.operation import Listed, Thing
from ingress.api.problems import Fault
from ingress.console.api.call import Call, Page
from ingress.console.api.operation import AnyOperation, read
from shared.ledger.revenue.explanations import Standing
from shared.ledger.revenue.exposure import Level
from shared.ledger.revenue.periods import InvalidPeriod, Period

Amount = Annotated[
    str, Field(pattern=r"^-?[0-9]+(\.[0-9]+)?$", description="Minor units of its currency, to the last digit.")
]


@dataclass(frozen=True, slots=True)
class RevenuePeriod:
    name: str
    since: datetime
    until: datetime


@dataclass(frozen=True, slots=True)
class StandardMoney:
    orders: int
    gross_minor: Amount


@dataclass(frozen=True, slots=True)
class MeteredMoney:
    payments: int
    gross_minor: Amount
    fee_minor: Amount
    receivable_minor: Amount


@dataclass(frozen=True, slots=True)
class ReceivedMoney:
    batches: int
    gross_minor: Amount
    fee_minor: Amount
    receivable_minor: Amount


@dataclass(frozen=True, slots=True)
class MeteredTotal:
    settled: MeteredMoney
    unsettled: MeteredMoney
    past_due: MeteredMoney
    uncollectible: MeteredMoney
    written_off: MeteredMoney


@dataclass(frozen=True, slots=True)
class MeteredBand(MeteredTotal):
    pricing_band: str
    token_symbol: str
    unknown_states: dict[str, MeteredMoney]
    received: ReceivedMoney


@dataclass(frozen=True, slots=True)
class ControlSum:
    payments: int
    gross_minor: Amount


@dataclass(frozen=True, slots=True)
class Compared:
    webhooks: ControlSum
    statements: ControlSum
    in_review_minor: Amount
    accepted_minor: Amount
    unexplained_minor: Amount


@dataclass(frozen=True, slots=True)
class RevenueCurrency:
    currency: str
    standard: StandardMoney
    standard_in_review: ControlSum
    metered: list[MeteredBand]
    metered_total: MeteredTotal
    compared: Compared | None


@dataclass(frozen=True, slots=True)
class RevenueDifference:
    reason: str
    about: str
    at: datetime
    standing: Standing
    review_id: int | None
    currency: str
    in_doubt_minor: Amount


@dataclass(frozen=True, slots=True)
class StatedSum:
    endpoint: str
    token_symbol: str
    kind: str
    stated_minor: Amount
    booked_minor: Amount | None
    stated_at: datetime


@dataclass(frozen=True, slots=True)
class RevenueReport:
    period: RevenuePeriod
    as_of: datetime
    endpoints: list[str]
    compared_until: datetime | None
    not_compared: list[str]
    is_explained: bool
    currencies: list[RevenueCurrency]
    differences: list[RevenueDifference]
    summaries: list[StatedSum]


@dataclass(frozen=True, slots=True)
class BuyerExposure:
    endpoint: str
    buyer_period_ref: str | None
    pricing_band: str
    token_symbol: str | None
    currency: str | None
    level: Level
    exposure_minor: Amount
    listed_minor: Amount
    stated_minor: Amount | None
    past_due_minor: Amount
    threshold_minor: Amount


class RevenueParams(Input):
    period: Annotated[Text, Field(description="2026-11, 2026-W47, 2026-11-20, 2026, or SINCE..UNTIL; in UTC.")]
    endpoint: Text | None = None


class ExposureParams(Input):
    endpoint: Text | None = None
    limit: Annotated[int, BeforeValidator(number), Field(ge=1, le=MAX_LIMIT, description="Buyers at most.")] = 50


async def report(call: Call, params: RevenueParams) -> dict[str, Any]:
    try:
        period = Period.parse(params.period)
    except InvalidPeriod as error:
        raise invalid([Fault("period", str(error))]) from None
    return (await asyncio.shield(call.services.reports.report(period, params.endpoint))).as_json()


async def list_exposures(call: Call, params: ExposureParams) -> Page[dict[str, Any]]:
    found = await asyncio.shield(call.services.reports.exposures(params.endpoint))
    return Page([each.as_json(call.services.revenue.exposure_warning) for each in found[: params.limit]])


OPERATIONS: Final[tuple[AnyOperation, ...]] = (
    read(
        "showRevenue",
        "/revenue",
        "Standard revenue, micro and nano money by how far it is, and what is unexplained: zero when all is well. "
        "The answer may be some minutes old where adding it up takes long: as_of says when that was.",
        RevenueParams,
        Thing(RevenueReport),
        report,
    ),
    read(
        "listExposure",
        "/revenue/exposure",
        "The buyers whose micro and nano payments are nearest to the amount at which the platform takes no more of "
        "them; on one page.",
        ExposureParams,
        Listed(BuyerExposure),
        list_exposures,
    ),
)
