"""What is an event, which rule a malformed one breaks, and which events have no effect."""

from typing import Any

import orjson
import pytest

from shared.sdrp.events import Event, Malformed, MalformedEvent, ignored_because, parse

NOT_TEXT: tuple[object, ...] = (0, 1, 1.5, True, False, [], {}, ["evt"])
NOT_AN_OBJECT: tuple[object, ...] = ([], "{}", 1, True, [{}])
TEXTS = ("id", "type", "api_version", "occurred_at")


def body(**changed: Any) -> dict[str, Any]:  # noqa: ANN401 - any JSON value
    return {
        "id": "evt_1",
        "type": "direct_payment.confirmed",
        "api_version": "2026-05-01",
        "occurred_at": "2026-11-20T12:00:00Z",
        "data": {"mode": "external_402"},
    } | changed


def without(name: str) -> dict[str, Any]:
    return {key: value for key, value in body().items() if key != name}


def malformed(raw: bytes | dict[str, Any]) -> MalformedEvent:
    with pytest.raises(MalformedEvent) as error:
        parse(raw if isinstance(raw, bytes) else orjson.dumps(raw))
    return error.value


def test_an_event_is_its_four_texts_trimmed_and_its_data() -> None:
    event = parse(orjson.dumps(body(id=" evt_1\n", type="\u3000direct_payment.confirmed ", new_field=None)))

    assert event == Event(
        id="evt_1",
        type="direct_payment.confirmed",
        api_version="2026-05-01",
        occurred_at="2026-11-20T12:00:00Z",
        data={"mode": "external_402"},
    )


@pytest.mark.parametrize(
    "raw",
    [
        b"",
        b" ",
        b"{",
        b"\xef\xbb\xbf{}",
        b"\xff\xfe{}",
        b'{"a":NaN}',
        b'{"a":Infinity}',
        b'{"a":1e999}',
        b'{"a":' + b"9" * 5_000 + b"}",
        b'{"a":"\\ud800"}',
        b'{"a":"\xed\xa0\x80"}',
        b'{"a":"\x00"}',
        b'{"a":1,}',
        b"{'a':1}",
        b"{}{}",
        b"[" * 100_000 + b"]" * 100_000,
        b'{"data":' * 100_000 + b"{}" + b"}" * 100_000,
    ],
)
def test_bytes_that_not_every_reader_takes_for_the_same_json_are_not_json(raw: bytes) -> None:
    assert malformed(raw).reason is Malformed.NOT_JSON


@pytest.mark.parametrize("raw", [b"null", b"[]", b"1", b'"evt_1"', b"true", b'[{"id":"evt_1"}]'])
def test_json_that_is_no_object_is_named_so(raw: bytes) -> None:
    assert malformed(raw).reason is Malformed.NOT_AN_OBJECT


@pytest.mark.parametrize("name", TEXTS)
def test_each_text_must_be_there_be_text_not_blank_not_long_and_hold_no_nul(name: str) -> None:
    assert malformed(without(name)).reason == f"missing_{name}"
    assert malformed(body(**{name: None})).reason == f"missing_{name}"
    assert {malformed(body(**{name: value})).reason for value in NOT_TEXT} == {f"{name}_not_text"}
    assert {malformed(body(**{name: value})).reason for value in ("", " ", "\u3000\t")} == {f"blank_{name}"}
    assert {malformed(body(**{name: "x" * length})).reason for length in (256, 10_000)} == {f"{name}_too_long"}
    assert {malformed(body(**{name: value})).reason for value in ("\0", "evt\0", " \0 ")} == {f"nul_in_{name}"}


@pytest.mark.parametrize("name", TEXTS)
def test_255_characters_are_kept_whatever_their_width_or_the_spaces_around(name: str) -> None:
    event = parse(orjson.dumps(body(**{name: " " + "決" * 255 + " "})))
    assert getattr(event, name) == "決" * 255


def test_data_must_be_an_object() -> None:
    assert malformed(without("data")).reason is Malformed.MISSING_DATA
    assert malformed(body(data=None)).reason is Malformed.MISSING_DATA
    assert {malformed(body(data=value)).reason for value in NOT_AN_OBJECT} == {Malformed.DATA_NOT_AN_OBJECT}
    assert parse(orjson.dumps(body(data={}))).data == {}


def test_a_key_given_twice_counts_as_its_last_value() -> None:
    raw = b'{"id":"first",' + orjson.dumps(body(id="last"))[1:]
    assert parse(raw).id == "last"


def test_data_keeps_nul_and_numbers_beyond_any_money_for_the_classifier_to_judge() -> None:
    raw = orjson.dumps(body(data={"x": "\0"})).replace(b'"\\u0000"', b'["\\u0000",' + str(2**70).encode() + b"]")
    assert parse(raw).data == {"x": ["\0", float(2**70)]}


@pytest.mark.parametrize("name", [*TEXTS[1:], "data"])
def test_a_malformed_event_is_named_when_its_id_is_sound(name: str) -> None:
    error = malformed(body(**{name: 7, "id": " evt_9 "}))
    assert error.event_id == "evt_9"
    assert "evt_9" in str(error)


@pytest.mark.parametrize("event_id", [None, 7, "", " ", "x" * 256, "x\0"])
def test_a_malformed_event_has_no_name_when_its_id_is_not_sound(event_id: object) -> None:
    assert malformed(body(id=event_id, data=None)).event_id is None


def event(event_type: str, **data: object) -> Event:
    return Event(id="evt_1", type=event_type, api_version="1", occurred_at="now", data=data)


def test_a_readiness_probe_has_no_effect_even_when_it_looks_like_a_payment() -> None:
    assert ignored_because(event("direct_payment.confirmed", readiness_probe=True, mode="external_402")) == (
        "readiness_probe"
    )
    assert ignored_because(event("direct_payment.confirmed", mode="readiness_probe")) == "readiness_probe"


def test_a_spent_event_has_no_effect() -> None:
    assert ignored_because(event("direct_payment.spent")) == "direct_payment.spent"


@pytest.mark.parametrize("flag", [False, None, 1, "true", []])
def test_only_true_makes_a_probe(flag: object) -> None:
    assert ignored_because(event("direct_payment.confirmed", readiness_probe=flag, mode="external_402")) is None


def test_an_unheard_of_type_is_not_ignored() -> None:
    assert ignored_because(event("direct_payment.refunded", readiness_probe=True)) is None
