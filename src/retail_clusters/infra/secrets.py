"""What must not be shown: passwords in the addresses of databases and servers."""

import os
import re
from typing import Final
from urllib.parse import unquote

MASK: Final = "***"

#: `user:password@` after a scheme. A password may hold an @ of its own: the last one of the word ends it.
_USERINFO: Final = re.compile(r"(?<=://)([^:/@\s'\"]*):(?!\d+/)([^\s'\"]+)@")
_NAMED: Final = re.compile(r"(?i)\b((?:ssl)?password|passwd|pwd|token|secret)(=)([^\s&;,'\"]+)")

#: Where this project, MLflow and PostgreSQL's library are given secrets; an address among them holds its own.
_ADDRESSES: Final = ("RETAIL_CLUSTERS_STORAGE", "MLFLOW_TRACKING_URI", "MLFLOW_REGISTRY_URI")
_SECRETS: Final = ("MLFLOW_TRACKING_PASSWORD", "MLFLOW_TRACKING_TOKEN", "PGPASSWORD")


def masked(text: str) -> str:
    """Return a text, or an address, with every password in it replaced.

    Replaced are `user:password@` of an address, `password=…`, and, wherever they stand, the secrets that
    the environment gives.
    """
    for secret in _known():
        text = text.replace(secret, MASK)
    text = _USERINFO.sub(rf"\1:{MASK}@", text)
    return _NAMED.sub(rf"\1\2{MASK}", text)


def holds_secret(address: str) -> bool:
    """Tell whether an address holds a password."""
    return bool(_USERINFO.search(address) or _NAMED.search(address))


def _known() -> list[str]:
    """List the secrets of the environment, the longest first; what is as short as a word is none."""
    found = {os.environ.get(name, "") for name in _SECRETS}
    for name in _ADDRESSES:
        address = os.environ.get(name, "")
        given = [match[2] for match in _USERINFO.finditer(address)]
        given += [match[3] for match in _NAMED.finditer(address)]
        found |= {*given, *map(unquote, given)}
    return sorted((secret for secret in found if len(secret) >= 6), key=len, reverse=True)
