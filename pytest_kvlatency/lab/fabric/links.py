"""Which quality the link between two nodes has. Pure."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from pytest_kvlatency.lab.spec.labspec import LinkQuality

if TYPE_CHECKING:
    from pytest_kvlatency.lab.spec.labspec import LabSpec


class LinkTable:
    """Answers, for a network and two nodes, what happens to a frame on its way; the same both ways."""

    def __init__(self, spec: LabSpec) -> None:
        self._networks = {network.name: network.quality for network in spec.networks}
        self._links = spec.links
        self._cache: dict[tuple[str, str, str], LinkQuality] = {}

    def quality(self, network: str, a: str, b: str) -> LinkQuality:
        """Return the quality between the nodes ``a`` and ``b`` on ``network`` (``NAMESPACE/NAME``).

        It is the network's (perfect within one node), overridden field by field by the lab's links that
        match; where several give the same field, the last does. A network that the lab does not have is perfect.
        """
        key = (network, a, b) if a <= b else (network, b, a)
        found = self._cache.get(key)
        if found is None:
            found = self._cache[key] = self._compute(*key)
        return found

    def _compute(self, network: str, a: str, b: str) -> LinkQuality:
        quality = LinkQuality() if a == b else self._networks.get(network, LinkQuality())
        for link in self._links:
            if link.network in (None, network) and sorted(link.between) == [a, b]:
                quality = replace(quality, **link.overrides)
        return quality
