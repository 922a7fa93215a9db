"""What can go wrong with a call to the platform, and may it be made again?

No text here holds a token, a secret or a body: what the platform said is cut, and struck of what looks like a secret.
"""

from shared.errors import KessaiError


class InvalidCall(KessaiError):
    """A value that the protocol forbids. Nothing was sent."""


class SiglumeApiError(KessaiError):
    """The platform refused a call, could not be reached, or gave an answer that is of no use."""

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
        """Of the HTTP answer; None when there was none."""
        self.code = code
        """The platform's machine-readable reason; `HTTP_<status>` when it gave none."""
        self.retryable = retryable
        """Whether the very same call may be made again later without doing anything twice."""
        self.retry_after = retry_after
        """Seconds that the platform asked us to wait, if it did."""

    @property
    def is_final(self) -> bool:
        """Whether the platform has refused what was asked, for whoever may ask it: with a better token, too."""
        is_refusal = self.status is not None and 400 <= self.status < 500
        return is_refusal and not self.retryable and self.status not in (401, 403)


class HostedCheckoutNotAvailableError(SiglumeApiError):
    """Siglume has not opened Hosted Checkout to this merchant. Never show the platform's own answer to a buyer."""


class Unreachable(SiglumeApiError):
    """No whole answer came: no connection, a connection that broke, or no time left.

    Unless `retryable`, the platform may or may not have done what was asked: look before you ask again.
    """


class UnusableAnswer(SiglumeApiError):
    """The platform answered with success and something that this client does not understand; nothing was guessed."""


class PagesInCircles(UnusableAnswer):
    """A cursor or a page came a second time: following it would never end, and count its rows twice."""


class TruncatedCsv(UnusableAnswer):
    """A CSV export that ends too early; its rows so far are right, and not all of them."""
