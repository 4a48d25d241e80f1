"""What an ordinary pytest run pays for the plugin: next to nothing."""

from __future__ import annotations

import pytest

HEAVY = ("kubernetes", "pexpect", "websocket", "urllib3", "yaml", "aiohttp", "pytest_kvlatency.lab")


@pytest.mark.parametrize(
    "arguments",
    [
        (),
        ("--collect-only",),
        ("--markers",),
        ("--fixtures",),
        ("--help",),
        ("--collect-only", "--kv-nad", "default/blue-network"),
        ("--setup-plan", "--kv-nad", "default/blue-network"),
        ("--collect-only", "--kv-configmap", "default/config"),
    ],
    ids=" ".join,
)
def test_nothing_heavy_is_imported(pytester: pytest.Pytester, arguments: tuple[str, ...]) -> None:
    pytester.makepyfile(
        test_plain="def test_plain(): pass",
        run=f"""
        import sys
        import pytest

        status = pytest.main({list(arguments)!r})
        heavy = [name for name in {HEAVY!r} if name in sys.modules]
        print("IMPORTED", heavy, "STATUS", int(status))
        """,
    )
    result = pytester.runpython("run.py")
    result.stdout.fnmatch_lines(["IMPORTED [[][]] STATUS 0"])


def test_no_cluster_is_contacted_without_kvlatency_items(pytester: pytest.Pytester) -> None:
    pytester.makepyfile("def test_plain(): pass")
    result = pytester.runpytest_inprocess("--kv-kubeconfig", "/nowhere/kubeconfig")
    result.assert_outcomes(passed=1)
