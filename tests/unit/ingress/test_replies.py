"""The answers of the webhook ingress."""

import orjson
import pytest

from ingress.webhooks import replies
from ingress.webhooks.replies import Answer

REFUSALS = {name: value for name, value in vars(replies).items() if isinstance(value, Answer) and value.status >= 400}


@pytest.mark.parametrize("answer", REFUSALS.values(), ids=REFUSALS)
def test_a_refusal_is_a_problem_document_of_its_very_length(answer: Answer) -> None:
    head, _, body = answer.stay.bytes_for("POST").partition(b"\r\n\r\n")
    fields = dict(line.split(b": ", 1) for line in head.split(b"\r\n")[1:])
    problem = orjson.loads(body)
    assert fields[b"Content-Type"] == b"application/problem+json"
    assert int(fields[b"Content-Length"]) == len(body)
    assert problem.keys() == {"type", "title", "status", "detail"}
    assert problem["status"] == answer.status
    assert b"GMT" in fields[b"Date"]


@pytest.mark.parametrize("answer", REFUSALS.values(), ids=REFUSALS)
def test_the_closing_twin_says_the_same_and_closes(answer: Answer) -> None:
    stays, closes = answer.stay.bytes_for("POST"), answer.close.bytes_for("POST")
    assert (answer.stay.keep_alive, answer.close.keep_alive) == (True, False)
    assert b"Connection: close" not in stays
    assert b"\r\nConnection: close\r\n" in closes
    assert stays.partition(b"\r\n\r\n")[2] == closes.partition(b"\r\n\r\n")[2]


def test_a_head_request_gets_no_body() -> None:
    assert replies.METHOD_NOT_ALLOWED.close.bytes_for("HEAD").endswith(b"\r\n\r\n")


def test_each_problem_has_a_type_of_its_own_and_no_answer_is_410() -> None:
    types = [
        orjson.loads(answer.stay.bytes_for("POST").partition(b"\r\n\r\n")[2])["type"] for answer in REFUSALS.values()
    ]
    assert len(set(types)) == len(types)
    assert 410 not in {answer.status for answer in REFUSALS.values()}


def test_a_refusal_to_try_again_says_when() -> None:
    for answer in REFUSALS.values():
        assert (b"Retry-After: " in answer.stay.bytes_for("POST")) == (answer.status == 503)


def test_204_has_no_body_and_no_length() -> None:
    said = replies.ACCEPTED.stay.bytes_for("POST")
    assert said.startswith(b"HTTP/1.1 204 No Content\r\n")
    assert said.endswith(b"\r\n\r\n")
    assert b"Content-" not in said
