"""The root of every error Kessai raises on purpose."""


class KessaiError(Exception):
    """What happened, to which thing, and what to do next, in one line that may be shown to a person."""


class SettingsError(KessaiError):
    """The environment or the configuration file cannot be used as it stands."""


class NoSecret(SettingsError):
    """No webhook secret was given: some programs need none."""


class DatabaseUnavailable(KessaiError):
    """Postgres cannot be reached or refuses work for now; nothing was decided about any event."""


class BrokerUnavailable(KessaiError):
    """RabbitMQ did not confirm in time; whether it holds the message is unknown."""
