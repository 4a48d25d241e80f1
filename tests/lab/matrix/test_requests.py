"""What a mesh asks of the API server: so much for each node, not for each pair."""

from __future__ import annotations

import pytest

#: Of each VMI, on the average: its console, and looks until it runs, while it is measured, and until it is gone.
LOOKS = 7
#: What is asked once: the server's version, the network, and a watch of all VMIs, for example.
ONCE = 8


# Looks at both guests of each pair would be more than 9 nodes may have, and anything else for each pair more than 4 may.
@pytest.mark.parametrize(("permissions", "nodes"), [("administrator", 9), ("role", 4)])
def test_requests_grow_with_the_nodes_and_not_with_the_pairs(grid, role, counted, permissions, nodes):
    lab = grid(nodes)
    names = ",".join(f"worker{number}" for number in range(1, nodes + 1))
    done = lab.run(
        *("--kv-nad", "default/blue-network", "--kv-nodes", "mesh", "--kv-node-set", names, "-q"),
        *("--kv-sample-duration", "1s", "--kv-timeout", "3m"),
        kubeconfig=None if permissions == "administrator" else lab.account(role),
    )
    assert done.status == 0, done.output[-3000:]
    assert len(done.pairs) == nodes * (nodes - 1) // 2
    assert lab.vmis() == []
    requests = counted(done)
    assert requests.pop("create/virtualmachineinstances") == nodes
    assert requests.pop("delete/virtualmachineinstances") == nodes
    consoles = requests.pop("get/virtualmachineinstances/console")
    assert requests.pop("get/virtualmachineinstances") + consoles <= LOOKS * nodes
    # Each node is read, unless the first of them may not be.
    assert requests.total() <= nodes + ONCE, requests
