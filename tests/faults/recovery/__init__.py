"""Programs and servers die under load; a history of what was acknowledged is held against the books."""

import pytest

pytest.register_assert_rewrite("tests.faults.recovery.scene")
