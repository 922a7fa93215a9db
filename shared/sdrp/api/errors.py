"""What can go wrong with a call to the platform, and may the call be repeated?

No message holds a token, a secret or a body: the platform's own message is shortened, and secrets in it are redacted.
"""

from shared.errors import KessaiError


class InvalidCall(KessaiError):
    """A value that the protocol forbids. Nothing was sent."""


class SiglumeApiError(KessaiError):
    """The platform refused a call, could not be reached, or gave an unusable answer."""

    def __init__(
        self,
        message: str,
        *,
        status: int | None = None,
        code: str = "SIGLUME_API_ERROR",
        retryable: bool = False,
        retry_after: float | None = None,
    ) -> None:
        super().__init__(message)
        self.status = status
        """The status of the HTTP answer; None when there was no answer."""
        self.code = code
        """The platform's machine-readable reason; `HTTP_<status>` when it gave none."""
        self.retryable = retryable
        """Whether the same call may be repeated later without doing anything twice."""
        self.retry_after = retry_after
        """Seconds that the platform wants us to wait, if it says so."""

    @property
    def is_final(self) -> bool:
        """Whether the platform has refused the call for good, whatever token is used."""
        is_refusal = self.status is not None and 400 <= self.status < 500
        return is_refusal and not self.retryable and self.status not in (401, 403)


class HostedCheckoutNotAvailableError(SiglumeApiError):
    """Siglume has not opened Hosted Checkout to this merchant. Never show the platform's own answer to a buyer."""


class Unreachable(SiglumeApiError):
    """No complete answer came: there was no connection, it broke, or the time was over.

    Unless `retryable`, the platform may have done the call or not: check before you repeat it.
    """


class UnusableAnswer(SiglumeApiError):
    """The platform answered with success, but this client does not understand the answer and does not guess."""


class PagesInCircles(UnusableAnswer):
    """A cursor or a page was repeated: following it would never end, and would count its rows twice."""


class TruncatedCsv(UnusableAnswer):
    """A CSV export that ends too early: the rows before its end are right, but some are missing."""
