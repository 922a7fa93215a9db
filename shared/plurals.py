"""A number with its noun, for people."""


def counted(number: int, thing: str, things: str | None = None) -> str:
    """`1 order`, `12,000 orders`."""
    return f"{number:,} {thing if number == 1 else things or thing + 's'}"
