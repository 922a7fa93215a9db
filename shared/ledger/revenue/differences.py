"""Where do the platform's statements and the books say different things? Pure: rows in, typed differences out.

Both sides are put next to each other, with the money that is in doubt.
"""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal
from typing import Any, NamedTuple, Self, TypeAlias

import orjson

from shared.ledger.books import Row
from shared.ledger.revenue.batches import StatedBatch, shown
from shared.ledger.revenue.money import FACTS, Money, Sums, adds_up
from shared.ledger.revenue.usage import StatedUsage
from shared.ledger.transitions import OrderState, Review, ReviewReason, next_state

Side: TypeAlias = Mapping[str, object]


class Effect(NamedTuple):
    """By how much a difference lets the books exceed the statements."""

    currency: str
    pricing_band: str
    amount: Decimal


@dataclass(frozen=True, slots=True)
class Difference:
    reason: ReviewReason
    about: str
    """The thing that both sides speak of: `batch:<id>`, `usage:<id>`, `requirement:<id>`, `order:<id>`, `day:...`."""
    at: datetime
    """By which periods take it."""
    statement: Side
    books: Side
    currency: str
    stake: Decimal
    """Minor units that are in doubt."""
    effects: Sequence[Effect] = ()
    order_id: str | None = None
    challenge_hash: str | None = None
    requirement_id: str | None = None
    waiting: "Waiting | None" = None
    """Webhooks of its usage that are in review themselves, when they account for all of it."""

    @property
    def digest(self) -> bytes:
        """Of both sides: a person who accepts a difference accepts this one."""
        said = {"reason": self.reason, "about": self.about, "statement": self.statement, "books": self.books}
        return hashlib.sha256(orjson.dumps(said, option=orjson.OPT_SORT_KEYS)).digest()

    @property
    def evidence(self) -> dict[str, Any]:
        """Both sides as a review keeps them."""
        stake = {"currency": self.currency, "amount_minor": shown(self.stake)}
        return {"statement": dict(self.statement), "books": dict(self.books), "in_doubt": stake}


class Booked(NamedTuple):
    """Usage that a webhook told of and an order took."""

    requirement_id: str
    order_id: str
    amount_minor: Decimal
    currency: str
    pricing_band: str
    accepted_at: datetime


class ToldBatch(NamedTuple):
    """A settled batch as its webhook told it; amounts where it said them."""

    settlement_batch_id: str
    pricing_band: str
    chain_receipt_id: str
    usage_event_digest: str
    settled_at: datetime | None
    booked_at: datetime
    currency: str | None
    provider_gross_amount_minor: Decimal | None
    usage_event_count: int | None

    @classmethod
    def from_row(cls, row: Row) -> Self:
        """A row that has every field."""
        return cls(*(row[name] for name in cls._fields))


class Waiting(NamedTuple):
    """Usage whose webhook is in a review of its own."""

    open: Sums = Sums()
    rejected: Sums = Sums()

    @property
    def whole(self) -> Sums:
        return self.open.plus(self.rejected)


class Unit(NamedTuple):
    """What the amounts of a batch are of, where it says so."""

    currency: str | None = None
    token_symbol: str | None = None


class Listed(NamedTuple):
    """The rows that statements list in a batch, without those of another unit than its own."""

    sums: Sums = Sums()
    currencies: tuple[str, ...] = ()
    """More than one only where the batch names none: then nothing can be added up."""


_NO_UNIT = Unit()
_COMPARED = ("provider_gross_amount_minor", "currency", "pricing_band")


