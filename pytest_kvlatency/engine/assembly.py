"""Puts the engine together: who creates, who looks out, who measures, who cleans up."""

from __future__ import annotations

import os
import secrets
from functools import partial
from typing import TYPE_CHECKING, Any

from pytest_kvlatency.engine.activity import Activity
from pytest_kvlatency.engine.blueprint import Blueprint
from pytest_kvlatency.engine.claims import Claims
from pytest_kvlatency.engine.consoles import Consoles
from pytest_kvlatency.engine.dispatcher import Dispatcher
from pytest_kvlatency.engine.engine import Engine
from pytest_kvlatency.engine.leftovers import Leftovers
from pytest_kvlatency.engine.lookout import LookOut
from pytest_kvlatency.engine.measuring import Measurer
from pytest_kvlatency.engine.move import Mover
from pytest_kvlatency.engine.provision import Provisioner
from pytest_kvlatency.engine.whereabouts import Whereabouts
from pytest_kvlatency.kube.kubeconfig import pod_namespace
from pytest_kvlatency.kube.manifest import owner_from_environment
from pytest_kvlatency.kube.nodes import SeenNodes
from pytest_kvlatency.kube.podlook import look_at_pods
from pytest_kvlatency.kube.vmi import Vmis
from pytest_kvlatency.kube.watch import VmiWatch
from pytest_kvlatency.plan.addresses import AddressShare
from pytest_kvlatency.plan.checks import guests_by_subnet
from pytest_kvlatency.plan.moves import MOST_AT_ONCE

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from pytest_kvlatency.config.settings import Settings
    from pytest_kvlatency.deadline import Deadline
    from pytest_kvlatency.engine.artifacts import Artifacts
    from pytest_kvlatency.engine.attempts import Attempt
    from pytest_kvlatency.engine.occupancy import Occupy
    from pytest_kvlatency.errors import KvLatencyError
    from pytest_kvlatency.guest.profiles import GuestProfile
    from pytest_kvlatency.kube.client import KubeClient
    from pytest_kvlatency.kube.ledger import Journal
    from pytest_kvlatency.model import Check


def assemble(
    *,
    client: KubeClient,
    namespace: str,
    settings: Settings,
    checks: Sequence[Check],
    deadline: Deadline,
    profiles: Mapping[str, GuestProfile],
    change_manifest: Callable[[dict[str, Any], Check], None],
    artifacts: Artifacts,
    binding_plugins: frozenset[str] | None = None,
    nodes: SeenNodes | None = None,
    has_manifest_hooks: bool = False,
    addresses: AddressShare | None = None,
    journal: Journal | None = None,
    occupy: Occupy | None = None,
    on_measured: Callable[[Attempt], None] = lambda _: None,
    kubevirt_version: str | None = None,
    parallel_migrations: int = MOST_AT_ONCE,
    move_refusal: KvLatencyError | None = None,
) -> Engine:
    """Make the engine of a run over ``checks``, each with its NAD's namespace.

    ``addresses`` is its share of a block that several processes divide; None: the run has one for itself. ``journal``
    is told of every VMI. ``occupy`` keeps other processes from nodes. ``on_measured`` is told what was measured ahead.
    ``parallel_migrations``: how many the cluster has under way at once. Of the rest see ``Blueprint``.
    """
    run_id = secrets.token_hex(4)
    in_subnets = guests_by_subnet(checks)
    guests = sum(in_subnets.values())
    vmis = Vmis(client, journal=journal)
    leftovers = Leftovers(vmis)
    blueprint = Blueprint(
        run_id=run_id,
        addresses=addresses or AddressShare(run_id=run_id, guests=guests),
        guests_by_subnet=in_subnets,
        namespace=namespace,
        owner=owner_from_environment(os.environ, pod_namespace=pod_namespace(), vmi_namespace=namespace),
        image_pull_secret=settings.image_pull_secret,
        tolerations=tuple(one.to_dict() for one in settings.tolerations),
        keeps=settings.keep != "never",
        profiles=profiles,
        change_manifest=change_manifest,
        binding_plugins=binding_plugins,
        nodes=nodes or SeenNodes(),
        has_manifest_hooks=has_manifest_hooks,
        move_refusal=move_refusal,
    )
    consoles = Consoles(guests=guests)
    whereabouts = Whereabouts()
    provisioner = Provisioner(
        client=client,
        vmis=vmis,
        leftovers=leftovers,
        look_out=LookOut(
            client,
            vmis,
            watch=lambda tell: VmiWatch(client, namespace, blueprint.run_id, tell),
            look_at_pods=partial(look_at_pods, client, namespace, run_id),
        ),
        consoles=consoles,
        blueprint=blueprint,
        artifacts=artifacts,
        whereabouts=whereabouts,
    )
    mover = Mover(
        client,
        vmis,
        leftovers,
        run_id=run_id,
        version=kubevirt_version,
        at_once=parallel_migrations,
        node_labels=provisioner.site.destination_labels,
    )
    activity = Activity(deadline.stop)
    dispatcher = Dispatcher(
        provisioner=provisioner,
        measurer=Measurer(vmis, mover),
        leftovers=leftovers,
        consoles=consoles,
        whereabouts=whereabouts,
        activity=activity,
        deadline=deadline,
        parallel=settings.parallel,
        occupy=occupy,
        on_measured=on_measured,
    )
    engine = Engine(
        dispatcher=dispatcher,
        claims=Claims(dispatcher, deadline, parallel=settings.parallel),
        provisioner=provisioner,
        leftovers=leftovers,
        activity=activity,
        whereabouts=whereabouts,
        deadline=deadline,
    )
    engine.plan(checks)
    return engine
