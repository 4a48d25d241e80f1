"""A mesh in which several things are wrong at once: each is one cause."""

from __future__ import annotations

LAB = """
networks:
  default/blue-network: {latency: 200us}
  default/red-network: {latency: 200us}
links:
  - {between: [worker1, worker3], network: default/blue-network, latency: 12ms}
  - {between: [worker2, worker4], network: default/blue-network, loss: 40%}
  - {between: [worker3, worker4], network: default/red-network, partition: true}
"""
NODES = "[worker1, worker2, worker3, worker4, {name: worker5, unschedulable: true}]"


def test_a_slow_a_lossy_and_a_cut_pair_and_a_cordoned_node_are_four_causes(grid):
    run = grid(NODES, LAB).run(
        *(f"--kv-nad=default/{name}-network" for name in ("blue", "red")),
        "--kv-nodes=mesh", "--kv-nodes=worker4:worker3", "--kv-max-latency=10ms",
        "--kv-node-set=worker1,worker2,worker3,worker4,worker5",
        "--kv-sample-duration=1s", "--kv-interval=20ms",
    )  # fmt: skip
    causes = run.document["causes"]
    assert [(one["sentence"], one["node"] or one["pair"], len(one["measurements"])) for one in causes] == [
        ("worker5 is cordoned", "worker5", 8),
        ("no replies between worker3 and worker4", "worker3:worker4", 2),
        ("latency exceeds the limit between worker1 and worker3", "worker1:worker3", 1),
        ("packets are lost between worker2 and worker4", "worker2:worker4", 1),
    ]
    assert [len(one["networks"]) for one in causes] == [2, 1, 1, 1]
    assert "kubectl uncordon worker5" in causes[0]["advice"]
    # The pairs with worker5 were not measured, so they say nothing of their other nodes.
    assert all(one["advice"].startswith("other pairs of both nodes are fine: ") for one in causes[1:])
    known = {one["nodeid"] for one in run.document["measurements"]}
    assert all(set(one["measurements"]) <= known for one in causes)


def test_a_quota_that_stops_one_guest_is_not_the_fault_of_the_node_it_was_for(grid):
    run = grid(
        "[worker1, worker2, worker3]", "faults: [{fault: quota, node: worker2}]\n"
    ).run(
        "--kv-nad=default/blue-network", "--kv-nodes=mesh", "--kv-sample-duration=200ms", "--kv-interval=20ms"
    )  # fmt: skip
    (cause,) = run.document["causes"]
    assert (cause["kind"], cause["node"], len(cause["measurements"])) == ("provision", None, 2)
    assert cause["sentence"].startswith("cannot create a VMI: ")
    assert "exceeded quota" in cause["sentence"]
    assert {one["failedNode"] for one in run.document["measurements"]} == {None, "worker2"}
