"""The two thousand webhooks that the demo sends: every kind, and every fault.

Their order does not change the result: the demo shuffles them.
"""

from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from datetime import datetime
from typing import Any

from deploy.sending.kinds import Kind
from deploy.showcase import faults
from deploy.showcase.scene import Casting, Payment, Scene, Shop, fate

APPLIED, DUPLICATE, REPEAT = "applied", "duplicate", "repeat"
"""A repeat is a further delivery of an event that the books hold; a duplicate is a new event of a known payment."""

At = Callable[[Shop, str], Casting]
"""Names the shop and the scene for which events are made."""


def all_scenes(run: str, *, web: Shop, kiosk: Shop, now: datetime) -> list[Scene]:
    """Return all scenes. `kiosk` has opted in to metered payments; `run` separates two demos in the same books."""

    def at(shop: Shop, name: str) -> Casting:
        return Casting(run, shop, name, now)

    return [*_applied(at, web, kiosk), *_reviewed(at, web, kiosk), *_not_applied(at, web)]


def _applied(at: At, web: Shop, kiosk: Shop) -> list[Scene]:
    return [
        _payments(at(web, "paid"), "payments", 850),
        _late(at(web, "late"), "payments before their orders", 60),
        _redelivered(at(web, "redelivered"), "payments delivered three times", 80),
        _same_payment(at(web, "same"), "one payment under two event ids", 20),
        _usage(at(kiosk, "usage"), "metered usage, shop opted in", 120),
        _batches(at(web, "batch"), "settlement batches", 30),
        _batch_again(at(web, "batch-again"), "one batch under two event ids", 10),
    ]


def _reviewed(at: At, web: Shop, kiosk: Shop) -> list[Scene]:
    no_order = "unknown_challenge_hash", "unknown_metered_challenge_hash"
    return [
        _mismatches(at(web, "amount"), "another amount", 50, "amount_mismatch", _other_amount),
        _mismatches(at(web, "currency"), "another currency", 30, "currency_mismatch", _other_currency),
        _mismatches(at(web, "merchant"), "another merchant", 20, "merchant_mismatch", _other_merchant),
        _band(at(web, "band"), "standard payment of a micro order", 10),
        _second_payment(at(web, "second"), "two payments of one order", 30),
        _spent_requirement(at(web, "spent-requirement"), "one payment for two orders", 10),
        _closed(at(web, "closed"), "payments of cancelled orders", 30),
        _conflict(at(web, "conflict"), "one event id, other bytes", 20),
        _batch_conflict(at(web, "batch-conflict"), "one batch, another receipt", 10),
        _unknown(at(web, "nobodys"), Kind.STANDARD_SETTLED, "payments that no order expects", 40, no_order[0]),
        _unknown(
            at(kiosk, "nobodys-usage"), Kind.METERED_USAGE_ACCEPTED, "usage that no order expects", 10, no_order[1]
        ),
        _opted_out(at(web, "opted-out"), "metered usage, shop not opted in", 60),
        _strange(at(web, "strange"), "unknown shapes", 6),
    ]


def _not_applied(at: At, web: Shop) -> list[Scene]:
    """Ignored, kept as dead letters, or refused by the ingress."""
    return [
        _ignored(at(web, "probe"), Kind.READINESS_PROBE, "readiness probes", 10, "readiness_probe"),
        _ignored(at(web, "spent"), Kind.SPENT, "spent events", 40, "direct_payment.spent"),
        faults.malformed(at(web, "malformed"), "signed, but no event", 5),
        faults.forged(at(web, "forged"), "forged signatures", 50),
        faults.stale(at(web, "stale"), "stale signatures", 30),
        faults.unsigned(at(web, "unsigned"), "no signature", 14),
        faults.elsewhere(at(web, "elsewhere"), "endpoints that do not exist", 10),
        faults.too_large(at(web, "large"), "bodies too large", 5),
        faults.encoded(at(web, "encoded"), "compressed bodies", 5),
    ]


def _payments(cast: Casting, title: str, number: int) -> Scene:
    return cast.scene_of(title, [cast.payment(n) for n in range(number)], APPLIED)


def _late(cast: Casting, title: str, number: int) -> Scene:
    scene = _payments(cast, title, number)
    return replace(scene, orders=(), late_orders=scene.orders)


def _closed(cast: Casting, title: str, number: int) -> Scene:
    scene = _payments(cast, title, number)
    return replace(
        scene,
        expected=Counter({fate("review", "paid_after_close"): number}),
        cancelled=tuple(order.order_id for order in scene.orders),
    )


def _redelivered(cast: Casting, title: str, number: int) -> Scene:
    scene = _payments(cast, title, number)
    again = [replace(posting, age=age) for posting in scene.postings for age in (1, 2)]
    return replace(scene, postings=(*scene.postings, *again), expected=Counter({APPLIED: number, REPEAT: 2 * number}))


def _same_payment(cast: Casting, title: str, number: int) -> Scene:
    scene = _payments(cast, title, number)
    again = [cast.sent(cast.again(cast.payment(n), n).event) for n in range(number)]
    return replace(scene, postings=(*scene.postings, *again), expected=Counter({APPLIED: number, DUPLICATE: number}))


def _second_payment(cast: Casting, title: str, number: int) -> Scene:
    scene = _payments(cast, title, number)
    others = [cast.again(cast.payment(n), n) for n in range(number)]
    for n, other in enumerate(others):
        other.data["requirement_id"] = f"dpr_{cast.key(n, 'b')}"
    return replace(
        scene,
        postings=(*scene.postings, *(cast.sent(other.event) for other in others)),
        expected=Counter({APPLIED: number, fate("review", "second_payment"): number}),
    )


