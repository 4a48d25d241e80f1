"""What is an image reference, and what is not."""

from __future__ import annotations

import pytest

from pytest_kvlatency.config import imagereference, parsers

DIGEST = "sha256:" + "0123456789abcdef" * 4


@pytest.mark.parametrize(
    "text",
    [
        "alpine",
        "alpine:3.20",
        "library/alpine:3.20",
        f"alpine@{DIGEST}",
        f"quay.io/kubevirtci/alpine:v1.2_3-x@{DIGEST}",
        "localhost/guest",
        "localhost:5000/guest:1",
        "registry:5000/a/b/c",
        "REGISTRY.example/guest",
        "Registry/guest",
        "10.0.0.1:5000/guest",
        "[fd00::1]:5000/guest:1",
        "a.b/c__d/e-f/g--h/i.j/k_l",
        "5000/guest",
        "name@sha512:" + "0" * 128,
        "quay.io/" + "a" * 255,
    ],
)
def test_E51_a_reference_is_taken_as_it_is(text: str) -> None:
    assert parsers.image(f" {text} ") == text


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "it is empty"),
        ("Foo Bar", "it contains ' '"),
        ("quay.io/name:", "the tag is empty"),
        ("quay.io/name:a+b", "the tag 'a+b' is not valid"),
        ("name@sha256:123", "a sha256 digest has 64 hexadecimal digits in lower case, not '123'"),
        ("name@md5:123", "the digest 'md5:123' is not one of sha256, sha384, sha512"),
        ("https://a b", "it contains ' '"),
        ("quay.io:port/name", "the registry 'quay.io:port' is not valid"),
        ("a//b", "the repository 'a//b' is not valid"),
        ("quay.io/" + "a" * 256, "the repository is longer than 255 characters"),
    ],
)
def test_E51_what_is_wrong_with_a_reference_is_told(text: str, words: str) -> None:
    with pytest.raises(ValueError, match="is not an image reference: ") as caught:
        parsers.image(text)
    assert str(caught.value) == f"is not an image reference: {words}. {imagereference.EXPECTED}"


@pytest.mark.parametrize(
    ("text", "words", "nearest"),
    [
        ("quay.io/Foo/bar:V1", "the repository 'Foo/bar' must be in lower case", "quay.io/foo/bar:V1"),
        ("Foo", "the repository 'Foo' must be in lower case", "foo"),
        ("https://quay.io/name", "it is a URL", "quay.io/name"),
        (
            "docker://quay.io:5000/Name@sha256:" + "0" * 64,
            "it is a URL",
            "quay.io:5000/name@sha256:" + "0" * 64,
        ),
    ],
)
def test_E51_a_likely_slip_in_a_reference_is_answered_with_what_is_meant(
    text: str, words: str, nearest: str
) -> None:
    with pytest.raises(ValueError, match="is not an image reference: ") as caught:
        parsers.image(text)
    assert str(caught.value) == f"is not an image reference: {words}. Did you mean {nearest}?"
    assert parsers.image(nearest) == nearest
