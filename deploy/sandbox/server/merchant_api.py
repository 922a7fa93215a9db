"""What a merchant calls: its account, its billing mandate, its checkout sessions."""

from deploy.sandbox.core.merchants import mandate, readiness
from deploy.sandbox.server.call import Answer, Call, Route


def setup(call: Call) -> Answer:
    merchants = call.platform.merchants
    merchant, is_new = merchants.setup(call.user, call.body, now=call.platform.now)
    data = {
        "merchant_account": merchants.account(merchant),
        "challenge_secret": merchant.challenge_secret if is_new else None,
        "challenge_secret_created": is_new,
        "created": is_new,
        "listing_id": merchant.listing_id,
        "mandate": mandate(merchant),
        "standard_hosted_checkout_readiness": readiness(merchant),
        "next_steps": dict.fromkeys(merchant.missing, "required"),
    }
    return Answer(data, 201 if is_new else 200)


def show(call: Call) -> Answer:
    merchant = call.platform.merchants.owned(call.path["merchant"], call.user)
    return Answer(
        {
            "merchant_account": call.platform.merchants.account(merchant),
            "challenge_secret": None,
            "challenge_secret_created": True,
            "listing_id": merchant.listing_id,
            "mandate": mandate(merchant),
            "standard_hosted_checkout_readiness": readiness(merchant),
        }
    )


def show_readiness(call: Call) -> Answer:
    merchant = call.platform.merchants.owned(call.path["merchant"], call.user)
    return Answer({"standard_hosted_checkout_readiness": readiness(merchant)})


def rotate_challenge_secret(call: Call) -> Answer:
    merchants = call.platform.merchants
    merchant = merchants.rotate_challenge_secret(call.path["merchant"], call.user)
    return Answer(
        {
            "merchant_account": merchants.account(merchant),
            "challenge_secret": merchant.challenge_secret,
            "challenge_secret_created": True,
        }
    )


def give_mandate(call: Call) -> Answer:
    merchants = call.platform.merchants
    merchant, is_new = merchants.give_mandate(call.path["merchant"], call.user, call.body)
    data = {"merchant_account": merchants.account(merchant), "mandate": mandate(merchant), "created": is_new}
    return Answer(data, 201 if is_new else 200)


def open_session(call: Call) -> Answer:
    session, is_new = call.platform.checkout.open(call.user, call.body)
    return Answer(call.platform.checkout.view(session, root_url=call.root_url), 201 if is_new else 200)


def show_session(call: Call) -> Answer:
    session = call.platform.checkout.owned(call.path["session_id"], call.user)
    return Answer(call.platform.checkout.view(session, root_url=call.root_url))


_MERCHANTS = "/v1/sdrp/direct-payments/merchants"
_SESSIONS = "/v1/sdrp/direct-payments/checkout-sessions"

ROUTES = (
    Route("POST", _MERCHANTS, setup),
    Route("GET", f"{_MERCHANTS}/{{merchant}}", show),
    Route("GET", f"{_MERCHANTS}/{{merchant}}/readiness", show_readiness),
    Route("POST", f"{_MERCHANTS}/{{merchant}}/challenge-secret/rotate", rotate_challenge_secret),
    Route("POST", f"{_MERCHANTS}/{{merchant}}/billing-mandate", give_mandate),
    Route("POST", _SESSIONS, open_session),
    Route("GET", f"{_SESSIONS}/{{session_id}}", show_session),
)
