"""What the platform knows to be true, and what Kessai's books say, in the same shape."""

from collections.abc import Mapping
from decimal import Decimal
from typing import Final, TypeAlias

from deploy.sandbox.core.books import Books
from shared.ledger.database import Connection
from shared.ledger.revenue.differences import Difference
from shared.ledger.revenue.money import Money, total
from shared.ledger.revenue.report import Report

Sums: TypeAlias = dict[tuple[str, str], Decimal]
"""By currency and what it is."""
Standard: TypeAlias = tuple[str, str, Decimal]
"""One payment of the standard band: its challenge, currency and amount."""
STATES: Final = {
    "pending_settlement": "fulfilled_unsettled",
    "past_due": "fulfilled_unsettled",
    "settled": "settled",
    "uncollectible": "uncollectible",
    "written_off": "written_off",
}
"""What an order of micro or nano usage is, by what became of the usage."""


def true_sums(books: Books) -> Sums:
    """Of micro and nano payments."""
    return {
        (str(currency), name): getattr(totals, name)
        for currency, totals in books.totals.items()
        for name in ("metered_payments", "metered_gross", "metered_fee", *map(str, Money))
    }


async def booked_sums(connection: Connection) -> Sums:
    """The same, as the statements in the books have it."""
    rows = await connection.fetch(
        """
        SELECT stated.currency, coalesce(batch.money, 'unsettled') AS money, count(*) AS payments,
               sum(stated.provider_gross_amount_minor) AS gross, sum(stated.protocol_fee_minor) AS fee,
               sum(stated.provider_receivable_minor) AS receivable
        FROM kessai.statement_usage AS stated
        LEFT JOIN kessai.statement_batches AS batch USING (settlement_batch_id)
        GROUP BY 1, 2
        """
    )
    sums: Sums = {(currency, money): Decimal(0) for currency in ("JPY", "USD") for money in Money}
    for row in rows:
        sums[row["currency"], row["money"]] += row["receivable"]
        for name, what in (("metered_payments", "payments"), ("metered_gross", "gross"), ("metered_fee", "fee")):
            key = (row["currency"], name)
            sums[key] = sums.get(key, Decimal(0)) + row[what]
    return sums


def reported_sums(report: Report) -> Sums:
    """The same, as the report of all time has it; what it says was received is what is settled."""
    sums: Sums = {}
    for currency, each in report.currencies.items():
        kinds = {money: total(band.kinds[money] for band in each.bands.values()) for money in Money}
        whole = total(kinds.values())
        sums |= {(currency, str(money)): kinds[money].receivable for money in Money}
        assert total(band.received for band in each.bands.values()).receivable == kinds[Money.SETTLED].receivable
        sums |= {(currency, "metered_payments"): Decimal(whole.payments)}
        sums |= {(currency, "metered_gross"): whole.gross, (currency, "metered_fee"): whole.fee}
    return sums


def true_standard(books: Books) -> dict[str, tuple[int, Decimal]]:
    """Number and gross of standard payments by currency."""
    return {str(currency): (each.standard_payments, each.standard_gross) for currency, each in books.totals.items()}


def reported_standard(report: Report) -> dict[str, tuple[int, Decimal]]:
    """The same, as orders have taken it or as it waits for a person."""
    both = {currency: each.standard.plus(each.standard_in_review) for currency, each in report.currencies.items()}
    return {currency: (sums.payments, sums.gross) for currency, sums in both.items()}


def unbooked(books: Books, booked: Mapping[str, object]) -> list[Standard]:
    """Standard payments that no order has taken."""
    return sorted(
        (payment.challenge_hash, str(payment.currency), payment.gross)
        for payment in books.payments
        if payment.fee is None and payment.order_id not in booked
    )


async def in_review(connection: Connection) -> list[Standard]:
    """Standard payments that open reviews tell of, each as often as it is told."""
    rows = await connection.fetch(
        """
        SELECT challenge_hash, told ->> 'currency' AS currency, (told ->> 'amount_minor')::numeric AS amount
        FROM kessai.reviews
        CROSS JOIN LATERAL coalesce(evidence -> 'event', evidence -> 'session') AS told
        WHERE state = 'open' AND told ->> 'pricing_band' = 'standard'
        """
    )
    return sorted((row["challenge_hash"], row["currency"], row["amount"]) for row in rows)


def true_orders(books: Books) -> dict[str, tuple[str, str | None]]:
    """State and receipt of each order that was paid for, if every webhook had come."""
    return {
        str(payment.order_id): ("paid" if payment.fee is None else STATES[payment.state], _receipt(payment.state, each))
        for payment in books.payments
        for each in [payment.chain_receipt_id]
    }


def _receipt(state: str, receipt: str | None) -> str | None:
    return receipt if state == "settled" else None


async def booked_orders(connection: Connection) -> dict[str, tuple[str, str | None]]:
    """Of those that were paid for."""
    rows = await connection.fetch(
        "SELECT order_id, state, chain_receipt_id FROM kessai.orders WHERE state <> 'pending'"
    )
    return {row["order_id"]: (row["state"], row["chain_receipt_id"]) for row in rows}


async def told_sums(connection: Connection) -> Sums:
    """Gross by currency and band, as webhooks have told it."""
    rows = await connection.fetch(
        """
        SELECT currency, pricing_band, sum(amount_minor) AS gross FROM kessai.metered_usage GROUP BY 1, 2
        UNION ALL
        SELECT currency, 'standard', sum(amount_minor) FROM kessai.orders WHERE state = 'paid' GROUP BY 1
        """
    )
    return {(row["currency"], row["pricing_band"]): row["gross"] for row in rows}


def explained_sums(told: Mapping[tuple[str, str], Decimal], differences: list[Difference]) -> dict[object, Decimal]:
    """What webhooks would have told, had they not differed."""
    whole: dict[object, Decimal] = {key: gross for key, gross in told.items() if key[1] != "standard"}
    for difference in differences:
        for effect in difference.effects:
            key = (effect.currency, effect.pricing_band)
            whole[key] = whole.get(key, Decimal(0)) - effect.amount
    return whole


def true_gross(books: Books) -> dict[object, Decimal]:
    """By currency and band, of micro and nano payments."""
    whole: dict[object, Decimal] = {}
    for payment in books.payments:
        if payment.fee is not None:
            key = (str(payment.currency), str(payment.band))
            whole[key] = whole.get(key, Decimal(0)) + payment.gross
    return whole
