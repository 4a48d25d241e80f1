"""What ``--help`` of the lab's command line tells beyond its arguments."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from pytest_kvlatency.lab.spec.faults import FAULTS

if TYPE_CHECKING:
    from collections.abc import Iterator

COMMAND: Final = "python -m pytest_kvlatency.lab"
ABOUT: Final = """\
A KubeVirt-compatible API server on this machine, for use without a cluster:
pytest-kvlatency, kubectl, virtctl console and other checkups can connect to it.
"""
EXAMPLES: Final = f"""\
examples:
  {COMMAND} up                # real guests if QEMU is usable, otherwise simulated ones
  {COMMAND} up sim --dir lab  # then: export KUBECONFIG=$PWD/lab/kubeconfig
  {COMMAND} up lab.yaml       # nodes, networks, links and faults from the file
  {COMMAND} setup             # install what real guests need, on Debian and Ubuntu

To start a lab for one test run, use pytest's option --kv-lab[=SPEC].
"""
UP: Final = """\
Runs a lab until Ctrl-C. Prints what kind of guests it has, and the path of an
administrator's kubeconfig: DIR/kubeconfig. Without --dir, DIR is a new temporary
directory, which is removed at the end.
"""
LAB_FILE: Final = """\
a lab file:
  guests: sim                             # or qemu, or auto
  nodes: [worker1, worker2, worker3]      # or a number
  networks:
    default/blue-network: {latency: 200us, jitter: 20us, loss: 0%}
  links:
    - {between: [worker1, worker3], latency: 12ms}
  faults:
    - {fault: console-drop, node: worker2, after: 2s, times: 1}
"""
SETUP: Final = """\
Installs QEMU, a static BusyBox and a kernel for guests from the distribution's
packages (Debian and Ubuntu; as root, or with sudo). What is already installed
is not changed. On other systems, prints what is needed.
"""
_NAME_WIDTH: Final = max(map(len, FAULTS)) + 1
_FAULT_KEYS: Final = """\
Each fault takes node, network and vmi (a pattern of names), which limit where
it happens, and after and times. Some take more keys:
"""


def up_epilog() -> str:
    """Return a lab file to start from, and each fault with what it does."""
    return "\n".join([LAB_FILE, "faults:", *_indented(_FAULT_KEYS), *_faults()])


def _indented(text: str) -> Iterator[str]:
    return (f"  {line}" for line in text.splitlines())


def _faults() -> Iterator[str]:
    for name, fault in FAULTS.items():
        yield f"  {name:<{_NAME_WIDTH}}{fault.help}"
        for key, text in fault.parameters:
            yield f"  {'':<{_NAME_WIDTH + 2}}{key}: {text}"
