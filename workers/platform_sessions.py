"""What does the platform say of one checkout session, and what does it mean when it does not say?"""

from http import HTTPStatus
from typing import Final

from shared.backoff import exponential
from shared.errors import KessaiError
from shared.ledger.hosted_sessions import StatedSession
from shared.sdrp.api.clients import MerchantClient
from shared.sdrp.api.errors import HostedCheckoutNotAvailableError, InvalidCall, SiglumeApiError, Unreachable
from shared.sdrp.api.retries import Patience

PATIENCE: Final = Patience(attempts=3, attempt=10.0, deadline=20.0)
"""Nobody waits for the answer: what is not said now is asked again later."""
FIRST_PAUSE: Final = 60.0
LONGEST_PAUSE: Final = 64 * 60.0
"""Seconds without calls to a platform that is unavailable."""
TOKEN_REFUSED: Final = frozenset({HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN})
OF_ALL: Final = frozenset({HTTPStatus.UNAUTHORIZED, HTTPStatus.TOO_MANY_REQUESTS})
"""Answers to the caller, whichever session it asked about; 403 may be about a session of another merchant."""


class PlatformAway(KessaiError):
    """Of this session the platform says nothing for now, and perhaps of none."""

    def __init__(self, session_id: str, error: SiglumeApiError) -> None:
        super().__init__(f"session {session_id}: {error}")
        self.why = str(error)
        self.retry_after = error.retry_after
        """Seconds, where the platform said."""
        self.is_of_all = error.status in OF_ALL
        """Whether any other session would fare as badly."""


class NotSaid(KessaiError):
    """Of this session the platform says nothing that can be understood; others may fare better."""


class SessionRefused(NotSaid):
    """The platform will not tell of this session, whoever asks."""


async def ask(client: MerchantClient, session_id: str) -> StatedSession | None:
    """The session, or None when the platform knows none of that id. Raises PlatformAway, NotSaid, SessionRefused."""
    try:
        return StatedSession.of(await client.get_checkout_session(session_id))
    except InvalidCall as error:
        raise SessionRefused(str(error)) from error
    except SiglumeApiError as error:
        _raise_unless_unknown(session_id, error)
        return None


def _raise_unless_unknown(session_id: str, error: SiglumeApiError) -> None:
    """Return where the platform knows no such session, by a code of its own: a wrong address says 404, too."""
    if error.retryable or isinstance(error, Unreachable) or error.status in TOKEN_REFUSED:
        raise PlatformAway(session_id, error) from error
    if error.status == HTTPStatus.NOT_FOUND and not isinstance(error, HostedCheckoutNotAvailableError):
        return
    raise (SessionRefused if error.is_final else NotSaid)(str(error)) from error


def backoff(failures: int) -> float:
    """Seconds until the platform is called again, after this many runs in a row in which it was unavailable."""
    return exponential(FIRST_PAUSE, failures, limit=LONGEST_PAUSE)
