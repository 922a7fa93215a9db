"""The books name a remedy; each edge explains it in its own terms."""

import pytest

from deploy.cli.advice import ADVICE as OF_TERMINAL
from ingress.console.api.advice import ADVICE as OF_API
from ingress.console.messages import ADVICE as OF_PAGES
from ingress.console.messages import explained
from shared.ledger.decisions import Decision, OrderNotNamed, Resolution
from shared.ledger.reviews import ReviewTaken
from shared.remedies import Remedy, with_advice


def test_the_terminal_explains_every_remedy() -> None:
    assert OF_TERMINAL.keys() == set(Remedy)


def test_no_page_and_no_answer_of_the_api_speaks_of_the_terminal() -> None:
    for text in (*OF_API.values(), *OF_PAGES.values()):
        assert "--" not in text
        assert "kessai " not in text


def test_an_error_is_explained_where_it_is_shown() -> None:
    error = ReviewTaken(7, "user:ann")
    assert explained(error) == "Review 7 is assigned to user:ann. Ask them to release it, or take it over."
    assert with_advice(str(error), error.remedy, OF_TERMINAL).endswith("`kessai reviews claim --take-over`")
    assert with_advice(str(error), error.remedy, {}) == "review 7 is assigned to user:ann"


def test_a_link_without_an_order_is_refused_with_the_field_to_fill() -> None:
    with pytest.raises(OrderNotNamed) as refused:
        Decision(Resolution.LINK_ORDER, "because")
    told = with_advice(str(refused.value), refused.value.remedy, OF_API)
    assert told == "link-order needs the order that the payment is for: send its id as order_id"
