"""A sandbox with a shop's webhook behind it, and programs that ask whether the shop is ready."""

from tests.integration.sandbox.conftest import sandbox, shop

__all__ = ["sandbox", "shop"]
