"""How may a person, a system or a token be named? In ASCII that needs no quoting in a terminal or a URL's path."""

import re
from typing import Final

NAME: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._@+-]{0,63}", re.ASCII)
