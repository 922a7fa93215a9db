"""Which batches are there, and what happens when one is settled?"""

from collections.abc import Callable, Sequence
from datetime import datetime

from deploy.sandbox.core.batches import Batch, BatchStatus, give_up, requeue, step
from deploy.sandbox.core.faults import Dice
from deploy.sandbox.core.refusal import not_found
from deploy.sandbox.core.timers import Timers
from deploy.sandbox.core.usage import Accounts
from deploy.sandbox.core.wire import Ids


class Settlement:
    """Takes every batch from its close to its end. `settled` is called with each that is paid."""

    def __init__(
        self,
        ids: Ids,
        timers: Timers,
        dice: Dice,
        now: Callable[[], datetime],
        *,
        settled: Callable[[Batch], None],
    ) -> None:
        self.accounts = Accounts(ids, timers, now, closed=self._take)
        self._timers = timers
        self._dice = dice
        self._now = now
        self._settled = settled
        self._batches: dict[str, Batch] = {}

    def find(self, batch_id: str) -> Batch:
        """Raises Refused."""
        batch = self._batches.get(batch_id)
        if batch is None:
            raise not_found("settlement batch", batch_id)
        return batch

    def every(self) -> Sequence[Batch]:
        """All batches, the oldest first."""
        return list(self._batches.values())

    def requeue(self, batch_id: str) -> Batch:
        """Raises Refused."""
        return self._keep(requeue(self.find(batch_id), now=self._now()))

    def give_up(self, batch_id: str, status: BatchStatus) -> Batch:
        """Raises Refused."""
        return self._keep(give_up(self.find(batch_id), status, now=self._now()))

    def _take(self, batch: Batch) -> None:
        self._keep(batch)

    def _keep(self, batch: Batch) -> Batch:
        self._batches[batch.id] = batch
        self.accounts.note(batch)
        due = batch.next_step_at
        if due is not None:
            self._timers.plan(due, lambda: self._step(batch.id, due))
        if batch.status is BatchStatus.SETTLED:
            self._settled(batch)
        return batch

    def _step(self, batch_id: str, due: datetime) -> None:
        batch = self._batches[batch_id]
        if batch.next_step_at == due:  # or an operator has come between
            self._keep(step(batch, now=self._now(), dice=self._dice))
