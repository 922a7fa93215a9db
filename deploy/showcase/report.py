"""Prints the result of a demo: one line for each scene, then the sums."""

import sys
from collections import Counter
from decimal import Decimal

from rich.console import Console, Group, RenderableType
from rich.table import Table
from rich.text import Text

from deploy.showcase.found import Money
from deploy.showcase.result import Line, Result

MANY = 2
"""Outcomes of one line that are listed; more are counted together."""
WIDE = 110
"""Columns of the output where there is no terminal."""
PLURALS = {
    "duplicate": "duplicates",
    "repeat": "repeats",
    "review": "in review",
    "dead letter": "dead letters",
}


def print_report(result: Result) -> None:
    """Print the report on stdout, for people."""
    Console(width=None if sys.stdout.isatty() else WIDE, highlight=False).print(report(result))


def report(result: Result) -> RenderableType:
    """Return one line for each scene, then the sums."""
    return Group(Text(), _scenes(result), Text(), *_sums(result), Text(), _verdict(result))


def as_json(result: Result) -> dict[str, object]:
    proof = result.proof
    return {
        "adds_up": result.adds_up,
        "sent": result.sent,
        "outcomes": dict(sorted(result.by_outcome().items())),
        "scenes": [
            {
                "scene": line.name,
                "sent": line.sent,
                "expected": dict(line.expected),
                "found": dict(line.found),
                "as_planned": line.as_planned,
            }
            for line in result.lines
        ],
        "money": [
            {
                "currency": money.currency,
                "paid_orders": money.orders,
                "paid_minor": money.paid,
                "told_minor": str(money.archived),
                "unsettled_minor": money.unsettled,
            }
            for money in proof.money
        ],
        "signatures_proved": proof.proved,
        "facts_told": proof.published_facts,
    }


def _scenes(result: Result) -> Table:
    table = Table.grid(padding=(0, 2))
    table.add_column()
    table.add_column(justify="right")
    table.add_column(overflow="fold")
    table.add_row(Text("what was sent", "dim"), Text("", "dim"), Text("what became of it", "dim"))
    for line in result.lines:
        table.add_row(_title(line), f"{line.sent:,}", _became(line))
    return table


def _title(line: Line) -> Text:
    return Text.assemble(("✓ ", "green") if line.as_planned else ("✗ ", "bold red"), line.title)


def _became(line: Line) -> Text:
    if line.as_planned:
        return Text(_listed(line.found))
    return Text(f"{_listed(line.found) or 'nothing'}, where {_listed(line.expected)} were due", "red")


def _listed(fates: Counter[str]) -> str:
    """List outcomes, as `30 applied, 30 in review: second_payment`; many reasons are counted together."""
    if len(fates) <= MANY:
        return ", ".join(_ended(times, fate) for fate, times in fates.items())
    outcomes: Counter[str] = Counter()
    for fate, times in fates.items():
        outcomes[fate.partition(":")[0]] += times
    return ", ".join(_ended(times, outcome) for outcome, times in outcomes.items()) + f" for {len(fates)} reasons"


def _ended(times: int, fate: str) -> str:
    outcome, colon, reason = fate.partition(":")
    return f"{times:,} {PLURALS.get(outcome, outcome)}{colon}{reason}"


def _sums(result: Result) -> list[Text]:
    outcomes, proof = result.by_outcome(), result.proof
    parts = " + ".join(_ended(times, outcome) for outcome, times in outcomes.most_common())
    return [
        _sum(outcomes.total() == result.sent, f"{result.sent:,} webhooks = {parts}"),
        *(_sum(money.adds_up, _money(money)) for money in proof.money),
        _sum(not proof.unproved, f"{proof.proved:,} archived signatures proved again over their raw bytes"),
        _sum(
            not proof.waiting_facts,
            f"{proof.published_facts:,} facts published to the exchanges kessai.orders and kessai.reviews, none waits",
        ),
    ]


def _money(money: Money) -> str:
    paid, archived = _amount(money.paid, money.currency), _amount(money.archived, money.currency)
    compared = "the sum of their payments" if money.adds_up else f"but the sum of their payments is {archived}"
    unsettled = f"; {_amount(money.unsettled, money.currency)} metered, no revenue yet" if money.unsettled else ""
    return f"{money.orders:,} orders paid: {paid}, {compared}{unsettled}"


def _amount(minor: int | Decimal, currency: str) -> str:
    return f"{minor:,} JPY" if currency == "JPY" else f"{Decimal(minor) / 100:,.2f} {currency}"


def _sum(holds: bool, text: str) -> Text:
    return Text.assemble(("= " if holds else "≠ ", "green" if holds else "bold red"), text)


def _verdict(result: Result) -> Text:
    if result.adds_up:
        return Text("Everything that was sent is accounted for.", "bold green")
    return Text("The books do not hold what was sent.", "bold red")
