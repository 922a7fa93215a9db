"""Every call of the platform's API: what both clients may be given, sound or not, and what the platform answers.

A value that stands in `Stricter` is one that Kessai refuses on purpose, whatever the official SDK makes of it.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from types import MappingProxyType
from typing import Any

from tests import platform_answers as answers


@dataclass(frozen=True, slots=True)
class Stricter:
    value: Any


Pool = tuple[Any, ...]

NO_TEXT: Pool = (Stricter(7), Stricter(True), Stricter(b"bytes"), Stricter(["x"]), "", " \t", 0, False, "\ud800")
TEXT: Pool = ("word", " padded ", "注文", "a/b?c=d&e#f%2F+~'", *NO_TEXT)
IDS: Pool = ("id_1", " id-2 ", "a.b~c", Stricter("."), Stricter(".."), *NO_TEXT)
QUOTED_IDS: Pool = (*IDS, "a/b", "a b?c#d", "注文", "%2e%2e")
INTEGERS: Pool = (1, 150, 2**53 - 1, 2**53, 0, -1, True, False, 1.0, 1.5, "5", Decimal(5))
USAGE_LIMITS: Pool = (1, 200, 500, Stricter(501), Stricter(2**53 - 1), 0, -1, "5", True)
BATCH_LIMITS: Pool = (1, 200, Stricter(201), Stricter(500), 0, -1, "5", True)
FLAGS: Pool = (True, False, Stricter(1), Stricter(0), Stricter("false"), Stricter(""), Stricter([]))
OBJECTS: Pool = (
    *({}, {"a": [1, {"b": None}], "é": 1.5, "big": 2**70}, {1: "one", None: "n"}, {"t": (1, 2)}, {"order": "注文"}),
    *({"x": object()}, {"x": {1}}, {"x": Decimal(1)}, {"x": float("nan")}, {"x": "\ud800"}, {(1,): 2}, "text", 7),
    Stricter([("a", 1)]),
)
MERCHANTS: Pool = ("tea_house", " Tea.House-1\n", "a" * 96, "a" * 97, "-tea", "te a", "茶", "\u212aessai", *NO_TEXT)
OWN_MERCHANTS: Pool = ("tea_house", " Tea-House\n", "a" * 64, "a" * 65, "ab", "tea.house", "_tea", "茶", *NO_TEXT)
CURRENCIES: Pool = ("JPY", " usd\t", "Jpy", "EUR", "", "\uff2aPY", 5)
TOKENS: Pool = ("JPYC", " usdc ", "DOGE", "", 5)
PLANS: Pool = ("micro", " NANO ", "standard", "", 5)
BILLING: Pool = ("launch", " FREE ", "pro", "enterprise", "", 5)
ALLOWED: Pool = (
    *(["JPY"], ("usd", "JPY"), {"JPY": "JPYC"}, {"jpy": "usdc"}),
    *([], {}, "JPY", ["EUR"], {"JPY": "DOGE"}, [1], 7),
)
SECURE_URLS: Pool = (
    *("https://tea.example/hook", " https://TEA.example:8443/h?x=1 ", "https://茶.example/", "https://[::1]/"),
    *("http://tea.example/", "http://localhost/", "https://u:p@tea.example/", "tea.example", "https://", "", 7),
    *map(Stricter, ("https://@tea.example/", "https://tea.example/a b", "https://te\ta.example", "https://t:99999/")),
    *map(Stricter, ("https://evil\\@tea.example/", "https://tea.example/" + "a" * 2048)),
)
PAGE_URLS: Pool = (
    *("https://tea.example/thanks?order=1", "http://localhost:3000/x", "http://127.0.0.1/", "http://[::1]:8/", ""),
    *map(Stricter, ("http://tea.example/", "javascript:alert(1)", "thanks", "https://u:p@tea.example/", 7)),
)
ORIGINS: Pool = (
    *(["https://Tea.example", "https://tea.example/path?q", "https://tea.example:443"], ["http://localhost:3000"]),
    *(("https://[::1]:8443",), [], ["http://[::1]:80"], ["https://tea.example:8443"]),
    *(["tea"], ["http://tea.example"], ["https://u@tea.example"], ["https://t:99999"], ["ftp://tea"], "https://t", [7]),
    *map(Stricter, (["https://@tea.example"], ["https://te a.example"], ["https://t\\x"])),
)
NONCES: Pool = ("order_1-attempt_1", " n ", "注文", "a:b", ":", *NO_TEXT)
EVENT_TYPES: Pool = (
    *(["direct_payment.confirmed"], (" spent ",), [], [""], [" "], Stricter("abc"), Stricter([5]), Stricter({"a": 1})),
)
SUBSCRIPTION_IDS: Pool = (["whsub_1"], ("a", " b "), [], [""], Stricter("abc"), Stricter([5]))
CADENCES: Pool = ("monthly", " Daily ", {"kind": "daily", "times": 2}, "", {"x": object()}, 7, Stricter([("a", 1)]))

METERED = {"plan_type": PLANS, "token_symbol": TOKENS}
LISTING = {"listing_id": TEXT, "capability_key": TEXT}
FINALITY = {
    "await_finality": FLAGS,
    "await_required_status": TEXT,
    "await_timeout_seconds": INTEGERS,
    "await_poll_seconds": INTEGERS,
}
SIGNING = {
    "user_signing": FLAGS,
    "user_signing_flow": FLAGS,
    "external_signature": TEXT,
    "external_safe_tx_hash": TEXT,
}
CHARGE = {"merchant": MERCHANTS, "amount_minor": INTEGERS, "currency": CURRENCIES, "challenge": TEXT}
TERMS = {
    "billing_plan": BILLING,
    "billing_currency": CURRENCIES,
    "display_name": TEXT,
    "allowed_currencies": ALLOWED,
    "webhook_callback_url": SECURE_URLS,
    "billing_mandate_cap_minor": INTEGERS,
    "max_amount_minor": INTEGERS,
    "checkout_allowed_origins": ORIGINS,
    "standard_terms_accepted": FLAGS,
    "terms_accepted": FLAGS,
    "terms_version": TEXT,
    "sandbox_confirmed": FLAGS,
    "sandbox_session_id": TEXT,
    "merchant_responsibility_attested": FLAGS,
    "responsibility_attestation_version": TEXT,
    "live_mode_requested": FLAGS,
}


@dataclass(frozen=True, slots=True)
class Call:
    """The first value of each pool is sound. Optional arguments may be left out."""

    name: str
    """Of the method, in both clients."""
    role: str
    required: Mapping[str, Pool]
    optional: Mapping[str, Pool]
    answer: Any

    def sound(self, *, whole: bool) -> dict[str, Any]:
        pools = {**self.required, **self.optional} if whole else self.required
        return {name: pool[0] for name, pool in pools.items()}


@dataclass(slots=True)
class _Calls:
    found: list[Call] = field(default_factory=list)

    def add(self, role: str, name: str, answer: object, required: Mapping[str, Pool], **optional: Pool) -> None:
        self.found.append(Call(name, role, MappingProxyType(dict(required)), MappingProxyType(optional), answer))


def _all() -> tuple[Call, ...]:
    calls = _Calls()
    _merchant(calls)
    _requirements(calls)
    _recurring(calls)
    _statements(calls)
    return tuple(calls.found)


def _merchant(calls: _Calls) -> None:
    own = {"merchant": OWN_MERCHANTS}
    calls.add("merchant", "setup_merchant", answers.merchant(), own, **TERMS)
    calls.add("merchant", "get_merchant", answers.merchant(), own)
    calls.add(
        "merchant",
        "get_merchant_readiness",
        answers.merchant(standard_hosted_checkout_readiness=answers.readiness()),
        own,
    )
    calls.add("merchant", "rotate_challenge_secret", {"challenge_secret": "edrp_new"}, own)
    mandate = {"currency": CURRENCIES, "billing_currency": CURRENCIES, "max_amount_minor": INTEGERS}
    calls.add("merchant", "prepare_billing_mandate", answers.merchant(), own, **mandate)
    session = {"amount_minor": INTEGERS, "currency": CURRENCIES, "nonce": NONCES}
    pages = {"success_url": PAGE_URLS, "cancel_url": PAGE_URLS}
    calls.add("merchant", "create_checkout_session", answers.new_session(), own | session | pages, metadata=OBJECTS)
    calls.add("merchant", "get_checkout_session", answers.session(session_id="id_1"), {"session_id": QUOTED_IDS})
    calls.add(
        "merchant",
        "create_webhook_subscription",
        answers.subscription(signing_secret="whsec_new"),
        {"callback_url": SECURE_URLS},
        description=TEXT,
        event_types=EVENT_TYPES,
        metadata=OBJECTS,
    )
    calls.add("merchant", "list_webhook_subscriptions", [answers.subscription()], {})
    calls.add(
        "merchant",
        "queue_webhook_test_delivery",
        {"queued": True, "event": {"id": "evt_1"}},
        {"event_type": TEXT},
        data=OBJECTS,
        subscription_ids=SUBSCRIPTION_IDS,
    )
    listed: dict[str, Pool] = {"subscription_id": TEXT, "event_type": TEXT, "status": TEXT, "limit": INTEGERS}
    calls.add("merchant", "list_webhook_deliveries", [answers.delivery()], {}, **listed)


def _requirements(calls: _Calls) -> None:
    requirement = answers.requirement()
    calls.add(
        "buyer",
        "create_payment_requirement",
        requirement,
        CHARGE,
        token_symbol=TOKENS,
        allowance_amount_minor=INTEGERS,
        metadata=OBJECTS,
    )
    calls.add("buyer", "get_payment_requirement", requirement, {"requirement_id": IDS})
    calls.add("buyer", "verify_payment_requirement", requirement, {"requirement_id": IDS})
    payload: Pool = ({"receipt_kind": "sdrp_direct_payment", "await_finality": True}, {}, {"x": object()}, 7)
    calls.add("buyer", "execute_prepared_transaction", answers.execution(), {"payload": payload})


def _recurring(calls: _Calls) -> None:
    calls.add("buyer", "create_subscription", answers.recurring(), CHARGE, cadence=TEXT, **SIGNING)
    texts = ("product_listing_id", "capability_key", "mode", "merchant", "challenge", "agent_id", "operation_key")
    more = ("listing_id", "allowed_operation_key", "expected_operation_key", "expires_at", "valid_until")
    numbers = ("amount_minor", "expected_amount_minor", "max_amount_minor", "max_amount_minor_per_run", "max_runs")
    calls.add(
        "buyer",
        "create_scheduled_auto_pay_authorization",
        answers.authorization(schedule_token="sched_new"),
        {},
        **dict.fromkeys((*texts, *more, "authorization_id"), TEXT),
        **dict.fromkeys(numbers, INTEGERS),
        currency=CURRENCIES,
        token_symbol=TOKENS,
        buyer_token=TOKENS,
        cadence=CADENCES,
        cadence_limit=OBJECTS,
        metadata=OBJECTS,
        **SIGNING,
    )
    calls.add(
        "buyer",
        "revoke_scheduled_auto_pay_authorization",
        answers.authorization(status="revoked"),
        {"authorization_id": QUOTED_IDS},
    )
    tokens: Pool = ("sched_token", " padded ", "", Stricter("two words"), Stricter("cli_key"), Stricter("t\nx"), 7)
    calls.add(
        "buyer",
        "execute_scheduled_auto_pay",
        answers.autopay(),
        {"schedule_token": tokens[:-1], "slot_id": TEXT},
        input=OBJECTS,
        arguments=OBJECTS,
        scheduled_for=TEXT,
        draft_token=TEXT,
        metadata=OBJECTS,
        **FINALITY,
    )


def _statements(calls: _Calls) -> None:
    usage, batches = answers.page([answers.usage_event()], "next"), answers.page([answers.batch()])
    mine = METERED | {"status": TEXT, "cursor": TEXT}
    theirs = mine | LISTING
    calls.add("buyer", "get_buyer_metered_summary", answers.buyer_summary(), {}, **METERED)
    calls.add("buyer", "list_buyer_usage_events", usage, {}, **mine, limit=USAGE_LIMITS)
    calls.add("buyer", "list_buyer_settlement_batches", batches, {}, **mine, limit=BATCH_LIMITS)
    calls.add("provider", "get_provider_metered_summary", answers.provider_summary(), {}, **METERED, **LISTING)
    calls.add("provider", "list_provider_usage_events", usage, {}, **theirs, limit=USAGE_LIMITS)
    calls.add("provider", "list_provider_settlement_batches", batches, {}, **theirs, limit=BATCH_LIMITS)
    batch_id = {"settlement_batch_id": QUOTED_IDS}
    answer = answers.batch(settlement_batch_id="id_1")
    calls.add("provider", "get_provider_settlement_batch", answer, batch_id, **LISTING)


CALLS = _all()
