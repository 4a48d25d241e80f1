"""One browser for all tests, and one run of a mesh with a slow link, a lossy link, a cut pair and a cordoned node."""

from __future__ import annotations

import json
import os

import browser_setup
import pytest
from own_checkup import checkup

REQUIRE = "KVLATENCY_REQUIRE_BROWSER"
LAB = """
guests: sim
nodes: [worker1, worker2, worker3, worker10, {name: worker11, unschedulable: true}]
networks:
  default/blue-network: {latency: 100us, jitter: 30us}
links:
  - {between: [worker1, worker2], network: default/blue-network, latency: 12ms}
  - {between: [worker1, worker3], network: default/blue-network, loss: 15%}
  - {between: [worker2, worker3], network: default/blue-network, partition: true}
seed: 7
boot: 100ms
time_scale: 20
"""
ARGUMENTS = (
    "-p", "pytest_html", "-p", "pytest_metadata", "--kv-nodes", "mesh", "--kv-max-latency", "10ms",
    "--kv-node-set", "worker1,worker2,worker3,worker10,worker11", "--kv-sample-duration", "2s",
    "--kv-json", "result.json", "--kv-html", "page.html", "--kv-artifacts", "artifacts",
    "--html", "plain.html", "--self-contained-html",
)  # fmt: skip


def pytest_collection_modifyitems(items):
    for item in items:
        if "browser" in getattr(item, "fixturenames", ()):
            item.add_marker(pytest.mark.browser)


def pytest_runtest_setup(item):
    if item.get_closest_marker("browser") is None:
        return
    trouble = browser_setup.unusable()
    if trouble is None:
        return
    if os.environ.get(REQUIRE) == "1" and browser_setup.unsupported() is None:
        pytest.fail(f"{REQUIRE}=1, but {trouble}", pytrace=False)
    pytest.skip(trouble)


@pytest.fixture(scope="session")
def browser():
    from browser import Browser

    made = Browser()
    yield made
    made.close()


@pytest.fixture(scope="session")
def axe():
    return browser_setup.axe().read_text(encoding="utf-8")


@pytest.fixture(scope="session")
def run(tmp_path_factory):
    """The directory of the run: ``page.html``, ``plain.html`` (pytest-html's), ``result.json`` and ``artifacts``."""
    directory = tmp_path_factory.mktemp("run")
    done = checkup(directory, LAB, *ARGUMENTS)
    assert done.returncode == 1, done.stdout
    return directory


@pytest.fixture(scope="session")
def page(run):
    return run / "page.html"


@pytest.fixture(scope="session")
def document(run):
    """What the page was made of; a test that changes it takes a copy."""
    return json.loads((run / "result.json").read_text(encoding="utf-8"))


@pytest.fixture(scope="session")
def entries(document):
    """The document's entries by pair: ``worker1:worker2``."""
    return {one["nodes"]: one for one in document["measurements"]}