def _spent_requirement(cast: Casting, title: str, number: int) -> Scene:
    """Two orders are paid by one requirement: the first event decides which order has it."""
    first, second = [cast.payment(n) for n in range(number)], [cast.payment(n + number) for n in range(number)]
    for payment, other in zip(first, second, strict=True):
        other.data["requirement_id"] = payment.data["requirement_id"]
    scene = cast.scene_of(title, [*first, *second], APPLIED)
    return replace(scene, expected=Counter({APPLIED: number, fate("review", "requirement_conflict"): number}))


def _conflict(cast: Casting, title: str, number: int) -> Scene:
    """The second body has the same payment in other bytes: the first one counts."""
    scene = _payments(cast, title, number)
    others = [cast.sent({**cast.payment(n).event, "note": "not the same bytes"}) for n in range(number)]
    return replace(
        scene,
        postings=(*scene.postings, *others),
        expected=Counter({APPLIED: number, fate("review", "event_id_conflict"): number}),
    )


def _usage(cast: Casting, title: str, number: int) -> Scene:
    return cast.scene_of(title, [cast.usage(n) for n in range(number)], APPLIED)


def _opted_out(cast: Casting, title: str, number: int) -> Scene:
    return replace(
        _usage(cast, title, number), expected=Counter({fate("review", "metered_integration_required"): number})
    )


def _batches(cast: Casting, title: str, number: int) -> Scene:
    events = [cast.event(Kind.METERED_BATCH_SETTLED, n) for n in range(number)]
    return Scene(cast.scene, title, tuple(map(cast.sent, events)), Counter({APPLIED: number}))


def _batch_again(cast: Casting, title: str, number: int) -> Scene:
    scene = _batches(cast, title, number)
    again = [
        cast.sent(cast.event(Kind.METERED_BATCH_SETTLED, n) | {"id": f"evt_{cast.key(n, 'b')}"}) for n in range(number)
    ]
    return replace(scene, postings=(*scene.postings, *again), expected=Counter({APPLIED: number, DUPLICATE: number}))


def _batch_conflict(cast: Casting, title: str, number: int) -> Scene:
    scene = _batches(cast, title, number)
    others = []
    for n in range(number):
        other = cast.event(Kind.METERED_BATCH_SETTLED, n) | {"id": f"evt_{cast.key(n, 'b')}"}
        other["data"]["chain_receipt_id"] = f"rcpt_{cast.key(n, 'b')}"
        others.append(cast.sent(other))
    return replace(
        scene,
        postings=(*scene.postings, *others),
        expected=Counter({APPLIED: number, fate("review", "batch_conflict"): number}),
    )


def _mismatches(cast: Casting, title: str, number: int, reason: str, change: Callable[[dict[str, Any]], None]) -> Scene:
    payments = [cast.payment(n) for n in range(number)]
    for payment in payments:
        change(payment.data)
    return cast.scene_of(title, payments, fate("review", reason))


def _other_amount(data: dict[str, Any]) -> None:
    data["amount_minor"] -= 1


def _other_currency(data: dict[str, Any]) -> None:
    data["currency"] = "USD" if data["currency"] == "JPY" else "JPY"


def _other_merchant(data: dict[str, Any]) -> None:
    data["merchant"] = "somebody_else"


def _band(cast: Casting, title: str, number: int) -> Scene:
    """A micro order cannot be settled payment by payment."""
    payments = []
    for n in range(number):
        order, event = cast.usage(4 * n).order, cast.payment(n).event
        event["data"] |= {
            "amount_minor": order.amount_minor,
            "currency": order.currency,
            "challenge_hash": order.challenge_hash,
        }
        payments.append(Payment(order, event))
    return cast.scene_of(title, payments, fate("review", "band_mismatch"))


def _unknown(cast: Casting, kind: Kind, title: str, number: int, reason: str) -> Scene:
    events = [cast.event(kind, n) for n in range(number)]
    return Scene(cast.scene, title, tuple(map(cast.sent, events)), Counter({fate("review", reason): number}))


def _ignored(cast: Casting, kind: Kind, title: str, number: int, reason: str) -> Scene:
    events = [cast.event(kind, n) for n in range(number)]
    return Scene(cast.scene, title, tuple(map(cast.sent, events)), Counter({fate("ignored", reason): number}))


def _strange(cast: Casting, title: str, each: int) -> Scene:
    """Events for each reason that the classifier has for `unknown`."""
    changes: dict[str, tuple[Kind, dict[str, Any]]] = {
        "unsupported_confirmation_mode": (Kind.UNKNOWN, {}),
        "invalid_metered_settlement_confirmation": (Kind.METERED_BATCH_SETTLED, {"usage_event_digest": " "}),
        "missing_standard_settlement_fields": (Kind.STANDARD_SETTLED, {"chain_receipt_id": None}),
        "missing_metered_usage_fields": (Kind.METERED_USAGE_ACCEPTED, {"settlement_cadence": "daily"}),
        "unknown_confirmation_shape": (Kind.STANDARD_SETTLED, {"pricing_band": "giga"}),
        "not_direct_payment_confirmed": (Kind.STANDARD_SETTLED, {}),
    }
    events = []
    for sort, (reason, (kind, change)) in enumerate(changes.items()):
        for n in range(each):
            event = cast.event(kind, 100 * sort + n)
            event["data"] |= change
            if reason == "not_direct_payment_confirmed":
                event["type"] = "direct_payment.refunded"
            events.append(cast.sent(event))
    return Scene(cast.scene, title, tuple(events), Counter({fate("review", reason): each for reason in changes}))
