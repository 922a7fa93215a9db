"""The result of a demo: what was sent beside what the books hold."""

from collections import Counter
from dataclasses import dataclass

from deploy.showcase.found import Proof


@dataclass(frozen=True, slots=True)
class Line:
    """One scene: the expected and the actual outcomes."""

    name: str
    title: str
    sent: int
    expected: Counter[str]
    found: Counter[str]

    @property
    def as_planned(self) -> bool:
        return self.expected == self.found


@dataclass(frozen=True, slots=True)
class Result:
    webhooks: tuple[Line, ...]
    poison: Line
    """Messages that were published to the queue without the ingress."""
    proof: Proof

    @property
    def lines(self) -> tuple[Line, ...]:
        return (*self.webhooks, self.poison)

    @property
    def sent(self) -> int:
        return sum(line.sent for line in self.webhooks)

    def by_outcome(self) -> Counter[str]:
        """Count webhooks by outcome, without reasons."""
        outcomes: Counter[str] = Counter()
        for line in self.webhooks:
            for fate, times in line.found.items():
                outcomes[fate.partition(":")[0]] += times
        return outcomes

    @property
    def adds_up(self) -> bool:
        proof = self.proof
        return (
            all(line.as_planned for line in self.lines)
            and self.by_outcome().total() == self.sent
            and all(money.adds_up for money in proof.money)
            and not proof.unproved
            and not proof.waiting_facts
        )
