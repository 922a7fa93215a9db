"""What looks like a secret, in text that is about to be shown?"""

import re
from collections.abc import Iterable

REDACTED = "[redacted]"

SECRET_SHAPES: tuple[tuple[re.Pattern[str], str], ...] = (
    (re.compile(r"whsec_[^\s\"',;)\]}]+"), f"whsec_{REDACTED}"),
    (re.compile(r"\beyJ[A-Za-z0-9_-]{8,}(\.[A-Za-z0-9_-]*){0,2}"), REDACTED),  # a JSON web token
    (re.compile(r"\bcli_[A-Za-z0-9_-]{8,}"), f"cli_{REDACTED}"),
    (re.compile(r"(?i)\b(bearer|basic)\s+[A-Za-z0-9._~+/=-]{8,}"), rf"\1 {REDACTED}"),
    # user:password@ of any URL, up to the last @: a password that nobody encoded may hold one, or a slash.
    (re.compile(r"([A-Za-z][A-Za-z0-9+.-]*://[^\s/:@\"']*):[^\s\"']+@"), rf"\1:{REDACTED}@"),
    (re.compile(r"(?i)\b(password|passwd|pwd)\s*=\s*('[^']*'|\"[^\"]*\"|[^\s&'\",;)]+)"), rf"\1={REDACTED}"),
    (re.compile(r"\bv1=[0-9A-Fa-f]{16,}"), f"v1={REDACTED}"),
    # Postgres repeats the offending row in these lines of its errors, and a row holds values of a payload.
    (re.compile(r"(?m)^(\s*)(DETAIL|CONTEXT):.*$"), rf"\1\2: {REDACTED}"),
)


def literals(secrets: Iterable[str]) -> re.Pattern[str] | None:
    """Any of these values; None when there is none."""
    texts = sorted({text for text in secrets if text.strip()}, key=len, reverse=True)
    return re.compile("|".join(map(re.escape, texts))) if texts else None


def redacted(text: str, known: re.Pattern[str] | None = None) -> str:
    """`text` without what looks like a secret, nor the `known` ones."""
    if known is not None:
        text = known.sub(REDACTED, text)
    for shape, replacement in SECRET_SHAPES:
        text = shape.sub(replacement, text)
    return text
