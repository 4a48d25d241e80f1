"""What the document says of each pair of a mesh, and of the run."""

from __future__ import annotations

from datetime import datetime, timezone

import pytest

LAB = """
networks: {default/blue-network: {latency: 200us}}
links:
  - {between: [worker1, worker2], loss: 40%}
  - {between: [worker1, worker3], partition: true}
"""
NODES = "[worker1, worker2, worker3, {name: worker4, unschedulable: true}]"


def test_the_document_places_every_pair_in_time_and_on_nodes(grid):
    before = datetime.now(timezone.utc)
    run = grid(NODES, LAB).run(
        "--kv-nad=blue-network", "--kv-namespace=default", "--kv-nodes=mesh",
        "--kv-node-set=worker1,worker2,worker3,worker4", "--kv-sample-duration=1s", "--kv-interval=20ms",
    )  # fmt: skip
    document, pairs = run.document, run.pairs
    assert document["namespace"] == "default"
    assert document["cluster"]["lab"]["timeScale"] == 20
    assert document["cluster"]["lab"]["guests"].startswith("simulated guests")
    assert document["cluster"]["context"] == "lab"
    settings = document["settings"]
    assert list(settings)[:3] == ["nad", "nodes", "node_set"]
    assert settings["interval"] == {"option": "--kv-interval", "value": "20ms", "source": "command line"}
    assert settings["nad"]["value"] == ["blue-network"]
    assert settings["max_loss"] == {"option": "--kv-max-loss", "value": "0", "source": "default"}
    assert not {"max_latency", "sweep", "lab", "timeout", "toleration"} & settings.keys()

    lossy, cut, good = pairs["worker1:worker2"], pairs["worker1:worker3"], pairs["worker2:worker3"]
    for one in (lossy, cut, good):
        assert (
            before
            < datetime.fromisoformat(one["startTimestamp"].replace("Z", "+00:00"))
            < datetime.now(timezone.utc)
        )
        assert len(one["startTimestamp"]) == len("2026-11-30T02:45:32.123Z")
        assert one["guest"]["profile"] == "alpine"
        assert one["softwareEmulation"] is False
        assert "@sha256:" in one["guest"]["image"]
        assert len(one["lostSequence"]) == one["transmitted"] - one["received"]
    assert {one["round"] for one in (lossy, cut, good)} == {1, 2, 3}
    assert good["lostSequence"] == []
    assert 0 < len(lossy["lostSequence"]) < 50
    assert cut["lostSequence"] == list(range(50))

    dead = pairs["worker2:worker4"]
    assert (dead["sourceNode"], dead["targetNode"], dead["failedNode"]) == ("worker2", "worker4", "worker4")
    assert [dead[name] for name in ("startTimestamp", "round", "lostSequence", "targetVmi")] == [None] * 4
    assert "kubectl uncordon worker4" in dead["failureReason"]


LOST = """
import pytest

@pytest.mark.kvlatency
def test_ahead(kv_latency):
    pass

@pytest.mark.kvlatency(nodes="auto")
def test_owned(kv_pair):
    pass
"""


@pytest.mark.parametrize("others_boot", ["2h", "40s"])
def test_a_guest_that_does_not_come_up_is_placed_where_it_was_to_run(grid, others_boot):
    """Of a pair that the scheduler places, only the VMIs' statuses can tell, also that of a guest on its way."""
    # Both VMIs have come to their nodes long before a guest is lost.
    faults = f"""
networks: {{default/blue-network: {{}}}}
faults:
  - {{fault: slow-boot, after: 40s, node: worker2}}
  - {{fault: slow-boot, after: {others_boot}, node: worker1}}
  - {{fault: login-refused}}
"""
    run = grid("[worker1, worker2]", faults).run(
        "--kv-nad=default/blue-network", "--kv-nodes=auto", "--kv-nodes=worker1:worker2",
        "--kv-sample-duration=500ms", module="pytest", tests=LOST,
    )  # fmt: skip
    assert len(run.document["measurements"]) == 3
    for one in run.document["measurements"]:
        assert one["failureKind"] == "guest", one["failureReason"]
        assert one["failedNode"] == "worker2" or others_boot == "40s"
        assert {one["sourceNode"], one["targetNode"]} == {"worker1", "worker2"}, one["nodeid"]


def test_the_way_out_of_a_failure_is_its_advice(grid):
    faults = "networks: {default/blue-network: {}}\nfaults: [{fault: image-pull, node: worker2, times: 9}]\n"
    run = grid("[worker1, worker2]", faults).run(
        "--kv-nad=default/blue-network", "--kv-nodes=worker1:worker2"
    )
    (one,) = run.document["measurements"]
    assert (one["failureKind"], one["failedNode"]) == ("provision", "worker2")
    assert "--kv-image" in one["advice"]


def test_a_mesh_over_all_nodes_is_planned_in_natural_order(grid):
    lab = grid("[worker10, worker1, worker2]")
    # What is planned needs no network that exists.
    mesh = ("--kv-nad=default/missing-network", "--kv-nodes=mesh")
    run = lab.run(*mesh)
    assert list(run.pairs) == ["worker1:worker2", "worker1:worker10", "worker2:worker10"]
    shard = lab.run(*mesh, "--kv-shard=0/2")
    assert shard.document["plan"]["digest"] == run.document["plan"]["digest"]
