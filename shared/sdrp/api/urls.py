"""Which URLs may be used: for the platform, for a shop's pages, for its webhooks?

As the official SDK 0.5.7 rules: https, http only for loopback hosts, no user or password. Stricter: no blanks, control
characters or backslashes, which readers of URLs take differently, and a base URL is ASCII without query or fragment.
"""

import re
from urllib.parse import SplitResult, urlsplit

from shared.sdrp.api.errors import InvalidCall

PRODUCTION = "https://siglume.com/v1"
SANDBOX = "http://127.0.0.1:8787/v1"
LOOPBACK_HOSTS = frozenset({"localhost", "127.0.0.1", "::1"})

MAX_URL = 2048
_DOUBTFUL = re.compile(r"[\x00-\x20\x7f\\]")
_DEFAULT_PORTS = {"https": 443, "http": 80}


def base_url(value: str, name: str = "SIGLUME_API_BASE") -> str:
    """Where the platform's API is, without a slash at its end. Raises InvalidCall."""
    text = value.strip()
    parts = _split(text, name)
    if not text.isascii() or parts.query or parts.fragment or "?" in text or "#" in text:
        raise InvalidCall(f"{name} must be scheme, host and path in ASCII, as in {PRODUCTION}")
    return text.rstrip("/")


def page_url(value: str, name: str) -> str:
    """A page of the shop or of the platform: https, or http on a loopback host. Raises InvalidCall."""
    text = value.strip()
    _split(text, name)
    return text


def webhook_url(value: str, name: str) -> str:
    """Where the platform shall post events: https only. Raises InvalidCall."""
    text = value.strip()
    if _split(text, name).scheme != "https":
        raise InvalidCall(f"{name} must use https")
    return text


def origin(value: str, name: str) -> str:
    """`scheme://host[:port]` of a URL, in lower case and without the scheme's own port. Raises InvalidCall."""
    parts = _split(value.strip(), name)
    host = (parts.hostname or "").lower()
    shown = f"[{host}]" if ":" in host else host
    port = "" if parts.port in {None, _DEFAULT_PORTS[parts.scheme]} else f":{parts.port}"
    return f"{parts.scheme}://{shown}{port}"


def _split(text: str, name: str) -> SplitResult:
    """A refusal names the variable and never repeats the URL: it may hold a password."""
    try:
        parts = urlsplit(text)
        _ = parts.port  # raises when it is no port
    except ValueError:
        raise InvalidCall(f"{name} is no URL: write one such as https://shop.example.com") from None
    if len(text) > MAX_URL or _DOUBTFUL.search(text) or not parts.scheme or not parts.hostname:
        raise InvalidCall(f"{name} must be an absolute URL such as https://shop.example.com")
    if "@" in parts.netloc:
        raise InvalidCall(f"{name} must not hold a user name or a password")
    if parts.scheme != "https" and not (parts.scheme == "http" and parts.hostname.lower() in LOOPBACK_HOSTS):
        raise InvalidCall(f"{name} must use https; http is for localhost, 127.0.0.1 and [::1] alone")
    return parts
