"""The marker: what it asks for, how it merges, and what is said when it is wrong."""

from __future__ import annotations

import pytest

COLLECT = ("--collect-only", "-q")


def test_each_nad_and_pair_is_an_item(pytester: pytest.Pytester) -> None:
    pytester.makepyfile(
        """
        import pytest

        @pytest.mark.kvlatency(nad=["default/blue-network", "default/red-network"], nodes=["worker1:worker2", "auto"])
        def test_net(kv_latency):
            pass
        """
    )
    result = pytester.runpytest_inprocess(*COLLECT)
    result.stdout.fnmatch_lines(
        [
            "*::test_net[[]default/blue-network-worker1:worker2]",
            "*::test_net[[]default/blue-network-auto]",
            "*::test_net[[]default/red-network-worker1:worker2]",
            "*::test_net[[]default/red-network-auto]",
        ]
    )


def test_the_marker_alone_makes_items_and_equal_pairs_count_once(pytester: pytest.Pytester) -> None:
    pytester.makepyfile(
        """
        import pytest

        @pytest.mark.kvlatency(nad="default/blue-network", nodes=["worker1:worker2", "worker1:worker2"])
        def test_net():
            pass
        """
    )
    result = pytester.runpytest_inprocess(*COLLECT)
    result.stdout.fnmatch_lines(["*::test_net[[]default/blue-network-worker1:worker2]", "*1 test collected*"])


def test_class_and_module_markers_merge_and_the_closest_wins(pytester: pytest.Pytester) -> None:
    pytester.makepyfile(
        """
        import pytest

        pytestmark = pytest.mark.kvlatency(nad="default/blue-network", nodes="worker1:worker2")

        @pytest.mark.kvlatency(nodes="worker2:worker3")
        class TestNet:
            def test_class(self):
                pass

            @pytest.mark.kvlatency(nad="default/red-network")
            def test_method(self):
                pass

        def test_module():
            pass
        """
    )
    result = pytester.runpytest_inprocess(*COLLECT)
    result.stdout.fnmatch_lines(
        [
            "*::TestNet::test_class[[]default/blue-network-worker2:worker3]",
            "*::TestNet::test_method[[]default/red-network-worker2:worker3]",
            "*::test_module[[]default/blue-network-worker1:worker2]",
        ]
    )


def test_a_modules_marker_leaves_its_doctests_alone(pytester: pytest.Pytester) -> None:
    pytester.makepyfile(
        test_net="""
        '''
        >>> 1 + 1
        2
        '''
        import pytest

        pytestmark = pytest.mark.kvlatency(nad="default/blue-network")

        def test_net():
            pass
        """
    )
    result = pytester.runpytest_inprocess("--doctest-modules", *COLLECT)
    assert result.ret == 0
    result.stdout.fnmatch_lines(
        ["test_net.py::test_net", "test_net.py::test_net[[]default/blue-network-auto]"]
    )
    result = pytester.runpytest_inprocess("--doctest-modules", "-k", "not blue")
    result.assert_outcomes(passed=1, deselected=1)


def test_an_inherited_class_marker_is_not_a_second_one(pytester: pytest.Pytester) -> None:
    pytester.makepyfile(
        """
        import pytest

        @pytest.mark.kvlatency(nad="default/blue-network", nodes="worker1:worker2")
        class Base:
            pass

        @pytest.mark.kvlatency(nodes="worker2:worker3")
        class TestNet(Base):
            def test_it(self):
                pass
        """
    )
    result = pytester.runpytest_inprocess(*COLLECT)
    result.stdout.fnmatch_lines(["*::test_it[[]default/blue-network-worker2:worker3]"])


def test_parametrize_beside_the_marker(pytester: pytest.Pytester) -> None:
    pytester.makepyfile(
        """
        import pytest

        @pytest.mark.parametrize("size", [1, pytest.param(2, marks=pytest.mark.kvlatency(max_latency="1ms"))])
        @pytest.mark.kvlatency(nad="default/blue-network")
        def test_net(size):
            pass
        """
    )
    result = pytester.runpytest_inprocess(*COLLECT)
    assert result.ret == 0
    result.stdout.fnmatch_lines(["*2 tests collected*"])


WRONG = {
    "unknown-keyword": ('nad="default/x", max_latenzy="1ms"', "*max_latenzy*"),
    "positional": ('"default/x"', "kvlatency('default/x'): expected keyword arguments only, such as nad=*"),
    "nad-number": ("nad=3", "*nad*3*"),
    "mesh-of-one": (
        'nad="default/x", nodes="mesh", node_set="w1"',
        "*the node set has 1: w1 (from the kvlatency marker of *::test_net)",
    ),
    "wrong-duration": ('nad="default/x", max_latency="10xs"', "*max_latency*10xs*"),
}


