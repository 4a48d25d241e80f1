"""The names that Kubernetes gives to objects."""

from __future__ import annotations

import re
from typing import Final

NAME_HELP: Final = "lower-case letters, digits, '-' and '.'"
_LABEL: Final = re.compile(r"[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?")
_SUBDOMAIN: Final = re.compile(r"[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*")


def is_label(text: str) -> bool:
    """Whether ``text`` is an RFC 1123 label, as namespaces' names are."""
    return _LABEL.fullmatch(text) is not None


def is_subdomain(text: str) -> bool:
    """Whether ``text`` is an RFC 1123 subdomain, as most objects' names are."""
    return len(text) <= 253 and _SUBDOMAIN.fullmatch(text) is not None