def of_row(stated: StatedUsage, booked: Booked | None, batch: Unit = _NO_UNIT) -> list[Difference]:
    """What is wrong with one row of usage, given the usage that it is paired with and the unit of its batch."""
    found = []
    about, gross = f"usage:{stated.metered_usage_id}", stated.provider_gross_amount_minor
    facts: dict[str, Any] = {"at": stated.created_at, "currency": stated.currency, "stake": gross}
    facts |= {"order_id": booked.order_id if booked else None, "challenge_hash": stated.challenge_hash}
    facts |= {"requirement_id": stated.requirement_id}
    listed = Effect(stated.currency, stated.plan_type, -gross)
    theirs = _side(stated, {"pricing_band": stated.plan_type}, *_COMPARED[:2])
    if booked is not None:
        taken = Effect(booked.currency, booked.pricing_band, booked.amount_minor)
        ours = _amounts(booked.amount_minor, booked.currency, booked.pricing_band)
        if ours != theirs:
            reason = ReviewReason.STATEMENT_AMOUNT_MISMATCH
            found.append(Difference(reason, about, statement=theirs, books=ours, effects=(listed, taken), **facts))
    elif stated.is_linked:
        named = _side(stated, theirs, "metered_usage_id", "requirement_id", "challenge_hash", "settlement_batch_id")
        reason = ReviewReason.WEBHOOK_MISSING
        found.append(Difference(reason, about, statement=named, books={}, effects=(listed,), **facts))
    if (batch.currency or stated.currency, batch.token_symbol or stated.token_symbol) != (
        *(stated.currency, stated.token_symbol),
    ):
        named = _side(stated, {}, *Unit._fields, "settlement_batch_id")
        reason = ReviewReason.BATCH_ROWS_MISMATCH
        found.append(Difference(reason, about, statement=named, books=batch._asdict(), **facts))
    return [*found, *_own_faults(stated, about, facts)]


def of_unlisted(booked: Booked) -> Difference:
    """Usage that a webhook told of, and that no statement lists."""
    ours = _amounts(booked.amount_minor, booked.currency, booked.pricing_band)
    return Difference(
        ReviewReason.STATEMENT_MISSING,
        f"requirement:{booked.requirement_id}",
        booked.accepted_at,
        statement={},
        books=ours | {"requirement_id": booked.requirement_id, "order_id": booked.order_id},
        currency=booked.currency,
        stake=booked.amount_minor,
        effects=(Effect(booked.currency, booked.pricing_band, booked.amount_minor),),
        order_id=booked.order_id,
        requirement_id=booked.requirement_id,
    )


def of_batch(
    stated: StatedBatch | None, told: ToldBatch | None, rows: Listed | None, *, compared_until: datetime
) -> list[Difference]:
    """What is wrong with one batch; `rows` are those that statements list in it, None while they may not be whole."""
    if stated is None:
        return [] if told is None or told.booked_at >= compared_until else [_unlisted_batch(told)]
    found = _Batch(stated)
    if told is None:
        if stated.money is Money.SETTLED and stated.dated_at < compared_until:
            named = ("settlement_batch_id", "chain_receipt_id", "provider_gross_amount_minor", "currency")
            found.add(ReviewReason.WEBHOOK_MISSING, _side(stated, {}, *named), {})
    elif stated.money is Money.SETTLED:
        found.add_told(told)
    elif told.booked_at < compared_until:
        ours = {"status": str(Money.SETTLED), "chain_receipt_id": told.chain_receipt_id}
        found.add(ReviewReason.STATEMENT_CONFLICT, _side(stated, {}, *ours), ours)
    if stated.disputed is not None:
        said: dict[str, object] = orjson.loads(stated.disputed)
        found.add(ReviewReason.STATEMENT_CONFLICT, said, _side(stated, {}, *said))
    amounts = (stated.provider_gross_amount_minor, stated.protocol_fee_minor, stated.provider_receivable_minor)
    if not adds_up(*amounts):
        found.add_arithmetic(*amounts)
    if rows is not None:
        found.add_rows(rows)
    return list(found.differences.values())


