"""The demo's script: two thousand webhooks, every reason among them, and a plan for each."""

from collections import Counter
from datetime import UTC, datetime

import pytest
from yarl import URL

from deploy.showcase.found import Money, Proof
from deploy.showcase.poison import fates, poison_messages
from deploy.showcase.report import as_json
from deploy.showcase.result import Line, Result
from deploy.showcase.scene import Scene, Shop
from deploy.showcase.scenes import all_scenes
from shared.ledger.transitions import OF_SESSIONS, OF_STATEMENTS, ReviewReason
from shared.sdrp.signature import SigningSecret

NOW = datetime(2026, 11, 20, 12, 0, tzinfo=UTC)


def shop(name: str) -> Shop:
    return Shop(name, f"demo_{name}", SigningSecret.from_text("whsec"), URL(f"http://127.0.0.1/webhooks/{name}"))


@pytest.fixture(scope="module")
def scenes() -> list[Scene]:
    return all_scenes("run", web=shop("siglume"), kiosk=shop("kiosk"), now=NOW)


def test_two_thousand_webhooks_each_with_a_plan(scenes: list[Scene]) -> None:
    assert sum(len(scene.postings) for scene in scenes) == 2000
    for scene in scenes:
        assert scene.expected.total() == len(scene.postings), scene.name
        assert {posting.label for posting in scene.postings} == {scene.name}
    assert len({scene.name for scene in scenes}) == len(scenes)


def test_every_reason_for_a_review_is_shown(scenes: list[Scene]) -> None:
    shown = {fate.removeprefix("review: ") for scene in scenes for fate in scene.expected if fate.startswith("review")}
    of_people = {ReviewReason.REJECTED_PAYMENT}  # a person has rejected a session before
    assert shown == set(ReviewReason) - OF_STATEMENTS - OF_SESSIONS - of_people


def test_no_order_is_registered_twice(scenes: list[Scene]) -> None:
    orders = [order.order_id for scene in scenes for order in (*scene.orders, *scene.late_orders)]
    assert len(set(orders)) == len(orders)


def test_poison_of_every_sort_is_poison_messagesed() -> None:
    drops = poison_messages("run", NOW)
    assert set(fates(drops).values()) == {4}
    assert len({drop.kept for drop in drops}) == len(drops) == 12


def result(**changes: object) -> Result:
    good = Line("paid", "payments", 2, Counter(applied=2), Counter(applied=2))
    poison = Line("poison", "poison", 0, Counter(), Counter())
    money = Money("JPY", orders=2, paid=2400, archived=2400, unsettled=0)  # type: ignore[arg-type]
    values = {"line": good, "money": money, "unproved": 0, "waiting": 0} | changes
    proof = Proof((values["money"],), 2, values["unproved"], values["waiting"], 2)  # type: ignore[arg-type]
    return Result((values["line"],), poison, proof)  # type: ignore[arg-type]


def test_what_is_as_planned_adds_up() -> None:
    assert result().adds_up
    assert as_json(result())["adds_up"] is True


@pytest.mark.parametrize(
    "changes",
    [
        {"line": Line("paid", "payments", 2, Counter(applied=2), Counter(applied=1))},
        {"line": Line("paid", "payments", 2, Counter(applied=2), Counter(applied=2, repeat=1))},
        {"line": Line("paid", "payments", 3, Counter(applied=2), Counter(applied=2))},
        {"money": Money("JPY", orders=2, paid=2400, archived=2399, unsettled=0)},  # type: ignore[arg-type]
        {"unproved": 1},
        {"waiting": 1},
    ],
    ids=["lost", "twice", "unplanned", "money", "signature", "untold"],
)
def test_anything_else_does_not(changes: dict[str, object]) -> None:
    assert not result(**changes).adds_up
