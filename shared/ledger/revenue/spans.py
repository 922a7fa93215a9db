"""The span of time that is compared, in the statements of one endpoint, and the usage in it that no row names."""

from dataclasses import dataclass, field
from datetime import datetime

from shared.ledger.revenue.clocks import APART_SQL, Dates


@dataclass(frozen=True, slots=True)
class Span:
    """From `since` on, before `until`, in the statements of one endpoint, as far as they are complete."""

    endpoint: str
    since: datetime
    until: datetime
    """Not after `compared_until`."""
    compared_until: datetime
    """What happened before then both sides had the time to tell."""
    complete_as_of: datetime
    """What the statements listed by then is in the books."""
    dates: Dates = field(default_factory=dict)
    """When usage counts whose row has another clock; the rest counts by its webhook."""

    @property
    def arguments(self) -> tuple[str, datetime, datetime]:
        return self.endpoint, self.since, self.until

    @property
    def lone_arguments(self) -> tuple[str, datetime, datetime, list[str], list[datetime]]:
        """Of `LONE`."""
        dates = {told: at for told, at in self.dates.items() if isinstance(told, str)}
        return *self.arguments, list(dates), list(dates.values())


# Usage that a webhook told of and no row names: listed by itself, or among the rows of its day that name no payment.
LONE = f"""
SELECT requirement_id, order_id, amount_minor, currency, pricing_band, accepted_at, coalesce(at, accepted_at) AS at
FROM kessai.metered_usage AS booked
LEFT JOIN unnest($4::text[], $5::timestamptz[]) AS dated (requirement_id, at) USING (requirement_id)
WHERE endpoint = $1 AND accepted_at >= $2::timestamptz - {APART_SQL} AND accepted_at < $3::timestamptz + {APART_SQL}
  AND coalesce(at, accepted_at) >= $2 AND coalesce(at, accepted_at) < $3
  AND NOT EXISTS (SELECT FROM kessai.statement_usage AS stated
                  WHERE stated.endpoint = booked.endpoint AND stated.paired_with = booked.requirement_id)
"""
