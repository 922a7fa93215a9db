"""Who calls the platform? There is one client for each role, with the token of that role."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Unpack

from shared.errors import KessaiError
from shared.sdrp.api.checkout import CheckoutCalls
from shared.sdrp.api.merchants import Merchant, MerchantCalls, MerchantTerms
from shared.sdrp.api.recurring import RecurringCalls
from shared.sdrp.api.requirements import RequirementCalls
from shared.sdrp.api.statements import BuyerStatements, ProviderStatements
from shared.sdrp.api.webhooks import WebhookCalls, WebhookSubscription


@dataclass(frozen=True, slots=True)
class CheckoutSetup:
    """What `setup_checkout` made; None for a step that was not requested, or not reached."""

    merchant: Merchant
    billing_mandate: Merchant | None = None
    webhook_subscription: WebhookSubscription | None = None

    def environment(self) -> dict[str, str]:
        """The variables to keep, with the secrets in the clear: they are not shown a second time."""
        values = {"SIGLUME_DIRECT_PAYMENT_MERCHANT": self.merchant.account.merchant}
        if self.merchant.challenge_secret is not None:
            secret = self.merchant.challenge_secret
            values["SIGLUME_DIRECT_PAYMENT_CHALLENGE_SECRET"] = secret.get_secret_value()
        if self.webhook_subscription is not None and self.webhook_subscription.signing_secret is not None:
            values["SIGLUME_WEBHOOK_SECRET"] = self.webhook_subscription.signing_secret.get_secret_value()
        return values


class CheckoutSetupInterrupted(KessaiError):
    """A later step of `setup_checkout` failed; `done` has the results of the steps before, including their secrets."""

    def __init__(self, done: CheckoutSetup, cause: KessaiError) -> None:
        super().__init__(f"the merchant is set up, but then: {cause}")
        self.done = done


class MerchantClient(MerchantCalls, CheckoutCalls, WebhookCalls):
    """Everything that needs a merchant's token."""

    async def setup_checkout(
        self,
        *,
        merchant: str,
        billing_plan: str = "launch",
        billing_currency: str = "JPY",
        prepare_billing_mandate: bool = True,
        create_webhook_subscription: bool | None = None,
        webhook_event_types: Sequence[str] | None = None,
        webhook_description: str | None = None,
        **terms: Unpack[MerchantTerms],
    ) -> CheckoutSetup:
        """The account, its billing mandate and its webhook in one go; keep `environment()` of the result.

        Raises CheckoutSetupInterrupted when the account was made and a later step failed.
        """
        made = await self.setup_merchant(
            merchant=merchant, billing_plan=billing_plan, billing_currency=billing_currency, **terms
        )
        done = CheckoutSetup(made)
        key, callback_url = made.account.merchant, terms.get("webhook_callback_url")
        try:
            if prepare_billing_mandate:
                mandate = await self.prepare_billing_mandate(
                    key,
                    billing_currency=made.account.billing_currency or billing_currency,
                    max_amount_minor=terms.get("max_amount_minor") or terms.get("billing_mandate_cap_minor"),
                )
                done = CheckoutSetup(made, mandate)
            if callback_url and create_webhook_subscription is not False:
                webhook = await self.create_webhook_subscription(
                    callback_url=callback_url,
                    description=webhook_description or f"{key} Direct Request Payment",
                    event_types=webhook_event_types,
                    metadata={"merchant": key, "sdk": "kessai"},
                )
                done = CheckoutSetup(made, done.billing_mandate, webhook)
        except KessaiError as cause:
            raise CheckoutSetupInterrupted(done, cause) from cause
        return done


class BuyerClient(RequirementCalls, RecurringCalls, BuyerStatements):
    """Everything that needs a buyer's token."""


class ProviderClient(ProviderStatements):
    """Everything that needs a provider's token; a merchant is its own provider."""
