"""The grammar of references to container images, and what is most likely meant by what is none."""

from __future__ import annotations

import re
from typing import Final

EXPECTED: Final = "Expected [REGISTRY/]NAME, then :TAG or @sha256:DIGEST"
_DIGESTS: Final = {"sha256": 64, "sha384": 96, "sha512": 128}
_TAG: Final = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,127}")
_REGISTRY: Final = re.compile(
    r"(?:[A-Za-z0-9](?:[A-Za-z0-9-]*[A-Za-z0-9])?(?:\.[A-Za-z0-9](?:[A-Za-z0-9-]*[A-Za-z0-9])?)*"
    r"|\[[0-9a-fA-F:]+\])(?::[0-9]+)?"
)
_REPOSITORY: Final = re.compile(
    r"[a-z0-9]+(?:(?:[._]|__|-+)[a-z0-9]+)*(?:/[a-z0-9]+(?:(?:[._]|__|-+)[a-z0-9]+)*)*"
)
_LONGEST_REPOSITORY: Final = 255


def parse(text: str) -> str:
    """A container image by the grammar of the distribution project, as the nodes read it; the registry judges the rest.

    Source: github.com/distribution/reference, and opencontainers/go-digest for what digests there are.
    """
    value = text.strip()
    if wrong := _wrong(value):
        guess = _likely(value)
        instead = EXPECTED if _wrong(guess) else f"Did you mean {guess}?"
        raise ValueError(f"is not an image reference: {wrong}. {instead}")
    return value


def _likely(value: str) -> str:
    """A reference without what URLs begin with, and its name in lower case; tags and digests keep theirs."""
    rest, at, digest = re.sub("^[a-z]+://", "", value).partition("@")
    name = re.match("(?:.*/)?[^:]*", rest)
    end = name.end() if name else 0
    return f"{rest[:end].lower()}{rest[end:]}{at}{digest}"


def _wrong(value: str) -> str:
    """What is wrong with a reference; empty when nothing is."""
    if not value:
        return "it is empty"
    if found := re.search(r"\s", value):
        return f"it contains {found[0]!r}"
    rest, at, digest = value.partition("@")
    if at:
        algorithm, _, digits = digest.partition(":")
        length = _DIGESTS.get(algorithm)
        if length is None:
            return f"the digest {digest!r} is not one of {', '.join(_DIGESTS)}"
        if not re.fullmatch(f"[0-9a-f]{{{length}}}", digits):
            return f"a {algorithm} digest has {length} hexadecimal digits in lower case, not {digits!r}"
    if "://" in rest:
        return "it is a URL"
    path, colon, tag = rest.rpartition(":")
    if not colon or "/" in tag:
        path, colon, tag = rest, "", ""
    if colon and not _TAG.fullmatch(tag):
        return f"the tag {tag!r} is not valid" if tag else "the tag is empty"
    host, slash, name = path.partition("/")
    # Without a dot, a port or an upper-case letter it is the beginning of a name on Docker Hub.
    is_host = bool(slash) and (host == "localhost" or bool(re.search(r"[.:A-Z]", host)))
    if not is_host:
        host, name = "", path
    if host and not _REGISTRY.fullmatch(host):
        return f"the registry {host!r} is not valid"
    if not _REPOSITORY.fullmatch(name):
        how = "must be in lower case" if _REPOSITORY.fullmatch(name.lower()) else "is not valid"
        return f"the repository {name!r} {how}"
    is_long = len(name) > _LONGEST_REPOSITORY
    return f"the repository is longer than {_LONGEST_REPOSITORY} characters" if is_long else ""
