"""Events that `kessai send` and the demo build are what their names say, to Kessai as to the official SDK."""

from datetime import UTC, datetime
from decimal import Decimal

import pytest
import siglume_direct_request_payment as sdk

from deploy.sending.events import CannotBuild, build, dump, pay, read_setting, set_value
from deploy.sending.kinds import Kind
from deploy.sending.post import Answers, BadAddress, Posting, address
from deploy.sending.recipe import Recipe, Terms
from shared.sdrp.classify import MeteredUsageAccepted, StandardSettled, classify
from shared.sdrp.events import ignored_because, parse
from shared.sdrp.signature import SignatureRefused, SigningSecret, verify

NOW = datetime(2026, 11, 20, 12, 0, tzinfo=UTC)
SETTLING = (Kind.STANDARD_SETTLED, Kind.METERED_USAGE_ACCEPTED, Kind.METERED_BATCH_SETTLED, Kind.UNKNOWN)


@pytest.mark.parametrize("kind", SETTLING)
def test_a_confirmation_is_of_the_kind_asked_for(kind: Kind) -> None:
    event = build(kind, key="k", at=NOW)
    assert kind == classify(parse(dump(event))).KIND
    assert sdk.classify_direct_payment_confirmation(event)["kind"] == kind


@pytest.mark.parametrize(
    ("kind", "reason"), [(Kind.SPENT, "direct_payment.spent"), (Kind.READINESS_PROBE, "readiness_probe")]
)
def test_an_event_without_effect_is_known_as_one(kind: Kind, reason: str) -> None:
    assert ignored_because(parse(dump(build(kind, key="k", at=NOW)))) == reason


@pytest.mark.parametrize(
    ("kind", "amount", "currency", "band"),
    [
        (Kind.STANDARD_SETTLED, 501, "JPY", "standard"),
        (Kind.STANDARD_SETTLED, 301, "USD", "standard"),
        (Kind.METERED_USAGE_ACCEPTED, 500, "JPY", "micro"),
        (Kind.METERED_USAGE_ACCEPTED, 49, "JPY", "nano"),
    ],
)
def test_a_payment_fits_its_order(kind: Kind, amount: int, currency: str, band: str) -> None:
    event = Recipe(kind, terms=Terms(amount, currency, "sha256:x")).event(key="k", at=NOW)
    paid = classify(parse(dump(event)))
    assert isinstance(paid, StandardSettled | MeteredUsageAccepted)
    assert (paid.amount, str(paid.currency)) == (Decimal(amount), currency)
    assert (paid.challenge_hash, str(paid.pricing_band)) == ("sha256:x", band)


@pytest.mark.parametrize(
    ("kind", "amount"), [(Kind.STANDARD_SETTLED, 500), (Kind.METERED_USAGE_ACCEPTED, 501), (Kind.SPENT, 5)]
)
def test_a_kind_that_cannot_pay_the_order_is_refused(kind: Kind, amount: int) -> None:
    with pytest.raises(CannotBuild, match="send"):
        pay(build(kind, key="k", at=NOW), amount_minor=amount, currency="JPY", challenge_hash="h")


def test_a_setting_is_json_where_it_reads_as_json() -> None:
    assert read_setting("data.amount_minor=1200") == ("data.amount_minor", 1200)
    assert read_setting("data.note=a=b") == ("data.note", "a=b")
    assert read_setting('id="7"') == ("id", "7")
    assert read_setting("data=null") == ("data", None)


def test_a_path_makes_the_tables_it_needs() -> None:
    event = build(Kind.SPENT, key="k", at=NOW)
    set_value(event, "data.metadata.order_id", "order-1")
    assert event["data"]["metadata"] == {"order_id": "order-1"}
    for path in ("", "data.", ".x", "id.x"):
        with pytest.raises(CannotBuild):
            set_value(event, path, 1)


def test_a_posting_is_signed_when_it_is_sent() -> None:
    secret = SigningSecret.from_text("whsec_tests")
    posting = Posting(address("http://127.0.0.1/webhooks/siglume"), b"{}", secret)
    header = posting.headers(1000.0)["Siglume-Signature"].encode()
    assert verify(b"{}", header, secrets=[secret], now=1000.0).timestamp == 1000
    stale = Posting(posting.url, b"{}", secret, age=301).headers(1000.0)["Siglume-Signature"].encode()
    with pytest.raises(SignatureRefused):
        verify(b"{}", stale, secrets=[secret], now=1000.0)
    assert "Siglume-Signature" not in Posting(posting.url, b"{}", None).headers(1000.0)


@pytest.mark.parametrize("text", ["", "nowhere", "ftp://h/x", "http://", "http://h:port/x"])
def test_an_address_that_is_none_is_refused(text: str) -> None:
    with pytest.raises(BadAddress):
        address(text)


def test_percentiles_are_by_nearest_rank() -> None:
    answers = Answers(seconds=[n / 1000 for n in range(1, 101)])
    assert (answers.percentile_ms(0.5), answers.percentile_ms(0.99)) == (50.0, 99.0)
    assert Answers().percentile_ms(0.5) is None
