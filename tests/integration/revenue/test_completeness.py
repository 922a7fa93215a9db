"""Whatever is missing or differs on either side: before the comparison it is unexplained, after it has a review."""

from decimal import Decimal
from typing import NamedTuple

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from shared.sdrp.api.usage import ProviderUsageEvent
from tests.given import new_order, usage
from tests.integration.revenue.accounts import REVENUE_TABLES, Accounts
from tests.integration.revenue.test_report import report
from tests.statements import nameless, stated_usage


class Paid(NamedTuple):
    """What either side knows of one payment of 200 yen."""

    has_webhook: bool
    has_row: bool
    is_named: bool
    stated: str

    @property
    def is_well(self) -> bool:
        return self.has_webhook is self.has_row and (not self.has_row or self.stated == "200")

    def row(self, name: str) -> ProviderUsageEvent:
        make = stated_usage if self.is_named else nameless
        receivable = str(Decimal(self.stated) - 2)
        return make(name, provider_gross_amount_minor=self.stated, provider_receivable_minor=receivable)


_payments = st.lists(
    st.builds(Paid, st.booleans(), st.booleans(), st.booleans(), st.sampled_from(["200", "200", "200", "120.5"])),
    max_size=7,
)


@settings(max_examples=30, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(_payments)
async def test_nothing_hides(accounts: Accounts, payments: list[Paid]) -> None:
    await accounts.books.rows(f"TRUNCATE {', '.join(f'kessai.{table}' for table in REVENUE_TABLES)} RESTART IDENTITY")
    paid = {f"order-{number}": each for number, each in enumerate(payments)}
    await accounts.books.register(*(new_order(name, 200) for name in paid))
    await accounts.sync()
    for name, each in paid.items():
        if each.has_webhook:
            await accounts.books.apply(usage(f"evt-{name}", name))
    await accounts.usage_page(*(each.row(name) for name, each in paid.items() if each.has_row))

    before = await report(accounts)
    if all(each.is_well for each in payments):
        assert before.is_explained
    if not before.is_explained:
        assert sum(each.unexplained for each in before.currencies.values()) > 0
    elif all(each.is_named for each in payments):
        assert all(each.is_well for each in payments)

    compared = await accounts.compare()
    after = await report(accounts)
    assert after.is_explained, "every difference has its review, and they account for all that differs"
    assert compared.opened == len(await accounts.differences()) == len(after.differences)
    again = await accounts.compare()
    assert (again.opened, again.changed, again.closed) == (0, 0, 0)
