"""How is JSON read without rounding a number?"""

import json
from typing import Self

import orjson


class Fraction(float):
    """A JSON number with a point or an exponent: a float to everybody, and how it is written to who reads amounts.

    orjson refuses it, as any subclass of float: write `float(number)` or `number.written`.
    """

    written: str

    def __new__(cls, written: str) -> Self:
        number = super().__new__(cls, written)
        number.written = written
        return number


def parse_json(body: bytes) -> object:
    """Raises ValueError, which holds the whole body.

    orjson is the stricter one, about text and infinities too; json.loads gives each number as it is written.
    """
    orjson.loads(body)
    try:
        return json.loads(body, parse_float=Fraction)
    except RecursionError:
        raise ValueError("objects in objects without end") from None
