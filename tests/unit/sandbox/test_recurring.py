"""What is charged again and again, when a charge is refused, and how it ends."""

import pytest

from deploy.sandbox.core.refusal import Refused
from shared.sdrp.challenge import create_recurring_challenge
from tests.unit.sandbox.given import OWNER, SHOP, Town

ANN = "usr_ann"


@pytest.fixture
def town() -> Town:
    found = Town()
    types = [f"subscription.{what}" for what in ("created", "renewed", "cancelled")]
    found.platform.webhooks.subscribe(OWNER, "https://other.example/", [*types, "payment.failed"])
    return found


def body(amount_minor: int, cadence: str = "monthly") -> dict[str, object]:
    terms = {"merchant": SHOP.merchant, "currency": "JPY"}
    challenge = create_recurring_challenge(
        **terms, amount_minor=amount_minor, cadence=cadence, secret=SHOP.challenge_secret, nonce="setup-1"
    )
    return terms | {"amount_minor": amount_minor, "challenge": str(challenge)}


def told(town: Town) -> list[str]:
    """Types of the events about subscriptions, the oldest first."""
    types = [each.event.type for each in town.platform.webhooks.log()][::-1]
    return [each for each in types if not each.startswith("direct_payment")]


def test_a_renewal_that_is_refused_is_told_and_tried_the_next_month(town: Town) -> None:
    town.platform.recurring.subscribe(ANN, body(500))
    town.wait(days=30)
    for _ in range(20):
        town.platform.checkout.pay(town.open(amount_minor=500).id, ANN)
    town.wait(days=2)
    assert told(town) == ["subscription.created", "payment.failed"]
    town.wait(days=31)
    assert told(town)[-1] == "subscription.renewed"


def test_a_cancelled_subscription_is_charged_no_more(town: Town) -> None:
    made = town.platform.recurring.subscribe(ANN, body(980))
    for _ in range(2):
        town.platform.recurring.cancel(made["subscription_id"])
    town.wait(days=100)
    assert told(town) == ["subscription.created", "subscription.cancelled"]
    assert len(town.platform.books().payments) == 1


def test_an_approval_is_good_for_its_cadence_only(town: Town) -> None:
    with pytest.raises(Refused, match="did not approve this amount for daily charges"):
        town.platform.recurring.authorize(ANN, body(980, "monthly"))


def test_runs_end_when_they_are_used_up(town: Town) -> None:
    made = town.platform.recurring.authorize(ANN, body(980, "daily") | {"max_runs": 1})
    for _ in range(2):
        town.platform.recurring.execute(made["schedule_token"], {"slot_id": "monday"})
    with pytest.raises(Refused) as refused:
        town.platform.recurring.execute(made["schedule_token"], {"slot_id": "tuesday"})
    assert refused.value.code == "AUTHORIZATION_EXHAUSTED"
    assert len(town.platform.books().payments) == 1
