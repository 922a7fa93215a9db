"""One webhook after another through a whole Kessai, and what each command says of it afterwards."""

import json
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from tests.acceptance.conftest import Pipeline, assert_one_line

EVENT_KEYS = {
    *("endpoint", "event_id", "type", "kind", "reason", "outcome", "order_id"),
    *("received_at", "applied_at", "deliveries"),
}
REVIEW_KEYS = {"review_id", "queue", "reason", "state", "endpoint", "event_id", "order_id", "opened_at"}
LETTER_KEYS = {
    *("dead_letter_id", "reason", "error", "endpoint", "event_id", "attempts", "first_seen", "last_seen"),
}


def add(pipeline: Pipeline, order_id: str, amount: int = 1200) -> dict[str, Any]:
    terms = ("--amount-minor", str(amount), "--currency", "JPY", "--challenge-hash", f"sha256:{order_id}")
    ran = pipeline.kessai("orders", "add", order_id, *terms, "--json")
    assert ran.returncode == 0, ran.stderr
    return ran.object()


def is_utc(text: str) -> bool:
    return text.endswith("Z") and datetime.fromisoformat(text).tzinfo == UTC


def test_a_payment_pays_its_order(pipeline: Pipeline) -> None:
    add(pipeline, "tea", amount=1500)
    event_id = pipeline.sent("standard_settled", "--for-order", "tea")

    event = pipeline.event(event_id)
    assert event.keys() >= EVENT_KEYS
    assert (event["kind"], event["outcome"], event["order_id"]) == ("standard_settled", "applied", "tea")
    assert event["deliveries"] == 1
    assert is_utc(event["received_at"])
    assert is_utc(event["applied_at"])
    assert (
        pipeline.listed("events", "list", "--outcome", "applied", event_id=event_id) | {"receipts": event["receipts"]}
        == event
    )

    order = pipeline.one("orders", "show", "tea")
    assert (order["state"], order["amount_minor"]) == ("paid", 1500)
    assert order["requirement_id"]
    assert order["chain_receipt_id"]
    assert is_utc(order["paid_at"])
    for command in (("events", "list"), ("events", "show", event_id), ("orders", "list"), ("orders", "show", "tea")):
        for_people = pipeline.kessai(*command)
        assert for_people.returncode == 0
        assert "applied" in for_people.stdout or "paid" in for_people.stdout


def test_a_payment_that_comes_before_its_order_is_applied_once_when_the_order_comes(pipeline: Pipeline) -> None:
    event_id = pipeline.sent("standard_settled", "--set", "data.challenge_hash=sha256:early")
    assert pipeline.event(event_id)["reason"] == "unknown_challenge_hash"
    review = pipeline.listed("reviews", "list", "--state", "open", event_id=event_id)
    assert review.keys() >= REVIEW_KEYS
    assert (review["queue"], review["order_id"]) == ("unknown", None)

    assert add(pipeline, "early")["state"] == "paid"
    paid = pipeline.one("orders", "show", "early")
    assert add(pipeline, "early") == paid
    event = pipeline.event(event_id)
    assert (event["outcome"], event["order_id"]) == ("applied", "early")
    assert pipeline.listed("reviews", "list", event_id=event_id)["state"] == "closed"


def test_an_import_applies_what_waited(pipeline: Pipeline, tmp_path: Path) -> None:
    waited = pipeline.sent("--set", "data.challenge_hash=sha256:a")
    misfit = pipeline.sent("--set", "data.challenge_hash=sha256:b", "--set", "data.amount_minor=7000")
    pipeline.event(waited)
    pipeline.event(misfit)
    file = tmp_path / "orders.jsonl"
    rows = [
        {"order_id": name, "amount_minor": 1200, "currency": "JPY", "challenge_hash": f"sha256:{name}"}
        for name in "abc"
    ]
    file.write_text("\n".join(json.dumps(row) for row in rows), encoding="utf-8")
    ran = pipeline.kessai("orders", "import", str(file), "--json")
    assert ran.object() == {"new": 3, "known": 0, "applied": 1, "reviewed": 1, "skipped": 0}
    assert pipeline.event(waited)["outcome"] == "applied"
    assert pipeline.event(misfit)["reason"] == "amount_mismatch"


def test_a_review_shows_both_sides_and_marks_what_differs(pipeline: Pipeline) -> None:
    add(pipeline, "cake")
    event_id = pipeline.sent("standard_settled", "--for-order", "cake", "--set", "data.amount_minor=1300")
    review = pipeline.listed("reviews", "list", "--queue", "mismatch", event_id=event_id)
    assert (review["reason"], review["order_id"], review["state"]) == ("amount_mismatch", "cake", "open")
    assert is_utc(review["opened_at"])

    shown = pipeline.one("reviews", "show", str(review["review_id"]))
    assert shown["evidence"]["event"]["amount_minor"] == 1300
    assert shown["evidence"]["order"]["amount_minor"] == 1200
    for_people = pipeline.kessai("reviews", "show", str(review["review_id"])).stdout
    (marked,) = [line for line in for_people.splitlines() if "≠" in line]
    assert "amount_minor" in marked
    assert "1300" in marked
    assert "1200" in marked
    assert pipeline.one("orders", "show", "cake")["state"] == "pending"


