"""What an ordinary pytest run pays for the plugin: next to nothing."""

from __future__ import annotations

import pytest

HEAVY = ("kubernetes", "pexpect", "websocket", "urllib3", "yaml", "aiohttp", "pytest_kvlatency.lab")


@pytest.mark.parametrize(
    "arguments",
    [
        pytest.param((), marks=pytest.mark.smoke),
        ("--collect-only",),
        ("--markers",),
        ("--fixtures",),
        ("--help",),
        ("--collect-only", "--kv-nad", "default/blue-network"),
        pytest.param(("--setup-plan", "--kv-nad", "default/blue-network"), marks=pytest.mark.smoke),
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


LIGHT = (
    "pytest_kvlatency",
    "pytest_kvlatency.config",
    "pytest_kvlatency.config.options",
    "pytest_kvlatency.fixtures",
    "pytest_kvlatency.hookspecs",
    "pytest_kvlatency.plugin",
)


@pytest.mark.parametrize(
    "arguments",
    [
        (),
        ("-q", "test_plain.py::test_plain"),
        ("--junitxml", "out.xml"),
        ("-p", "no:terminal"),
        ("--collect-only",),
        ("--setup-plan",),
        ("--markers",),
        ("--help",),
        ("-VV",),
    ],
    ids=" ".join,
)
def test_a_run_of_other_tests_loads_hooks_and_the_table_of_options(
    pytester: pytest.Pytester, arguments: tuple[str, ...]
) -> None:
    assert loaded_by(pytester, *arguments) == [*LIGHT]


def test_with_pytest_html_such_a_run_loads_its_empty_columns_too(pytester: pytest.Pytester) -> None:
    columns = ["pytest_kvlatency.report", "pytest_kvlatency.report.htmlcolumns"]
    assert loaded_by(pytester, "--html", "out.html") == [*LIGHT, *columns]


def loaded_by(pytester: pytest.Pytester, *arguments: str) -> list[str]:
    """The modules of ours that are loaded at the end of a run of others' tests."""
    pytester.makepyfile(
        test_plain="import pytest\n@pytest.mark.parametrize('x', [1, 2])\ndef test_plain(x, tmp_path): pass",
        run=f"""
        import sys
        import pytest

        status = pytest.main({list(arguments)!r})
        print("LOADED", *sorted(one for one in sys.modules if one.split(".")[0] == "pytest_kvlatency"))
        print("STATUS", int(status))
        """,
    )
    result = pytester.runpython("run.py")
    *_, loaded, status = result.outlines
    assert status == "STATUS 0"
    return loaded.split()[1:]


NOTING = """
    import sys

    def note(config, who):
        loaded = sorted(one for one in sys.modules if one.split(".")[0] == "pytest_kvlatency")
        (config.rootpath / f"{who}.loaded").write_text(" ".join(loaded))

    def pytest_sessionfinish(session):
        # Before the controller knows that this worker is about to end.
        if hasattr(session.config, "workerinput"):
            note(session.config, session.config.workerinput["workerid"])

    def pytest_unconfigure(config):
        if not hasattr(config, "workerinput"):
            note(config, "controller")
"""


def test_neither_xdists_controller_nor_its_workers_load_more_for_other_tests(
    pytester: pytest.Pytester,
) -> None:
    pytest.importorskip("xdist")
    pytester.makepyfile("import pytest\n@pytest.mark.parametrize('x', [1, 2, 3])\ndef test_plain(x): pass")
    pytester.makeconftest(NOTING)
    pytester.runpytest_subprocess("-n", "2").assert_outcomes(passed=3)
    assert {one.stem: one.read_text() for one in pytester.path.glob("*.loaded")} == dict.fromkeys(
        ("controller", "gw0", "gw1"), " ".join(LIGHT)
    )


def test_xdists_controller_loads_no_more_for_checks_that_no_worker_runs(pytester: pytest.Pytester) -> None:
    pytest.importorskip("xdist")
    pytester.makepyfile(
        """
        import pytest

        @pytest.mark.kvlatency(nad="default/blue-network", nodes="worker1:worker2")
        def test_pair(kv_latency): pass

        def test_plain(): pass
        """
    )
    pytester.makeconftest(NOTING)
    pytester.runpytest_subprocess("-n", "1", "-k", "plain").assert_outcomes(passed=1)
    assert (pytester.path / "controller.loaded").read_text() == " ".join(LIGHT)


def test_what_a_console_takes_is_not_loaded_before_the_first_guest_boots(pytester: pytest.Pytester) -> None:
    pytester.makepyfile(
        run="""
        import sys
        import pytest_kvlatency.checkup.checkup
        import pytest_kvlatency.engine.assembly
        import pytest_kvlatency.kube.client

        print("LOADED", [one for one in ("urllib3", "pexpect", "websocket") if one in sys.modules])
        """
    )
    pytester.runpython("run.py").stdout.fnmatch_lines(["LOADED [[]'urllib3'[]]"])


@pytest.mark.parametrize("listing", ["--fixtures", "--fixtures-per-test", "--collect-only", "--setup-plan"])
def test_to_list_the_tests_of_a_mesh_contacts_nobody(pytester: pytest.Pytester, listing: str) -> None:
    pytester.makepyfile(
        """
        import pytest

        @pytest.mark.kvlatency(nad="default/blue-network", nodes="mesh")
        def test_mesh(kv_latency): pass
        """
    )
    for more in ((), ("--kv-configmap", "default/config")):
        result = pytester.runpytest_inprocess(listing, "--kv-kubeconfig", "/nowhere/kubeconfig", *more)
        assert result.ret == 0
        result.stdout.fnmatch_lines(["*kv_latency*" if "fixtures" in listing else "*test_mesh*"])


def test_no_cluster_is_contacted_without_kvlatency_items(pytester: pytest.Pytester) -> None:
    pytester.makepyfile("def test_plain(): pass")
    result = pytester.runpytest_inprocess("--kv-kubeconfig", "/nowhere/kubeconfig")
    result.assert_outcomes(passed=1)
