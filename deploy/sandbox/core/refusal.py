"""What does the platform answer when it will not do something?"""

from collections.abc import Mapping

from shared.errors import KessaiError


class Refused(KessaiError):
    """A request that the platform answers with an HTTP status, a code for programs and a sentence for people."""

    def __init__(self, status: int, code: str, message: str, *, details: Mapping[str, object] | None = None) -> None:
        super().__init__(message)
        self.status = status
        self.code = code
        self.details = details


def invalid(message: str, *, code: str = "INVALID_REQUEST") -> Refused:
    """For a value that could never be accepted."""
    return Refused(400, code, message)


def not_found(thing: str, name: str) -> Refused:
    """`thing` is its name in English; a code of its own distinguishes it from an unknown route.

    The SDK reads a bare NOT_FOUND about a checkout session as "hosted checkout is not enabled".
    """
    return Refused(404, f"{thing.upper().replace(' ', '_')}_NOT_FOUND", f"there is no {thing} {name[:100]!r}")
