"""The headers by which one user acts as another (``as``, ``as-groups``, ``as-uid``, ``as-user-extra``). Pure."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from pytest_kvlatency.kube.configentry import Entry

_CONTROL: Final = re.compile(r"[\x00-\x1f\x7f]")
#: What a header's name may hold (RFC 9110, section 5.6.2), but for the percent sign, which escapes the rest.
_NO_TOKEN: Final = re.compile(rb"[^!#$&'*+.^_`|~0-9A-Za-z-]")


def headers_of(user: Entry) -> tuple[tuple[str, str], ...]:
    """Return the headers that say as whom a user of a kubeconfig acts; a name may come several times.

    Raises ``ConfigError``.
    """
    name, groups, uid = user.text("as"), user.texts("as-groups"), user.text("as-uid")
    extra = user.mapping("as-user-extra")
    values = [("as", "Impersonate-User", name), ("as-uid", "Impersonate-Uid", uid)]
    values += [("as-groups", "Impersonate-Group", group) for group in groups]
    for key in extra.values:
        header = f"Impersonate-Extra-{_escaped(str(key))}"
        values += [(f"as-user-extra.{key}", header, value) for value in extra.texts(key)]
    given = [(field, header, value) for field, header, value in values if value]
    if given and not name:
        raise user.wrong(given[0][0], "is set without as: add the name of the user to act as")
    for field, _, value in given:
        if _CONTROL.search(value):
            raise user.wrong(field, "must not contain control characters")
    return tuple((header, value) for _, header, value in given)


def _escaped(key: str) -> str:
    """A key as a header's name holds it; the API server unescapes it."""
    return _NO_TOKEN.sub(lambda match: b"%%%02X" % match.group()[0], key.encode()).decode()
