"""Who sells? Merchant accounts: what they agreed to, what they may do, and the secret of their challenges."""

import re
import secrets
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any, Final

from deploy.sandbox.core import fields
from deploy.sandbox.core.faults import Dice, Fault
from deploy.sandbox.core.pricing import FEE_BPS, THRESHOLD, TOKENS
from deploy.sandbox.core.refusal import Refused, invalid
from deploy.sandbox.core.wire import Ids, iso, short
from shared.sdrp.money import Currency

SELF_SERVICE_KEY: Final = re.compile(r"[a-z0-9][a-z0-9_-]{2,63}", re.ASCII)
RESPONSIBILITY: Final = "sdrp_standard_hosted_checkout_responsibility_v1"


@dataclass(frozen=True, slots=True)
class Merchant:
    key: str
    owner: str
    """The user whose token manages it, and who is the provider in its statements."""
    display_name: str
    plan: str
    billing_currency: Currency
    currencies: frozenset[Currency]
    origins: frozenset[str]
    """Where a buyer may be sent back to."""
    webhook_url: str | None
    challenge_secret: str
    created_at: datetime
    mandate_id: str | None = None
    mandate_cap_minor: int | None = None
    terms_accepted: bool = False
    responsibility_version: str | None = None

    @property
    def listing_id(self) -> str:
        return f"listing_{self.key}"

    @property
    def missing(self) -> tuple[str, ...]:
        """What hosted checkout still waits for."""
        needed = {
            "active_billing_mandate": self.mandate_id is not None,
            "standard_terms_accepted": self.terms_accepted,
            "merchant_responsibility_attested": self.responsibility_version is not None,
        }
        return tuple(name for name, is_there in needed.items() if not is_there)


class Merchants:
    def __init__(self, ids: Ids, dice: Dice) -> None:
        self._ids = ids
        self._dice = dice
        self._merchants: dict[str, Merchant] = {}

    def keep(self, merchant: Merchant) -> None:
        self._merchants[merchant.key] = merchant

    def find(self, key: str) -> Merchant:
        """Raises Refused."""
        merchant = self._merchants.get(key.strip().lower())
        if merchant is None:
            raise Refused(
                404, "EXTERNAL_402_MERCHANT_NOT_FOUND", f"there is no merchant {key[:100]!r}: set it up first"
            )
        return merchant

    def owned(self, key: str, user: str) -> Merchant:
        """Raises Refused when it is not the user's."""
        merchant = self.find(key)
        if merchant.owner != user:
            raise Refused(403, "MERCHANT_FORBIDDEN", f"merchant {merchant.key!r} belongs to another user")
        return merchant

    def setup(self, user: str, body: fields.Body, *, now: datetime) -> tuple[Merchant, bool]:
        """Create or update; whether it was created. Raises Refused."""
        key = fields.text(body, "merchant").lower()
        if not SELF_SERVICE_KEY.fullmatch(key):
            raise invalid("merchant must be 3 to 64 of a-z, 0-9, underscore and hyphen", code="INVALID_MERCHANT_KEY")
        before = self.owned(key, user) if key in self._merchants else None
        merchant = _agreed(before or self._blank(key, user, now), body)
        self.keep(merchant)
        return merchant, before is None

    def give_mandate(self, key: str, user: str, body: fields.Body) -> tuple[Merchant, bool]:
        """The billing mandate, made or reused; in the sandbox no wallet has to approve it. Raises Refused."""
        merchant = self.owned(key, user)
        if body.get("billing_currency") or body.get("currency"):
            wanted = fields.currency(body, "billing_currency" if body.get("billing_currency") else "currency")
            if wanted is not merchant.billing_currency:
                raise Refused(409, "BILLING_CURRENCY_MISMATCH", f"{key} is billed in {merchant.billing_currency}")
        given = replace(
            merchant,
            mandate_id=merchant.mandate_id or self._ids.next("mandate"),
            mandate_cap_minor=fields.optional_amount(body, "max_amount_minor") or merchant.mandate_cap_minor,
        )
        self.keep(given)
        return given, merchant.mandate_id is None

    def rotate_challenge_secret(self, key: str, user: str) -> Merchant:
        """Challenges signed with the old one are refused from now on. Raises Refused."""
        rotated = replace(self.owned(key, user), challenge_secret=new_challenge_secret())
        self.keep(rotated)
        return rotated

    def account(self, merchant: Merchant) -> dict[str, Any]:
        """As the API shows it; the challenge secret is no part of it."""
        overdue = self._dice.strikes(Fault.BILLING_INACTIVE)
        active = merchant.mandate_id is not None and not overdue
        return {
            "merchant_account_id": f"macc_{short(merchant.key)}",
            "merchant": merchant.key,
            "merchant_user_id": merchant.owner,
            "display_name": merchant.display_name,
            "status": "active",
            "billing_plan": merchant.plan,
            "billing_currency": merchant.billing_currency,
            "billing_status": "active" if active else "past_due" if overdue else "setup_required",
            "billing_mandate_id": merchant.mandate_id,
            "token_symbol": TOKENS[merchant.billing_currency],
            "allowed_currencies": {str(currency): TOKENS[currency] for currency in sorted(merchant.currencies)},
            "created_at": iso(merchant.created_at),
            "metadata_jsonb": {
                "environment": "sandbox",
                "checkout_allowed_origins": sorted(merchant.origins),
                "webhook_callback_url": merchant.webhook_url,
                "metered_risk_acceptance": _risk_acceptance(merchant),
            },
        }

    def _blank(self, key: str, user: str, now: datetime) -> Merchant:
        return Merchant(
            key=key,
            owner=user,
            display_name=key,
            plan="launch",
            billing_currency=Currency.JPY,
            currencies=frozenset({Currency.JPY}),
            origins=frozenset(),
            webhook_url=None,
            challenge_secret=new_challenge_secret(),
            created_at=now,
        )


