"""Passwords stay out of everything that is shown or stored."""

import re
from typing import Final

_HIDDEN: Final = "***"
#: A user and a password; a number and a slash behind the colon are a port.
_USER: Final = re.compile(r"(\w://[^/@:\s]*):(?!\d+/)[^\s]*@")
_QUERY: Final = re.compile(r"([?&](?:[a-z_]*password|passwd|pwd|token|secret)=)[^&\s'\"]+", re.IGNORECASE)


def masked(text: str) -> str:
    """Return a text with the password of each URI in it hidden: `//user:***@host`, `?password=***`."""
    return _QUERY.sub(rf"\1{_HIDDEN}", _USER.sub(rf"\1:{_HIDDEN}@", text))
