"""What the platform answers, as its own types and sandbox of 0.5.7 have it; each can be changed field by field."""

from typing import Any

Json = dict[str, Any]
Changed = Any
"""What a field is to be: anything, sound or not."""


def usage_event(number: int = 1, **changed: Changed) -> Json:
    """Of a provider's statement, in the micro band."""
    return {
        "metered_usage_id": f"mu_{number:08d}",
        "created_at": "2026-11-20T11:59:58.123456Z",
        "plan_type": "micro",
        "settlement_cadence": "weekly",
        "period_start": "2026-11-16T00:00:00Z",
        "period_end": "2026-11-23T00:00:00Z",
        "product_listing_id": "listing_1",
        "listing_id": "listing_1",
        "capability_key": "capability.alpha",
        "operation_key": "checkout.confirm",
        "currency": "JPY",
        "token_symbol": "JPYC",
        "provider_gross_amount_minor": "200",
        "provider_usage_amount_minor": "200",
        "provider_receivable_minor": "198",
        "protocol_fee_minor": "2",
        "gross_buyer_debit_minor": "200",
        "rounding_delta_minor": "0",
        "buyer_debit_minor": "200",
        "status": "pending_settlement",
        "expected_scheduled_debit_at": "2026-11-26T00:00:00Z",
        "settlement_batch_id": "msb_1",
        "buyer_period_ref": f"bpr_{number:032x}",
    } | changed


def batch(number: int = 1, **changed: Changed) -> Json:
    return {
        "settlement_batch_id": f"msb_{number}",
        "plan_type": "micro",
        "settlement_cadence": "weekly",
        "status": "settled",
        "currency": "JPY",
        "token_symbol": "JPYC",
        "settlement_trigger": "scheduled_close",
        "settlement_threshold_minor": "10000",
        "period_start": "2026-11-09T00:00:00Z",
        "period_end": "2026-11-16T00:00:00Z",
        "not_before_attempt_at": "2026-11-19T00:00:00Z",
        "attempt_count": 1,
        "chain_receipt_id": "chain_1",
        "usage_event_digest": "sha256:d1",
        "settled_at": "2026-11-19T01:00:00Z",
        "provider_gross_amount_minor": "10200",
        "protocol_fee_minor": "102",
        "provider_receivable_minor": "10098",
        "buyer_debit_minor": "10200",
        "rounding_delta_minor": "0",
        "settled_provider_receivable_minor": "10098",
        "unsettled_provider_receivable_minor": "0",
        "past_due_provider_receivable_minor": "0",
        "buyer_period_ref": "bpr_1",
    } | changed


def page(items: list[Json], next_cursor: str | None = None) -> Json:
    return {"items": items, "next_cursor": next_cursor}


def open_period(**changed: object) -> Json:
    return {
        "plan_type": "nano",
        "settlement_cadence": "monthly",
        "currency": "USD",
        "token_symbol": "USDC",
        "provider_gross_amount_minor": "30",
        "protocol_fee_minor": "0.3",
        "provider_receivable_minor": "29.7",
        "buyer_debit_minor": "30",
        "total_unsettled_exposure_minor": "30",
    } | changed


def buyer_summary(**changed: object) -> Json:
    return {
        "role": "buyer",
        "open_periods": [open_period()],
        "settlement_batches": [batch()],
        "past_due_blocks": [{"settlement_batch_id": "msb_0", "failure_reason_code": "INSUFFICIENT_BALANCE"}],
        "balance_sufficiency": {"sufficient": True},
    } | changed


def provider_summary(**changed: object) -> Json:
    return {
        "role": "provider",
        "timezone": "UTC",
        "open_periods": [open_period()],
        "periods": [batch()],
        "totals": {"settled_provider_receivable_minor": "10098", "unsettled_provider_receivable_minor": "29.7"},
    } | changed


def new_session(**changed: object) -> Json:
    return {
        "checkout_url": "https://siglume.com/pay/chk_1",
        "session_id": "chk_1",
        "challenge_hash": "sha256:c1",
        "status": "open",
        "expires_at": "2026-11-20T12:30:00Z",
    } | changed


def session(**changed: object) -> Json:
    return (
        new_session()
        | {"merchant": "tea_house", "amount_minor": 1200, "currency": "JPY", "token_symbol": "JPYC"}
        | {"success_url": "https://tea.example/thanks", "cancel_url": "https://tea.example/cart", "metadata_jsonb": {}}
        | changed
    )


def merchant(**changed: object) -> Json:
    return {
        "merchant_account": {
            "merchant_account_id": "macc_1",
            "merchant": "tea_house",
            "merchant_user_id": "usr_merchant",
            "billing_mandate_id": "mandate_1",
            "status": "active",
            "billing_status": "active",
            "billing_plan": "launch",
            "billing_currency": "JPY",
            "metadata_jsonb": {"self_service": True},
        },
        "challenge_secret_created": True,
    } | changed


def readiness(**changed: object) -> Json:
    return {
        "scope": "standard_hosted_checkout",
        "ready": False,
        "status": "action_required",
        "checks": [],
        "missing_requirements": ["billing_mandate"],
        "blockers": [],
    } | changed


def subscription(**changed: object) -> Json:
    return {
        "id": "whsub_1",
        "callback_url": "https://tea.example/webhooks/siglume",
        "status": "active",
        "event_types": ["direct_payment.confirmed"],
        "signing_secret_hint": "cret",
    } | changed


def delivery(**changed: object) -> Json:
    return {
        "id": "whdel_1",
        "subscription_id": "whsub_1",
        "event_id": "evt_1",
        "event_type": "direct_payment.confirmed",
        "delivery_status": "delivered",
        "response_status": 204,
        "delivered_at": "2026-11-20T12:00:00Z",
    } | changed


def requirement(**changed: object) -> Json:
    return {
        "id": "dpr_1",
        "requirement_id": "dpr_1",
        "direct_payment_requirement_id": "dpr_1",
        "mode": "external_402",
        "buyer_user_id": "usr_buyer",
        "merchant": "tea_house",
        "challenge_hash": "sha256:c1",
        "request_hash": "sha256:r1",
        "token_symbol": "JPYC",
        "currency": "JPY",
        "amount_minor": 1200,
        "fee_bps": 180,
        "status": "requires_payment",
        "transaction_request": {"to": "0xhub", "data": "0xpay", "value": 0, "metadata_jsonb": {"source": "test"}},
        "approve_transaction_request": {"to": "0xtoken", "data": "0xapprove"},
        "non_custodial": True,
    } | changed


def execution(**changed: object) -> Json:
    return {"receipt": {"receipt_id": "rcpt_1"}, "finalization": {"status": "final"}} | changed


def recurring(**changed: object) -> Json:
    return {
        "subscription_status": "active",
        "merchant": "tea_house",
        "mandate": {"mandate_id": "mandate_1"},
        "idempotent_replay": False,
        "amount_minor": 980,
        "currency": "JPY",
        "cadence": "monthly",
    } | changed


def authorization(**changed: object) -> Json:
    return {
        "authorization_id": "auth_1",
        "id": "auth_1",
        "buyer_user_id": "usr_buyer",
        "product_listing_id": "listing_1",
        "listing_id": "listing_1",
        "capability_key": "capability.alpha",
        "expected_amount_minor": 980,
        "max_amount_minor": 980,
        "currency": "JPY",
        "token_symbol": "JPYC",
        "status": "active",
        "cadence": {"kind": "daily"},
    } | changed


def autopay(**changed: object) -> Json:
    return {"status": "executed", "charge_status": "charged", "authorization": authorization()} | changed