def readiness(merchant: Merchant) -> dict[str, Any]:
    """Whether hosted checkout is open to the merchant, and what it waits for."""
    missing = merchant.missing
    return {
        "scope": "standard_hosted_checkout",
        "ready": not missing,
        "status": "setup_required" if missing else "ready",
        "checks": [{"name": name, "passed": False} for name in missing],
        "missing_requirements": list(missing),
        "blockers": [],
        "merchant_responsibility_attested": merchant.responsibility_version is not None,
        "responsibility_attestation_version": merchant.responsibility_version,
        "live_mode_enabled": True,
    }


def mandate(merchant: Merchant) -> dict[str, Any] | None:
    if merchant.mandate_id is None:
        return None
    return {
        "mandate_id": merchant.mandate_id,
        "status": "active",
        "currency": merchant.billing_currency,
        "token_symbol": TOKENS[merchant.billing_currency],
        "max_amount_minor": merchant.mandate_cap_minor,
        "requires_wallet_approval": False,
    }


def new_challenge_secret() -> str:
    return f"edrp_sandbox_{secrets.token_hex(16)}"


def _agreed(merchant: Merchant, body: fields.Body) -> Merchant:
    plan = (fields.optional_text(body, "billing_plan") or merchant.plan).lower()
    if plan not in FEE_BPS:
        raise invalid("billing_plan must be launch, starter, growth or pro")
    billing = fields.currency(body, "billing_currency") if body.get("billing_currency") else merchant.billing_currency
    webhook = fields.optional_text(body, "webhook_callback_url") or merchant.webhook_url
    given = fields.texts(body, "checkout_allowed_origins")
    origins = {fields.origin(value, "checkout_allowed_origins") for value in given or merchant.origins}
    if webhook is not None:
        origins.add(fields.origin(webhook, "webhook_callback_url"))
    attested = fields.flag(body, "merchant_responsibility_attested")
    return replace(
        merchant,
        display_name=fields.optional_text(body, "display_name") or merchant.display_name,
        plan=plan,
        billing_currency=billing,
        currencies=_currencies(fields.table(body, "allowed_currencies")) or merchant.currencies | {billing},
        origins=frozenset(origins),
        webhook_url=webhook,
        mandate_cap_minor=fields.optional_amount(body, "billing_mandate_cap_minor") or merchant.mandate_cap_minor,
        terms_accepted=merchant.terms_accepted
        or fields.flag(body, "standard_terms_accepted")
        or fields.flag(body, "terms_accepted"),
        responsibility_version=(fields.optional_text(body, "responsibility_attestation_version") or RESPONSIBILITY)
        if attested
        else merchant.responsibility_version,
    )


def _currencies(given: Mapping[str, object]) -> frozenset[Currency]:
    for name, token in given.items():
        if name not in TOKENS or TOKENS[Currency(name)] != token:
            raise invalid("allowed_currencies maps JPY to JPYC and USD to USDC")
    return frozenset(Currency(name) for name in given)


def _risk_acceptance(merchant: Merchant) -> dict[str, Any]:
    return {
        "terms_version": "sandbox",
        "accepted_at": iso(merchant.created_at),
        "principal_user_id": merchant.owner,
        "receipt_id": f"risk_{short('risk', merchant.key)}",
        "settlement_threshold_minor": {str(currency): int(THRESHOLD) for currency in Currency},
    }
