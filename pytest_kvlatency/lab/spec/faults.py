"""The catalogue of faults: each by name, who makes it happen, and which parameters it takes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Where = Literal["api", "kubevirt", "console", "guest"]


@dataclass(frozen=True, kw_only=True)
class Fault:
    """One entry: ``where`` says which part of the lab makes it happen; ``parameters`` are names with their help."""

    where: Where
    help: str
    parameters: tuple[tuple[str, str], ...] = ()
    #: Whether it strikes a VMI that is known, so that its node and its networks are.
    by_vmi: bool = True


FAULTS: dict[str, Fault] = {
    # The control plane.
    "api-error": Fault(
        where="api",
        by_vmi=False,
        help="an API request is answered with an error",
        parameters=(
            ("code", "HTTP status: 429, 500, 503, … (default 503)"),
            ("verb", "only this verb (get, create, …)"),
            ("resource", "only this resource, or resource/subresource"),
            ("retry_after", "seconds for the Retry-After header"),
            ("message", "the Status' message"),
        ),
    ),
    "api-conflict": Fault(
        where="api",
        by_vmi=False,
        help="an update or patch gets a 409, as if another client had been faster",
        parameters=(("resource", "only this resource"),),
    ),
    "api-reset": Fault(
        where="api",
        by_vmi=False,
        help="the connection is reset instead of answering",
        parameters=(("verb", "only this verb"), ("resource", "only this resource")),
    ),
    "api-slow": Fault(
        where="api",
        by_vmi=False,
        help="an answer is delayed",
        parameters=(
            ("delay", "a duration"),
            ("verb", "only this verb"),
            ("resource", "only this resource"),
        ),
    ),
    "api-restart": Fault(
        where="api",
        by_vmi=False,
        help=(
            "the API server restarts instead of answering: connections are reset, including consoles and watches; "
            "then, until it has loaded its roles, everyone but administrators gets 403 (`times`: default 1)"
        ),
        parameters=(
            ("verb", "only this verb"),
            ("resource", "only this resource"),
            ("down", "how long connections are reset (default 1s)"),
            ("denies", "how long permitted requests are denied after that (default 3s)"),
        ),
    ),
    "quota": Fault(where="api", help="creating a VMI is refused with 403 'exceeded quota'"),
    "policy-refused": Fault(
        where="api",
        help="creating a VMI is refused with 403 by an admission webhook, in a dry run too",
        parameters=(("message", "the webhook's message"),),
    ),
    "dry-run-unsupported": Fault(
        where="api",
        help="a dry run of creating a VMI is refused with 400 for a webhook that may have side effects",
    ),
    "mac-collision": Fault(where="api", help="creating a VMI is refused as KubeMacPool refuses a MAC in use"),
    "kubevirt-missing": Fault(where="api", by_vmi=False, help="KubeVirt's API groups are missing"),
    "nad-api-missing": Fault(where="api", by_vmi=False, help="the API group k8s.cni.cncf.io is missing"),
    # KubeVirt.
    "unschedulable": Fault(
        where="kubevirt", help="no node fits: the scheduler reports that none has /dev/kvm"
    ),
    "image-pull": Fault(
        where="kubevirt",
        help="the container disk cannot be pulled (`times`: how often): ErrImagePull, then ImagePullBackOff until the "
        "next try",
        parameters=(
            ("reason", "only ErrImagePull, or only ImagePullBackOff"),
            ("message", "the message of the failure"),
            ("back_off", "the pause after the first try (default 10s); each next one is twice as long"),
        ),
    ),
    "pod-refused": Fault(
        where="kubevirt",
        help="quota or Pod Security refuses the virt-launcher pod (condition FailedCreate)",
        parameters=(("message", "the refusal"),),
    ),
    "sandbox-failed": Fault(
        where="kubevirt",
        help="the CNI fails: a FailedCreatePodSandBox event, and the VMI stays Scheduling",
        parameters=(("message", "the event's text"),),
    ),
    "container-waiting": Fault(
        where="kubevirt",
        help="the containers of the virt-launcher pod wait (`times`: for 5s each), and the VMI stays Scheduling "
        "without a condition",
        parameters=(
            ("state", "why: InvalidImageName, RunContainerError, … (default CreateContainerError)"),
            ("message", "the message"),
        ),
    ),
    "sync-failed": Fault(
        where="kubevirt",
        help="virt-handler cannot start the guest (`times`: how often), and the VMI stays Scheduled: condition "
        "`Synchronizing with the Domain failed.`",
        parameters=(("message", "its message"),),
    ),
    "vmi-failed": Fault(where="kubevirt", help="the VMI becomes Failed `after` it was Running"),
    "vmi-deleted": Fault(where="kubevirt", help="another client deletes the VMI `after` it was Running"),
    "guest-crash": Fault(where="kubevirt", help="the guest crashes `after` it was Running"),
    "stuck-deletion": Fault(
        where="kubevirt", help="the finalizer is never removed, so the VMI is never gone"
    ),
    "handler-dead": Fault(
        where="kubevirt",
        help="virt-handler is down: a deleted VMI stays Running and is never gone",
    ),
    "migration": Fault(
        where="kubevirt",
        help="the VMI is migrated `after` it was Running, as by a drain of its node",
        parameters=(("to", "the other node, whatever the VMI asks for"),),
    ),
    "not-migratable": Fault(
        where="kubevirt",
        help="the VMI cannot be migrated (condition LiveMigratable)",
        parameters=(("message", "its message"),),
    ),
    "migration-pending": Fault(where="kubevirt", help="a migration stays Pending"),
    "migration-unschedulable": Fault(
        where="kubevirt",
        help="a migration stays Scheduling: no node fits the target pod",
        parameters=(("message", "the scheduler's message"),),
    ),
    "migration-elsewhere": Fault(
        where="kubevirt",
        help="a migration ends on another node than asked for",
        parameters=(("to", "the other node"),),
    ),
    "migration-slow": Fault(where="kubevirt", help="a migration stays Running for longer, by `after`"),
    "migration-fails": Fault(
        where="kubevirt",
        help="a migration fails half-way, and the guest stays where it is",
        parameters=(("message", "the failureReason"),),
    ),
    "no-agent": Fault(where="kubevirt", help="no guest agent: status.interfaces never shows an address"),
    # The console subresource.
    "console-drop": Fault(where="console", help="the connection drops `after` it was opened"),
    "console-evict": Fault(where="console", help="another client opens the console `after` it was opened"),
    "console-error": Fault(
        where="console", help="the upgrade is refused", parameters=(("code", "HTTP status (default 500)"),)
    ),
    "console-idle": Fault(where="console", help="a load balancer drops a connection idle for `after`"),
    "console-shred": Fault(where="console", help="each byte is sent in its own frame"),
    "console-late-eof": Fault(where="console", help="the upgrade succeeds, and the connection ends at once"),
    # Inside the guest.
    "slow-boot": Fault(where="guest", help="the login prompt appears later, by `after`"),
    "torn-prompt": Fault(
        where="guest", help="messages of cloud-init break up the login prompt (`times`: default 1)"
    ),
    "kernel-noise": Fault(
        where="guest",
        help="kernel messages on the console, between lines and in the middle of ping's",
        parameters=(("every", "lines between two messages (default 5)"),),
    ),
    "last-failed-login": Fault(where="guest", help="'Last failed login:' above the prompt"),
    "already-logged-in": Fault(
        where="guest",
        help="the console is in the middle of an earlier command",
        parameters=(("command", "the command (default cat)"),),
    ),
    "silent": Fault(where="guest", help="the guest never prints anything"),
    "login-refused": Fault(where="guest", help="the login is refused"),
    "password-late": Fault(
        where="guest",
        help="cloud-init sets the password `after` the login prompt: until then the login is refused (profile fedora)",
    ),
    "password-expired": Fault(
        where="guest", help="a new password is required at the first login (profile fedora)"
    ),
    "password-prompt": Fault(
        where="guest",
        help="the password is asked for in another language (profile fedora)",
        parameters=(("prompt", "the prompt (default 'Passwort: ')"),),
    ),
    "boot-loader": Fault(
        where="guest",
        help="a boot loader waits in silence for `after` (default 10s); any key but Enter stops the boot",
    ),
    "datasource-wait": Fault(
        where="guest",
        help="without user data cloud-init waits `after` (default 2m) before it applies anything",
    ),
    "no-cloud-init": Fault(where="guest", help="cloud-init does not configure the interfaces"),
    "mac-changed": Fault(where="guest", help="the guest sees another MAC than the VMI says"),
    "ping-missing": Fault(where="guest", help="ping: not found"),
    "ping-not-permitted": Fault(where="guest", help="ping: permission denied"),
    "stray-line": Fault(
        where="guest",
        help="a line that ping did not print appears in the output of a sample (`times`: of how many samples)",
        parameters=(
            (
                "line",
                (
                    "the line, with ADDRESS for the target's address and TIME for the time of the replaced reply "
                    "(default: a reply)"
                ),
            ),
            (
                "instead",
                "the reply that it replaces, counted from 1 (default: it comes after the first reply)",
            ),
        ),
    ),
    "queue": Fault(
        where="guest",
        help="what a ping of the guest sends is held back from `after` it began, and then answered all at once",
        parameters=(("delay", "for how long it is held back (default 1.2s)"),),
    ),
    "address-taken": Fault(
        where="guest",
        help="another machine on the network answers for the guest's address (`times`: for how many different ones)",
    ),
    "no-dhcp": Fault(where="guest", help="DHCP requests are not answered"),
    "lease-unused": Fault(
        where="guest", help="the guest's DHCP client gets a lease but does not configure it"
    ),
}
