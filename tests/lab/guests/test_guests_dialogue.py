"""What guests say, from end to end: their names, and what stands in the output of commands."""

from __future__ import annotations

import textwrap

import pytest

LAB = """
guests: sim
nodes: [worker1, worker2]
networks:
  default/blue: {}
  default/bare: {}
faults:
  - {fault: no-cloud-init, network: default/bare}
seed: 7
boot: 100ms
time_scale: 20
"""
# Also a name that reads like a prompt, and the longest there is.
NAMES = ["localhost", "login", "alpine", "x" * 63]
NAMED = """
import itertools

names = itertools.cycle({names!r})

def pytest_kvlatency_vmi_manifest(manifest, check):
    manifest["spec"]["hostname"] = next(names)
"""


@pytest.fixture
def module(pytester, check):
    """Run a test module over the network ``blue``."""

    def run(text, *arguments):
        pytester.makepyfile(textwrap.dedent(text))
        return check("blue", args=("--kv-nodes", "worker1:worker1", *arguments))

    return run


@pytest.mark.edge_case(
    "E03",
    happens="The guest's host name is `localhost`, or `login`, or has 63 characters.",
    does="Logs in all the same.",
)
def test_E03_whatever_the_host_name(pytester, module):
    pytester.makeconftest(NAMED.format(names=NAMES))
    run = module(
        """
        def test_it(kv_pair, kv_latency):
            names = {guest.run("hostname").output for guest in (kv_pair.source, kv_pair.target)}
            print("named", *sorted(names))
            assert kv_latency.received == 10
        """,
        "--kv-nodes", "worker2:worker2", "-rP",
    )  # fmt: skip
    run.result.assert_outcomes(passed=2)
    named = [line.split()[1:] for line in run.result.outlines if line.startswith("named ")]
    assert sorted(name for names in named for name in names) == sorted(NAMES)


def test_E03_the_vmis_name_and_without_cloud_init_localhost(pytester, check):
    pytester.makepyfile(
        """
        def test_it(kv_pair, kv_latency):
            for guest in (kv_pair.source, kv_pair.target):
                name = "localhost" if str(kv_pair.nad) == "default/bare" else guest.vmi_name
                assert guest.run("hostname").output == name
            assert kv_latency.received == 10
        """
    )
    run = check("blue", "bare", args=("--kv-nodes", "worker1:worker2"))
    run.result.assert_outcomes(passed=2)


@pytest.mark.edge_case(
    "E06",
    happens="A command is longer than a line of the terminal, or its output has terminal escapes.",
    does="Returns the whole output without the escapes.",
)
@pytest.mark.edge_case(
    "E07",
    happens="The output of a command contains `# `, `$ ` or `login: `.",
    does="Does not take it for a prompt.",
)
def test_E06_E07_nothing_in_a_commands_output_or_length_disturbs(module):
    run = module(
        r"""
        import pytest

        SAID = [
            # E06: longer than a line of 80 columns, than BusyBox's line editor holds, and with terminal sequences.
            ("echo " + "x" * 200, "x" * 200),
            ("echo " + "long words " * 300, ("long words " * 300).strip()),
            (r"printf '\033[1;31mred\033[0m \033]0;title\007and \033]8;;http://x\033\\link\n'", "red and link"),
            (r"printf '\033[2J\033[6nhere\033[K\n'", "here"),
            # E07: prompts, also at the very end.
            (r"printf 'one # \ntwo $ \nroot@localhost:~# \n'", "one # \ntwo $ \nroot@localhost:~# "),
            ("printf 'worker login: '", "worker login: "),
            ("printf 'Password: '", "Password: "),
            ("printf 'localhost:~# '", "localhost:~# "),
            ("printf '# $ # '; sleep 1; printf '$ '", "# $ # $ "),
        ]

        @pytest.mark.parametrize(("command", "output"), SAID, ids=range(len(SAID)))
        def test_it(kv_pair, command, output):
            done = kv_pair.source.run(command)
            assert [line.rstrip() for line in done.output.splitlines()] == [
                line.rstrip() for line in output.splitlines()]
            assert done.exit_status == 0
            assert kv_pair.source.run("exit 3").exit_status == 3
        """
    )
    run.result.assert_outcomes(passed=9)
    assert {one["received"] for one in run.measurements} == {10}