def test_a_cancelled_order_is_not_paid_and_a_paid_one_not_cancelled(pipeline: Pipeline) -> None:
    add(pipeline, "closed")
    assert pipeline.kessai("orders", "cancel", "closed").returncode == 0
    assert pipeline.event(pipeline.sent("--for-order", "closed"))["reason"] == "paid_after_close"
    assert pipeline.one("orders", "show", "closed")["state"] == "cancelled"
    add(pipeline, "sold")
    pipeline.event(pipeline.sent("--for-order", "sold"))
    assert_one_line(pipeline.kessai("orders", "cancel", "sold"), says="is paid")


HOSTILE = b'{"id": "\x1b]0;owned\x07", "\xff": '


def test_a_dead_letter_keeps_its_bytes_and_shows_them_harmless(pipeline: Pipeline, tmp_path: Path) -> None:
    body = tmp_path / "body"
    body.write_bytes(HOSTILE)
    assert pipeline.send("--body-file", str(body)).returncode == 0
    letter = pipeline.listed("dead-letters", "list", "--reason", "malformed:not_json")
    assert letter.keys() >= LETTER_KEYS
    assert (letter["error"], letter["endpoint"], letter["event_id"]) == ("MalformedEvent", "siglume", None)
    assert is_utc(letter["first_seen"])
    assert is_utc(letter["last_seen"])

    number = str(letter["dead_letter_id"])
    for_people = pipeline.kessai("dead-letters", "show", number).stdout
    assert "\x1b" not in for_people
    assert r"\x1b]0;owned\x07" in for_people
    saved = tmp_path / "saved"
    assert pipeline.kessai("dead-letters", "show", number, "--raw", str(saved)).returncode == 0
    assert saved.read_bytes() == HOSTILE
    nowhere = str(tmp_path / "no" / "folder")
    assert_one_line(pipeline.kessai("dead-letters", "show", number, "--raw", nowhere), says="cannot write")
    assert pipeline.kessai("dead-letters", "list", "--reason", "another", "--json").array() == []


def test_every_kind_can_be_sent_by_name(pipeline: Pipeline) -> None:
    became = {
        "standard_settled": ("standard_settled", "review", "unknown_challenge_hash"),
        "metered_usage_accepted": ("metered_usage_accepted", "review", "metered_integration_required"),
        "metered_batch_settled": ("metered_batch_settled", "applied", None),
        "spent": ("ignored", "ignored", "direct_payment.spent"),
        "readiness_probe": ("ignored", "ignored", "readiness_probe"),
        "unknown": ("unknown", "review", "unsupported_confirmation_mode"),
    }
    sent = {kind: pipeline.sent(kind) for kind in became}
    found = {kind: pipeline.event(event_id) for kind, event_id in sent.items()}
    assert {kind: (e["kind"], e["outcome"], e["reason"]) for kind, e in found.items()} == became


@pytest.mark.parametrize("option", ["--stale", "--wrong-secret", "--secret=whsec_another"])
def test_what_the_door_refuses_fails_unless_it_is_expected(pipeline: Pipeline, option: str) -> None:
    refused = pipeline.send(option, "--json", "--event-id", "evt_refused")
    assert refused.returncode == 1
    assert refused.object()["answers"] == {"401": 1}
    assert "whsec_another" not in refused.stdout + refused.stderr
    assert pipeline.send(option, "--expect", "401", "--event-id", "evt_refused").returncode == 0
    assert_one_line(pipeline.kessai("events", "show", "evt_refused"), says="no event")


def test_another_answer_than_the_expected_one_fails(pipeline: Pipeline) -> None:
    assert pipeline.send("--expect", "401").returncode == 1


def test_duplicates_are_delivered_and_counted_and_have_one_effect(pipeline: Pipeline) -> None:
    add(pipeline, "thrice")
    ran = pipeline.send("--for-order", "thrice", "--duplicates", "2", "--concurrency", "8", "--json")
    assert (ran.object()["sent"], ran.object()["answers"]) == (3, {"204": 3})
    event_id = str(ran.object()["event_id"])
    pipeline.await_deliveries(event_id, 3)
    assert pipeline.event(event_id)["outcome"] == "applied"
    assert pipeline.one("orders", "show", "thrice")["state"] == "paid"


def test_a_count_is_sent_at_its_rate(pipeline: Pipeline) -> None:
    began = time.monotonic()
    ran = pipeline.send("spent", "--count", "11", "--rate", "5", "--json")
    assert time.monotonic() - began >= 2.0
    assert (ran.object()["sent"], ran.object()["answers"]) == (11, {"204": 11})
    assert ran.object()["p99_ms"] >= ran.object()["p50_ms"] > 0


def test_a_field_of_any_type_can_be_set(pipeline: Pipeline) -> None:
    """JSON where it reads as JSON: an id that is a number makes no event."""
    assert pipeline.send("--set", "id=4711").returncode == 0
    assert pipeline.listed("dead-letters", "list", reason="malformed:id_not_text")
    event_id = pipeline.sent("--set", "data.mode=elsewhere", "--set", 'data.further={"deep": [1]}')
    assert pipeline.event(event_id)["reason"] == "unsupported_confirmation_mode"
