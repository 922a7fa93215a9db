"""What a broker refuses, as Kessai's errors."""

from shared.errors import BrokerUnavailable, KessaiError


class Unroutable(BrokerUnavailable):
    """RabbitMQ has no queue for a message: the topology is not what the publisher expects."""


class InFlightFull(BrokerUnavailable):
    """Too much waits for RabbitMQ already; nothing was sent."""


class ConsumerStuck(KessaiError):
    """A consumer that should work does not; the process is better started anew."""


class HoldTooLong(KessaiError):
    """Raised by a handler that has held its batch as long as RabbitMQ's consumer timeout safely allows."""
