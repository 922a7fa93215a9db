"""What the platform sends is read at the door, or refused with the name of the field and never its value."""

import json
from collections.abc import Callable
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import orjson
import pytest

from shared.sdrp.api.batches import SettlementBatch
from shared.sdrp.api.checkout import CheckoutSession, NewCheckoutSession
from shared.sdrp.api.errors import UnusableAnswer
from shared.sdrp.api.exact_json import parse_json
from shared.sdrp.api.merchants import Merchant
from shared.sdrp.api.pages import read_page
from shared.sdrp.api.records import MAX_NOTE, Record
from shared.sdrp.api.requirements import PaymentRequirement, payment_execution
from shared.sdrp.api.summaries import BuyerSummary, ProviderSummary
from shared.sdrp.api.usage import ProviderUsageEvent, UsageEvent
from shared.sdrp.api.webhooks import WebhookSubscription
from tests import platform_answers as answers
from tests.platform_answers import Changed


def event(**changed: Changed) -> ProviderUsageEvent:
    """Through JSON, as it comes."""
    return ProviderUsageEvent.read(Record(parse_json(orjson.dumps(answers.usage_event(**changed))), "items[3]"))


def fault(read: Callable[[], object]) -> str:
    with pytest.raises(UnusableAnswer) as refused:
        read()
    assert not refused.value.retryable
    return str(refused.value)


def test_a_usage_event_is_read_whole() -> None:
    read = event()
    assert (read.metered_usage_id, read.plan_type, read.status) == ("mu_00000001", "micro", "pending_settlement")
    assert (read.provider_gross_amount_minor, read.protocol_fee_minor) == (Decimal(200), Decimal(2))
    assert read.provider_receivable_minor == Decimal(198)
    assert type(read.provider_gross_amount_minor) is Decimal
    assert read.created_at == datetime(2026, 11, 20, 11, 59, 58, 123456, tzinfo=UTC)
    assert read.buyer_period_ref == f"bpr_{1:032x}"


def test_unknown_fields_states_and_nulls_are_no_fault() -> None:
    read = event(status="in_orbit", plan_type="pico", new_field={"a": []}, settlement_batch_id=None, period_end="")
    assert (read.status, read.plan_type, read.settlement_batch_id, read.period_end) == ("in_orbit", "pico", None, None)


def test_no_buyer_is_named_but_for_the_reference_of_the_period() -> None:
    read = event(buyer_user_id="usr_42", buyer_email="ann@example.com", buyer_wallet="0xabc")
    assert "usr_42" not in repr(read)
    assert "ann@" not in repr(read)
    requirement = PaymentRequirement.read(Record(answers.requirement(), "r"))
    assert "usr_buyer" not in repr(requirement)
    assert not any(name.startswith("buyer_user") for name in PaymentRequirement.__slots__)


@pytest.mark.parametrize(
    ("sent", "read"),
    [("0.2", "0.2"), ("10000", "10000"), ("-1.5", "-1.5"), (7, "7"), (2**63, str(2**63)), ("1" * 30, "1" * 30)],
)
def test_amounts_are_exact(sent: object, read: str) -> None:
    assert event(protocol_fee_minor=sent).protocol_fee_minor == Decimal(read)


@pytest.mark.parametrize("sent", [1e30, True, [], {}, "1e3", "NaN", "Infinity", "1_000", "٣", "1,5", " 1", "1" * 31])
def test_amounts_that_are_not_exact_are_refused(sent: object) -> None:
    said = fault(lambda: event(protocol_fee_minor=sent))
    assert said.startswith("Siglume's answer cannot be used: items[3].protocol_fee_minor ")


@pytest.mark.parametrize(
    ("written", "read"),
    [
        ("0.2", "0.2"),
        ("0.20000000000000001", "0.20000000000000001"),
        ("200.0", "200"),
        ("2e2", "200"),
        ("1.5E-3", "0.0015"),
        ("-0.1", "-0.1"),
        ("9007199254740993", "9007199254740993"),
        ("123456789012345678901234567890", "123456789012345678901234567890"),
    ],
)
def test_an_amount_that_is_a_json_number_is_what_is_written(written: str, read: str) -> None:
    assert Record(parse_json(f'{{"n": {written}}}'.encode()), "x").amount("n") == Decimal(read)


