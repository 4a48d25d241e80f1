"""The Pod Security Standards of Kubernetes, level "restricted" (which includes "baseline"), for Linux pods.

Written from the standards' documentation: each rule names its control there.
"""

from __future__ import annotations

#: Volume Types: what "restricted" allows; this rules hostPath out as "baseline" does.
VOLUMES = {
    "configMap",
    "csi",
    "downwardAPI",
    "emptyDir",
    "ephemeral",
    "persistentVolumeClaim",
    "projected",
    "secret",
}
SECCOMP = {"RuntimeDefault", "Localhost"}
SELINUX_TYPES = {None, "", "container_t", "container_init_t", "container_kvm_t", "container_engine_t"}
SYSCTLS = {
    "kernel.shm_rmid_forced",
    "net.ipv4.ip_local_port_range",
    "net.ipv4.ip_unprivileged_port_start",
    "net.ipv4.tcp_syncookies",
    "net.ipv4.ping_group_range",
    "net.ipv4.ip_local_reserved_ports",
    "net.ipv4.tcp_keepalive_time",
    "net.ipv4.tcp_fin_timeout",
    "net.ipv4.tcp_keepalive_intvl",
    "net.ipv4.tcp_keepalive_probes",
}


def violations(spec):
    """What in a pod's ``spec`` is not allowed under "restricted"."""
    found = []
    pod = spec.get("securityContext") or {}
    containers = [
        *spec.get("containers", ()),
        *spec.get("initContainers", ()),
        *spec.get("ephemeralContainers", ()),
    ]
    found += [f"Host Namespaces: {key}" for key in ("hostNetwork", "hostPID", "hostIPC") if spec.get(key)]
    for volume in spec.get("volumes", ()):
        found += [f"Volume Types: {kind}" for kind in set(volume) - {"name"} - VOLUMES]
    found += [f"Sysctls: {one['name']}" for one in pod.get("sysctls", ()) if one["name"] not in SYSCTLS]
    for context, name in [
        (pod, "pod"),
        *((one.get("securityContext") or {}, one["name"]) for one in containers),
    ]:
        found += _anywhere(context, name)
    for one in containers:
        found += _container(one, pod)
    return found


def _anywhere(context, name):
    found = []
    if (context.get("windowsOptions") or {}).get("hostProcess"):
        found.append(f"HostProcess: {name}")
    if context.get("runAsNonRoot") is False:
        found.append(f"Running as Non-root: {name} says false")
    if context.get("runAsUser") == 0:
        found.append(f"Running as Non-root user: {name} is user 0")
    if context.get("seccompProfile") is not None and context["seccompProfile"].get("type") not in SECCOMP:
        found.append(f"Seccomp: {name}")
    selinux = context.get("seLinuxOptions") or {}
    if selinux.get("type") not in SELINUX_TYPES or selinux.get("user") or selinux.get("role"):
        found.append(f"SELinux: {name}")
    apparmor = context.get("appArmorProfile")
    if apparmor is not None and apparmor.get("type") not in ("RuntimeDefault", "Localhost"):
        found.append(f"AppArmor: {name}")
    return found


def _container(container, pod):
    name, context = container["name"], container.get("securityContext") or {}
    capabilities = context.get("capabilities") or {}
    found = []
    if context.get("privileged"):
        found.append(f"Privileged Containers: {name}")
    if context.get("allowPrivilegeEscalation") is not False:
        found.append(f"Privilege Escalation: {name} does not say false")
    if context.get("runAsNonRoot", pod.get("runAsNonRoot")) is not True:
        found.append(f"Running as Non-root: {name} does not say true")
    if context.get("seccompProfile") is None and pod.get("seccompProfile") is None:
        found.append(f"Seccomp: {name} names no profile")
    if "ALL" not in capabilities.get("drop", ()):
        found.append(f"Capabilities: {name} does not drop ALL")
    if set(capabilities.get("add", ())) - {"NET_BIND_SERVICE"}:
        found.append(f"Capabilities: {name} adds some")
    if context.get("procMount") not in (None, "Default"):
        found.append(f"/proc Mount Type: {name}")
    if any(port.get("hostPort") for port in container.get("ports", ())):
        found.append(f"Host Ports: {name}")
    return found
