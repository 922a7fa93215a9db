"""What has each buyer used and not yet been debited for? Accounts, their open periods, and the rows of statements."""

from bisect import bisect_left
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from decimal import Decimal
from enum import StrEnum
from itertools import count

from deploy.sandbox.core.batches import BLOCKING, AccountKey, Batch, Trigger, close
from deploy.sandbox.core.periods import Period, period_of, slot_of
from deploy.sandbox.core.pricing import THRESHOLD, Price
from deploy.sandbox.core.refusal import Refused
from deploy.sandbox.core.timers import Timers
from deploy.sandbox.core.wire import Ids, minor, short
from shared.sdrp.money import CADENCES


class UsageStatus(StrEnum):
    PENDING = "pending_settlement"
    SETTLED = "settled"
    UNCOLLECTIBLE = "uncollectible"
    WRITTEN_OFF = "written_off"


@dataclass(frozen=True, slots=True)
class Purchase:
    """What a metered payment was for."""

    payment_id: str
    challenge_hash: str | None
    price: Price
    listing_id: str
    capability_key: str
    operation_key: str


@dataclass(frozen=True, slots=True)
class Usage:
    """One accepted micro or nano payment."""

    number: int
    """Counts all rows of the sandbox; statements page by it."""
    id: str
    account: AccountKey
    provider: str
    purchase: Purchase
    created_at: datetime
    period: Period
    status: UsageStatus = UsageStatus.PENDING
    batch_id: str | None = None

    @property
    def buyer_period_ref(self) -> str:
        """All that a provider learns of the buyer: the same within one period, another in the next."""
        return f"bpr_{short(*self.account, str(self.period.end))}"


@dataclass(slots=True)
class Account:
    key: AccountKey
    provider: str
    period: Period | None = None
    """Open, with something in it; None while there is nothing to close."""
    rows: list[int] = field(default_factory=list)
    """Numbers of the usage in the open period."""
    gross: Decimal = Decimal(0)
    closed_at: datetime | None = None
    """When a period was closed last: the next one begins no earlier."""
    unsettled: dict[str, Batch] = field(default_factory=dict)
    """Its closed batches that are neither settled nor given up."""

    @property
    def exposure(self) -> Decimal:
        """Gross that is neither settled nor given up."""
        return self.gross + sum((batch.gross for batch in self.unsettled.values()), Decimal(0))

    @property
    def is_blocked(self) -> bool:
        """Whether new usage is refused until somebody has paid."""
        return self.exposure >= THRESHOLD or any(batch.status in BLOCKING for batch in self.unsettled.values())


class Accounts:
    """`closed` is called with each batch that a closed period becomes."""

    def __init__(
        self, ids: Ids, timers: Timers, now: Callable[[], datetime], *, closed: Callable[[Batch], None]
    ) -> None:
        self._ids = ids
        self._timers = timers
        self._now = now
        self._closed = closed
        self._accounts: dict[AccountKey, Account] = {}
        self._rows: list[Usage] = []
        self._numbers = count()
        self._of_provider: defaultdict[str, list[int]] = defaultdict(list)
        self._of_buyer: defaultdict[str, list[int]] = defaultdict(list)

    def require_unblocked(self, key: AccountKey) -> None:
        """Raises Refused when the buyer must first settle what is open."""
        account = self._accounts.get(key)
        if account is None or not account.is_blocked:
            return
        raise Refused(
            409,
            "METERED_SETTLEMENT_PAST_DUE",
            "new micro and nano payments wait until the buyer's earlier ones are settled",
            details={
                "total_unsettled_exposure_minor": minor(account.exposure),
                "settlement_threshold_minor": minor(THRESHOLD),
            },
        )

    def accept(self, key: AccountKey, provider: str, purchase: Purchase) -> Usage:
        """Count a payment; the period closes when it reaches the threshold. Raises Refused."""
        self.require_unblocked(key)
        account = self._accounts.setdefault(key, Account(key, provider))
        if account.period is None:
            self._open(account)
        usage = Usage(
            len(self._rows), self._ids.next("mu"), key, provider, purchase, self._now(), _open_period(account)
        )
        self._rows.append(usage)
        self._of_provider[provider].append(usage.number)
        self._of_buyer[key.buyer].append(usage.number)
        account.rows.append(usage.number)
        account.gross += purchase.price.gross
        if account.gross >= THRESHOLD:
            self._close(account, Trigger.AMOUNT_THRESHOLD)
        return self._rows[usage.number]

    def note(self, batch: Batch) -> None:
        """Carry a batch's new state to its account and, once it is settled or given up, to its rows."""
        account = self._accounts[batch.account]
        if batch.is_open:
            account.unsettled[batch.id] = batch
            return
        account.unsettled.pop(batch.id, None)
        status = UsageStatus(batch.status)
        for number in batch.rows:
            self._rows[number] = replace(self._rows[number], status=status)

    def account(self, key: AccountKey) -> Account:
        return self._accounts[key]

    def accounts(self) -> Iterator[Account]:
        return iter(self._accounts.values())

    def rows(self, numbers: Sequence[int]) -> list[Usage]:
        return [self._rows[number] for number in numbers]

    def every(self) -> Sequence[Usage]:
        """All rows, the oldest first."""
        return self._rows

    def of_provider(self, provider: str, *, before: int | None) -> Iterator[Usage]:
        """The newest first, from the row before that number on."""
        return self._newest_first(self._of_provider.get(provider, []), before)

    def of_buyer(self, buyer: str, *, before: int | None) -> Iterator[Usage]:
        return self._newest_first(self._of_buyer.get(buyer, []), before)

    def _newest_first(self, numbers: list[int], before: int | None) -> Iterator[Usage]:
        end = len(numbers) if before is None else bisect_left(numbers, before)
        return (self._rows[numbers[place]] for place in range(end - 1, -1, -1))

    def _open(self, account: Account) -> None:
        cadence = CADENCES[account.key.band]
        whole = period_of(self._now(), cadence, slot_of(f"{account.key.buyer} {account.key.merchant}", cadence))
        start = max(whole.start, account.closed_at) if account.closed_at is not None else whole.start
        period = account.period = Period(start, whole.end)
        self._timers.plan(period.end, lambda: self._close_on_schedule(account, period))

    def _close_on_schedule(self, account: Account, period: Period) -> None:
        if account.period == period:  # or the threshold has closed it already
            self._close(account, Trigger.SCHEDULED_CLOSE)

    def _close(self, account: Account, trigger: Trigger) -> None:
        rows = self.rows(account.rows)
        batch = close(
            next(self._numbers),
            self._ids.next("batch"),
            account=account.key,
            provider=account.provider,
            period=_open_period(account),
            rows=tuple((row.number, row.id, row.purchase.price) for row in rows),
            buyer_period_ref=rows[0].buyer_period_ref,
            trigger=trigger,
            now=self._now(),
        )
        for row in rows:
            self._rows[row.number] = replace(row, batch_id=batch.id)
        account.period, account.rows, account.gross, account.closed_at = None, [], Decimal(0), self._now()
        self._closed(batch)


def _open_period(account: Account) -> Period:
    if account.period is None:
        raise AssertionError("an account without an open period has nothing to count or to close")
    return account.period