@dataclass(slots=True)
class _Batch:
    """Collects what is wrong with one batch, a difference a reason."""

    stated: StatedBatch
    differences: dict[ReviewReason, Difference] = field(default_factory=dict)

    def add(self, reason: ReviewReason, statement: Side, books: Side) -> None:
        known = self.differences.get(reason)
        stated = self.stated
        self.differences[reason] = Difference(
            reason,
            f"batch:{stated.settlement_batch_id}",
            stated.dated_at,
            statement={**known.statement, **statement} if known else statement,
            books={**known.books, **books} if known else books,
            currency=stated.currency or "?",
            stake=stated.provider_gross_amount_minor or Decimal(0),
        )

    def add_told(self, told: ToldBatch) -> None:
        """A batch that both sides call settled."""
        self._compare(ReviewReason.STATEMENT_RECEIPT_MISMATCH, chain_receipt_id=told.chain_receipt_id)
        self._compare(ReviewReason.STATEMENT_DIGEST_MISMATCH, usage_event_digest=told.usage_event_digest)
        self._compare(
            ReviewReason.STATEMENT_AMOUNT_MISMATCH,
            provider_gross_amount_minor=told.provider_gross_amount_minor,
            currency=told.currency,
            plan_type=told.pricing_band,
            usage_event_count=told.usage_event_count,
        )

    def add_arithmetic(self, gross: Decimal | None, fee: Decimal | None, receivable: Decimal | None) -> None:
        self.add(ReviewReason.RECEIVABLE_MISMATCH, *_arithmetic(gross, fee, receivable))

    def add_rows(self, rows: Listed) -> None:
        if len(rows.currencies) > 1:
            ours = {"currency": ", ".join(rows.currencies)}
            self.add(ReviewReason.BATCH_ROWS_MISMATCH, {"currency": None}, ours)
            return
        self._compare(
            ReviewReason.BATCH_ROWS_MISMATCH,
            provider_gross_amount_minor=rows.sums.gross,
            protocol_fee_minor=rows.sums.fee,
            provider_receivable_minor=rows.sums.receivable,
            usage_event_count=rows.sums.payments,
        )

    def _compare(self, reason: ReviewReason, **ours: object) -> None:
        """Only what both sides state can differ."""
        theirs = {name: getattr(self.stated, name) for name in ours}
        differing = [name for name in ours if None not in (ours[name], theirs[name]) and ours[name] != theirs[name]]
        if differing:
            self.add(
                reason,
                {name: shown(theirs[name]) for name in differing},
                {name: shown(ours[name]) for name in differing},
            )


def of_order(order_id: str, state: OrderState, stated: StatedUsage, batch: StatedBatch) -> Difference | None:
    """An order that cannot take what became of its batch; None where it can, or has."""
    following = next_state(state, FACTS[batch.money])
    if not isinstance(following, Review):
        return None
    return Difference(
        following.reason,
        f"order:{order_id}",
        batch.dated_at,
        statement={"status": batch.status, "settlement_batch_id": batch.settlement_batch_id},
        books={"status": str(state)},
        currency=stated.currency,
        stake=stated.provider_gross_amount_minor,
        order_id=order_id,
    )


def _own_faults(stated: StatedUsage, about: str, facts: dict[str, Any]) -> list[Difference]:
    """What a row says against itself, or against what it said before."""
    found = []
    if stated.disputed is not None:
        said: dict[str, object] = orjson.loads(stated.disputed)
        held = _side(stated, {}, *said)
        found.append(Difference(ReviewReason.STATEMENT_CONFLICT, about, statement=said, books=held, **facts))
    amounts = (stated.provider_gross_amount_minor, stated.protocol_fee_minor, stated.provider_receivable_minor)
    if not adds_up(*amounts):
        theirs, ours = _arithmetic(*amounts)
        found.append(Difference(ReviewReason.RECEIVABLE_MISMATCH, about, statement=theirs, books=ours, **facts))
    return found


def _unlisted_batch(told: ToldBatch) -> Difference:
    ours = {name: shown(value) for name, value in told._asdict().items() if name not in ("settled_at", "booked_at")}
    return Difference(
        ReviewReason.STATEMENT_MISSING,
        f"batch:{told.settlement_batch_id}",
        told.settled_at or told.booked_at,
        statement={},
        books=ours,
        currency=told.currency or "?",
        stake=told.provider_gross_amount_minor or Decimal(0),
    )


def _amounts(gross: Decimal, currency: str, pricing_band: str) -> dict[str, object]:
    return dict(zip(_COMPARED, (shown(gross), currency, pricing_band), strict=True))


def _arithmetic(gross: Decimal | None, fee: Decimal | None, receivable: Decimal | None) -> tuple[Side, Side]:
    ours = None if gross is None or fee is None else shown(gross - fee)
    stated = {"provider_gross_amount_minor": shown(gross), "protocol_fee_minor": shown(fee)}
    return stated | {"provider_receivable_minor": shown(receivable)}, {"provider_receivable_minor": ours}


def _side(row: StatedUsage | StatedBatch, more: Side, *names: str) -> dict[str, object]:
    """The fields as a person may see them."""
    return {name: shown(getattr(row, name)) for name in names} | dict(more)
