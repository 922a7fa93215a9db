"""What a buyer calls: requirements, prepared transactions, and approvals of what is charged again and again."""

from deploy.sandbox.core import fields
from deploy.sandbox.core.payment import Order, Payment, PaymentStatus
from deploy.sandbox.core.payments import view
from deploy.sandbox.core.pricing import TOKENS
from deploy.sandbox.core.refusal import Refused, invalid
from deploy.sandbox.server.call import Answer, Call, Route
from shared.sdrp.challenge import InvalidChallenge, normalize_merchant

PAYMENT_RECEIPT = "sdrp_direct_payment"
ALLOWANCE_RECEIPT = "sdrp_direct_payment_allowance"
REFERENCE = "sdrp_direct_payment_requirement"


def require(call: Call) -> Answer:
    body = call.body
    if body.get("mode") != "external_402":
        raise invalid("mode must be external_402")
    currency = fields.currency(body)
    if body.get("token_symbol") not in (None, TOKENS[currency]):
        raise invalid(f"{currency} is paid in {TOKENS[currency]}")
    if not body.get("challenge"):
        raise invalid("ask the merchant's server for a challenge", code="EXTERNAL_402_CHALLENGE_REQUIRED")
    try:
        merchant = normalize_merchant(fields.text(body, "merchant"))
    except InvalidChallenge as error:
        raise invalid(str(error)) from None
    order = Order(
        merchant, fields.amount(body), currency, fields.text(body, "challenge"), fields.table(body, "metadata")
    )
    return Answer(_view(call, call.platform.payments.require(call.user, order)), 201)


def show(call: Call) -> Answer:
    return Answer(_view(call, call.platform.payments.owned(call.path["requirement_id"], call.user)))


def verify(call: Call) -> Answer:
    """The receipt belongs to the requirement; who awaits finality gets it at once."""
    payment = call.platform.payments.owned(call.path["requirement_id"], call.user)
    given = (fields.optional_text(call.body, "receipt_id"), fields.optional_text(call.body, "chain_receipt_id"))
    if any(receipt not in (None, payment.receipt_id, payment.chain_receipt_id) for receipt in given):
        raise Refused(409, "RECEIPT_MISMATCH", f"that receipt does not belong to requirement {payment.id}")
    if fields.flag(call.body, "await_finality"):
        payment = call.platform.payments.finalise(payment.id)
    return Answer(_view(call, payment) | {"verified": payment.status is PaymentStatus.PAID})


def execute_prepared(call: Call) -> Answer:
    body = call.body
    if body.get("reference_type") != REFERENCE:
        raise invalid(f"reference_type must be {REFERENCE}")
    payments = call.platform.payments
    payment = payments.owned(fields.text(body, "reference_id"), call.user)
    shown = view(payment, is_allowed=False)
    kind, transaction = fields.text(body, "receipt_kind"), fields.table(body, "transaction_request")
    if kind == ALLOWANCE_RECEIPT and transaction == shown["approve_transaction_request"]:
        receipt = {"receipt_id": payments.allow(payment.buyer, payment.currency), "chain_receipt_id": None}
        return Answer({"receipt": receipt | {"receipt_kind": kind, "status": "confirmed"}, "finalization": None})
    if kind == PAYMENT_RECEIPT and transaction == shown["transaction_request"]:
        sent = payments.pay(payment, await_finality=fields.flag(body, "await_finality"))
        return Answer({"receipt": _receipt(sent, kind), "finalization": {"status": sent.settlement_status}})
    raise Refused(422, "TRANSACTION_MISMATCH", f"that transaction was not prepared for requirement {payment.id}")


def subscribe(call: Call) -> Answer:
    data = call.platform.recurring.subscribe(call.user, call.body)
    return Answer(data, 200 if data["idempotent_replay"] else 201)


def authorize(call: Call) -> Answer:
    return Answer(call.platform.recurring.authorize(call.user, call.body), 201)


def revoke(call: Call) -> Answer:
    return Answer(call.platform.recurring.revoke(call.path["authorization_id"], call.user))


def execute_scheduled(call: Call) -> Answer:
    return Answer(call.platform.recurring.execute(call.token, call.body))


def _view(call: Call, payment: Payment) -> dict[str, object]:
    return view(payment, is_allowed=call.platform.payments.is_allowed(payment))


def _receipt(payment: Payment, kind: str) -> dict[str, object]:
    return {
        "receipt_id": payment.receipt_id,
        "receipt_kind": kind,
        "chain_receipt_id": payment.chain_receipt_id,
        "status": payment.settlement_status,
        "reference_id": payment.id,
    }


_REQUIREMENTS = "/v1/sdrp/direct-payments/requirements"
_AUTHORIZATIONS = "/v1/account/auto-pay/scheduled-authorizations"

ROUTES = (
    Route("POST", _REQUIREMENTS, require),
    Route("GET", f"{_REQUIREMENTS}/{{requirement_id}}", show),
    Route("POST", f"{_REQUIREMENTS}/{{requirement_id}}/verify", verify),
    Route("POST", "/v1/market/web3/transactions/execute-prepared", execute_prepared),
    Route("POST", "/v1/sdrp/direct-payments/subscriptions", subscribe),
    Route("POST", _AUTHORIZATIONS, authorize),
    Route("DELETE", f"{_AUTHORIZATIONS}/{{authorization_id}}", revoke),
    Route("POST", "/v1/market/api-store/scheduled-auto-pay/execute", execute_scheduled),
)
