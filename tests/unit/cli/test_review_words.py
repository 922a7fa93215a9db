"""One line tells what an act did."""

import pytest

from deploy.cli.review_words import story
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
            "review 7 stays as it is: today's ruling is second_payment still",
        ),
        (
            Resolved(7, Resolution.ACCEPT_MISMATCH, "proposed", order_id="o-1"),
            "review 7 waits for a second person to approve: accept-mismatch, order o-1",
        ),
    ],
)
def test_each_end_has_its_words(done: Resolved, line: str) -> None:
    assert story(done) == line
