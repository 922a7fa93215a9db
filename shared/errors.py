"""The root of every error Kessai raises on purpose."""

from shared.remedies import Remedy


class KessaiError(Exception):
    """Says in one line, which may be shown to a person, what happened and to what."""

    remedy: Remedy | None = None
    """What the person could do about it, where that depends on how they reach Kessai; otherwise the line says it."""


class SettingsError(KessaiError):
    """The environment or the configuration file cannot be used as it is."""


class NoSecret(SettingsError):
    """No webhook secret is set; some programs need none."""


class DatabaseUnavailable(KessaiError):
    """Postgres cannot be reached or refuses work for now; nothing was decided about any event."""


class BrokerUnavailable(KessaiError):
    """RabbitMQ did not confirm in time; whether it holds the message is unknown."""
