"""Names of users, clients and tokens: ASCII that needs no quoting in a terminal or in the path of a URL."""

import re
from typing import Final

NAME: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._@+-]{0,63}", re.ASCII)
