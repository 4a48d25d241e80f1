"""What a mesh asks of the API server: so much for each node, not for each pair."""

from __future__ import annotations

import pytest

SIZES = (4, 8, 16)
#: Create, delete, console, and looks until it runs and until it is gone.
FOR_A_NODE = 14


@pytest.mark.parametrize("permissions", ["administrator", "role"])
def test_requests_grow_with_the_nodes_and_not_with_the_pairs(grid, role, counted, permissions):
    found = {}
    for nodes in SIZES:
        lab = grid(nodes)
        names = ",".join(f"worker{number}" for number in range(1, nodes + 1))
        done = lab.run(
            *("--kv-nad", "default/blue-network", "--kv-nodes", "mesh", "--kv-node-set", names, "-q"),
            *("--kv-sample-duration", "1s", "--kv-timeout", "3m"),
            kubeconfig=None if permissions == "administrator" else lab.account(role),
        )
        assert done.status == 0, done.output[-3000:]
        assert len(done.pairs) == nodes * (nodes - 1) // 2
        by_kind = counted(done)
        assert by_kind["create/virtualmachineinstances"] == nodes
        assert by_kind["delete/virtualmachineinstances"] == nodes
        assert lab.vmis() == []
        found[nodes] = len(done.audit)
    for nodes, requests in found.items():
        assert requests <= 20 + FOR_A_NODE * nodes, found
    for nodes in SIZES[1:]:
        assert found[nodes] <= 2.3 * found[nodes // 2], found