@pytest.mark.parametrize(
    "written", ["1e30", "1" * 31, "1e-19", "1e-300", "1e300", "0e300", "0e" + "9" * 30, "1e-" + "9" * 30]
)
def test_a_json_number_beyond_what_amounts_are_is_refused(written: str) -> None:
    document = parse_json(f'{{"n": {written}}}'.encode())
    assert "x.n is no plain decimal number" in fault(lambda: Record(document, "x").amount("n"))


def test_numbers_of_an_object_that_is_kept_as_it_came_are_floats_to_everybody() -> None:
    metadata = Record(parse_json(b'{"kept": {"n": 0.5, "m": [1e3]}}'), "x").object_or_none("kept")
    assert metadata == {"n": 0.5, "m": [1000.0]}
    assert json.loads(json.dumps(metadata)) == metadata


def test_the_gross_amount_has_three_names() -> None:
    without = {"provider_gross_amount_minor": None, "provider_usage_amount_minor": "31"}
    assert event(**without).provider_gross_amount_minor == 31
    without = {"provider_gross_amount_minor": None, "provider_usage_amount_minor": None, "gross_buyer_debit_minor": "9"}
    assert event(**without).provider_gross_amount_minor == 9
    assert "provider_gross_amount_minor is missing" in fault(
        lambda: event(**without | {"gross_buyer_debit_minor": None})
    )


@pytest.mark.parametrize(
    "name", ["metered_usage_id", "plan_type", "status", "currency", "token_symbol", "protocol_fee_minor"]
)
def test_what_an_event_cannot_do_without_must_be_there(name: str) -> None:
    assert f"items[3].{name} is missing" in fault(lambda: event(**{name: None}))


@pytest.mark.parametrize(
    ("value", "problem"),
    [
        (7, "is a number, not text"),
        ({}, "is an object, not text"),
        ("mu\0", "holds a NUL character"),
        ("m" * 256, "is longer than 255 characters"),
        ("  ", "is missing"),
    ],
)
def test_text_that_the_books_could_not_keep_is_refused(value: object, problem: str) -> None:
    assert problem in fault(lambda: event(metered_usage_id=value))


def test_text_is_trimmed_as_in_webhooks() -> None:
    assert event(metered_usage_id=" mu_1\n", operation_key="  ").metered_usage_id == "mu_1"
    assert event(operation_key="  ").operation_key is None


@pytest.mark.parametrize(
    ("sent", "read"),
    [
        ("2026-11-20T21:00:00+09:00", datetime(2026, 11, 20, 12, tzinfo=UTC)),
        ("2026-11-20T12:00:00", datetime(2026, 11, 20, 12, tzinfo=UTC)),
        ("2026-11-20", datetime(2026, 11, 20, tzinfo=UTC)),
        ("2026-11-20T12:00:00.5Z", datetime(2026, 11, 20, 12, 0, 0, 500000, tzinfo=UTC)),
    ],
)
def test_times_are_utc(sent: str, read: datetime) -> None:
    assert event(created_at=sent).created_at == read


@pytest.mark.parametrize("sent", ["yesterday", 1700000000, "0001-01-01T00:00:00+14:00", "2026-13-01", [], True])
def test_what_is_no_time_is_refused(sent: object) -> None:
    assert "items[3].created_at is no time" in fault(lambda: event(created_at=sent))


@pytest.mark.parametrize(
    "data", [None, [], "x", 7, {}, {"items": None}, {"items": {}}, {"items": ["x"]}, {"items": [], "next_cursor": 5}]
)
def test_what_is_no_page_is_refused(data: object) -> None:
    fault(lambda: read_page(data, "list_provider_usage_events", ProviderUsageEvent.read))


def test_a_page_names_the_row_that_is_wrong() -> None:
    items = [answers.usage_event(1), answers.usage_event(2, status=None)]
    assert "items[1].status is missing" in fault(lambda: read_page(answers.page(items), "list", UsageEvent.read))


def test_a_page_has_no_endless_cursor_and_no_endless_list() -> None:
    fault(lambda: read_page(answers.page([], "c" * 4097), "list", UsageEvent.read))
    fault(lambda: read_page({"items": [None] * 10_001}, "list", UsageEvent.read))


