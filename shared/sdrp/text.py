"""Which text may be part of a challenge or of a call to the platform? The caller chooses the error of a refusal."""

from shared.errors import KessaiError


def required_text(value: object, name: str, refusal: type[KessaiError]) -> str:
    """The text, trimmed. Raises `refusal` for a value that is no text, is blank, or has no UTF-8 form."""
    if not isinstance(value, str):
        raise refusal(f"{name} must be text, not {type(value).__name__}")
    text = value.strip()
    if not text:
        raise refusal(f"{name} is blank: give one")
    try:
        text.encode()
    except UnicodeEncodeError:
        raise refusal(f"{name} is not valid Unicode text: it holds half of a surrogate pair") from None
    return text


def nonce_text(value: object, name: str, refusal: type[KessaiError]) -> str:
    """The nonce of an order attempt, trimmed. Raises `refusal`."""
    nonce = required_text(value, name, refusal)
    if ":" in nonce:
        raise refusal(f"{name} must not contain a colon: it separates the parts of a challenge")
    return nonce
