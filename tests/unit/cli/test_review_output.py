"""One line states what a decision has changed."""

import pytest

from deploy.cli.review_output import decision_message
from shared.ledger.decisions import Resolution
from shared.ledger.resolve import Resolved


@pytest.mark.parametrize(
    ("done", "line"),
    [
        (
            Resolved(7, Resolution.LINK_ORDER, "closed", "applied", None, "o-1", "paid", 2),
            (
                "review 7 is closed: link-order, its event is applied, order o-1 is paid; "
                "with it 2 further reviews of its challenge"
            ),
        ),
        (
            Resolved(7, Resolution.REJECT, "closed", "ignored", "rejected"),
            "review 7 is closed: reject, its event is ignored (rejected)",
        ),
        (
            Resolved(7, Resolution.REPROCESS, "unchanged", "review", "second_payment"),
            "review 7 stays as it is: the reason today is still second_payment",
        ),
        (
            Resolved(7, Resolution.ACCEPT_MISMATCH, "proposed", order_id="o-1"),
            "review 7 waits for a second person to approve: accept-mismatch, order o-1",
        ),
    ],
)
def test_each_result_has_its_message(done: Resolved, line: str) -> None:
    assert decision_message(done) == line