def test_a_batch_keeps_kinds_of_money_apart_and_takes_no_blank_for_a_receipt() -> None:
    def batch(**changed: Changed) -> SettlementBatch:
        return SettlementBatch.read(Record(answers.batch(**changed), "batch"))

    assert batch(chain_receipt_id=" ").chain_receipt_id is None
    assert batch().receivables.settled_provider_receivable_minor == 10098
    assert batch().receivables.terminal_provider_receivable_minor is None


def test_a_failure_is_shown_as_far_as_people_may_see_it() -> None:
    told = answers.batch(
        status="past_due",
        failure_reason_code="INSUFFICIENT_BALANCE",
        failure_reason_label="Not enough\x00\x1b balance",
        failure_reason_help="h" * 5000,
        support_reference="sup_1",
        failure_message="raw RPC error at 0xdead",
    )
    failure = SettlementBatch.read(Record(told, "batch")).failure
    assert failure is not None
    assert (failure.reason_code, failure.reason_label) == ("INSUFFICIENT_BALANCE", "Not enough   balance")
    assert len(failure.reason_help or "") == MAX_NOTE
    assert "0xdead" not in repr(failure)
    assert SettlementBatch.read(Record(answers.batch(), "batch")).failure is None


def test_summaries_are_read_to_their_depths() -> None:
    buyer = BuyerSummary.read(Record(answers.buyer_summary(), "summary"))
    assert buyer.open_periods[0].protocol_fee_minor == Decimal("0.3")
    assert buyer.past_due_blocks[0].failure is not None
    assert buyer.balance_sufficiency is not None
    assert buyer.balance_sufficiency.sufficient is True
    provider = ProviderSummary.read(Record(answers.provider_summary(), "summary"))
    assert provider.totals.unsettled_provider_receivable_minor == Decimal("29.7")
    broken: dict[str, Any] = {"periods": [answers.batch(provider_receivable_minor=1.5)]}
    said = fault(lambda: ProviderSummary.read(Record(answers.provider_summary(**broken), "summary")))
    assert "summary.periods[0].provider_receivable_minor" in said


@pytest.mark.parametrize(
    "url", ["http://siglume.com/pay", "javascript:alert(1)", "//evil", "https://u:p@evil/", None, ""]
)
def test_a_buyer_is_never_sent_to_a_doubtful_page(url: object) -> None:
    fault(lambda: NewCheckoutSession.read(Record(answers.new_session(checkout_url=url), "session")))


@pytest.mark.parametrize("amount", [1200.0, "1200", True, 2**53, None])
def test_a_standard_amount_is_a_whole_number(amount: object) -> None:
    said = fault(lambda: CheckoutSession.read(Record(answers.session(amount_minor=amount), "session")))
    assert "session.amount_minor" in said


def test_secrets_of_an_answer_never_show() -> None:
    merchant = Merchant.read(Record(answers.merchant(challenge_secret="edrp_hidden"), "merchant"))
    webhook = WebhookSubscription.read(Record(answers.subscription(signing_secret="whsec_hidden"), "webhook"))
    assert "hidden" not in f"{merchant!r} {merchant} {webhook!r} {webhook}"
    assert merchant.challenge_secret is not None
    assert merchant.challenge_secret.get_secret_value() == "edrp_hidden"
    assert "secret" in fault(lambda: Merchant.read(Record(answers.merchant(challenge_secret=["x"]), "merchant")))


def test_a_subscription_id_has_three_names() -> None:
    for name in ("id", "webhook_subscription_id", "subscription_id"):
        answer = answers.subscription(id=None) | {name: "whsub_9"}
        assert WebhookSubscription.read(Record(answer, "webhook")).subscription_id == "whsub_9"


def test_a_transaction_that_cannot_be_sent_back_exactly_is_not_executed() -> None:
    """Stricter than the SDK: a JSON number with a fraction was rounded when it was read."""
    raw = parse_json(b'{"value": 0.30000000000000004}')
    requirement = PaymentRequirement.read(Record(answers.requirement(transaction_request=raw), "requirement"))
    with pytest.raises(Exception, match="may have been rounded"):
        payment_execution(requirement)
    exact = PaymentRequirement.read(
        Record(answers.requirement(transaction_request={"value": 2**64 - 1, "steps": [{"n": "1.5"}]}), "requirement")
    )
    assert payment_execution(exact)["transaction_request"] == {"value": 2**64 - 1, "steps": [{"n": "1.5"}]}