@pytest.mark.parametrize(("arguments", "line"), WRONG.values(), ids=WRONG)
def test_a_wrong_argument_is_a_collection_error_that_quotes_the_signature(
    pytester: pytest.Pytester, arguments: str, line: str
) -> None:
    pytester.makepyfile(
        f"""
        import pytest

        @pytest.mark.kvlatency({arguments})
        def test_net():
            pass
        """
    )
    result = pytester.runpytest_inprocess()
    assert result.ret == pytest.ExitCode.INTERRUPTED
    result.stdout.fnmatch_lines(["*ERROR collecting*", line])
    result.stdout.fnmatch_lines(["*kvlatency([*], nad=*", "ERROR *::test_net*"])
    result.stdout.no_fnmatch_line("*Traceback*")
    result.stdout.no_fnmatch_line("*pytest_kvlatency*.py*")


def test_all_wrong_markers_are_said_at_once(pytester: pytest.Pytester) -> None:
    pytester.makepyfile(
        """
        import pytest

        @pytest.mark.kvlatency(nad=3)
        def test_one():
            pass

        @pytest.mark.kvlatency(nad="default/x")
        @pytest.mark.kvlatency(nad="default/y")
        def test_two():
            pass

        class TestThree:
            @pytest.mark.kvlatency("default/x")
            def test_three(self):
                pass
        """
    )
    result = pytester.runpytest_inprocess()
    assert result.ret == pytest.ExitCode.INTERRUPTED
    result.stdout.fnmatch_lines_random(["ERROR *::test_one*", "ERROR *::test_two*", "ERROR *::test_three*"])
    result.assert_outcomes(errors=3)


def test_a_test_case_method_cannot_be_marked(pytester: pytest.Pytester) -> None:
    pytester.makepyfile(
        """
        import unittest
        import pytest

        class TestNet(unittest.TestCase):
            @pytest.mark.kvlatency(nad="default/blue-network")
            def test_it(self):
                pass
        """
    )
    result = pytester.runpytest_inprocess()
    assert result.ret == pytest.ExitCode.INTERRUPTED
    result.stdout.fnmatch_lines(["*unittest.TestCase*"])


@pytest.mark.parametrize("added", ['nad="default/red-network"', 'nodes="worker1:worker2"'])
def test_what_is_measured_cannot_be_changed_after_collection(pytester: pytest.Pytester, added: str) -> None:
    pytester.makeconftest(
        f"""
        import pytest

        def pytest_collection_modifyitems(items):
            for item in items:
                item.add_marker(pytest.mark.kvlatency({added}))
        """
    )
    pytester.makepyfile(
        """
        import pytest

        @pytest.mark.kvlatency(nad="default/blue-network")
        def test_net():
            pass
        """
    )
    result = pytester.runpytest_inprocess()
    assert result.ret == pytest.ExitCode.INTERRUPTED
    result.stdout.fnmatch_lines(["*once the test has been collected*", "ERROR *::test_net*"])


def test_limits_may_be_added_after_collection(pytester: pytest.Pytester) -> None:
    pytester.makeconftest(
        """
        import pytest

        def pytest_collection_modifyitems(items):
            for item in items:
                item.add_marker(pytest.mark.kvlatency(max_latency="1ms"))
        """
    )
    pytester.makepyfile(
        """
        import pytest

        @pytest.mark.kvlatency(nad="default/blue-network")
        def test_net():
            pass
        """
    )
    assert pytester.runpytest_inprocess(*COLLECT).ret == 0


def test_without_a_network_the_item_is_skipped_naming_the_option(pytester: pytest.Pytester) -> None:
    pytester.makepyfile("def test_net(kv_latency): pass")
    result = pytester.runpytest_inprocess("-rs")
    result.assert_outcomes(skipped=1)
    result.stdout.fnmatch_lines(["*--kv-nad*"])


def test_strict_markers_and_the_markers_help_know_it(pytester: pytest.Pytester) -> None:
    pytester.makepyfile(
        """
        import pytest

        @pytest.mark.kvlatency(nad="default/blue-network")
        def test_net():
            pass
        """
    )
    assert pytester.runpytest_inprocess("--strict-markers", "--strict-config", *COLLECT).ret == 0
    pytester.runpytest_inprocess("--markers").stdout.fnmatch_lines(["@pytest.mark.kvlatency(*"])
