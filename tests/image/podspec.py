"""What a pod's spec means for its one container: arguments, environment, files, user. As a kubelet resolves it."""

from __future__ import annotations

import base64
import re
from dataclasses import dataclass

from containers import DEFAULT_CAPABILITIES, Mount, Security

TOKEN_DIRECTORY = "/var/run/secrets/kubernetes.io/serviceaccount"
_REFERENCE = re.compile(r"\$(?:\$|\(([-._a-zA-Z0-9]+)\))")
_INDEXED_FIELD = re.compile(r"metadata\.(labels|annotations)\['([^']+)'\]")


class PodError(Exception):
    """A kubelet would not start this container, or this one cannot; the text says why."""


@dataclass(frozen=True, kw_only=True)
class Sources:
    """Where values come from: functions that give a ConfigMap's or a Secret's data by name, and a claim's directory."""

    configmap: object
    secret: object
    claim: object
    empty_dir: object


def container_of(pod):
    spec = pod["spec"]
    if spec.get("initContainers") or len(spec["containers"]) != 1:
        raise PodError("this kubelet runs pods of one container only")
    return spec["containers"][0]


def expanded(text, environment):
    """``$(NAME)`` is replaced where NAME is known, ``$$`` is a dollar; everything else stays as it is."""

    def value(match):
        if match[0] == "$$":
            return "$"
        return environment.get(match[1], match[0])

    return _REFERENCE.sub(value, text)


def arguments(container, config, environment):
    """The process's arguments: a command of the spec takes the place of the image's entry point and arguments both."""
    command, args = container.get("command"), container.get("args")
    if command:
        whole = [*command, *(args or [])]
    else:
        own = config.get("Cmd") or [] if args is None else args
        whole = [*(config.get("Entrypoint") or []), *own]
    if not whole:
        raise PodError("no command specified")
    return [expanded(word, environment) for word in whole]


def field(pod, path):
    """A field by the downward API."""
    indexed = _INDEXED_FIELD.fullmatch(path)
    if indexed:
        return (pod["metadata"].get(indexed[1]) or {}).get(indexed[2], "")
    known = {
        "metadata.name": pod["metadata"]["name"],
        "metadata.namespace": pod["metadata"]["namespace"],
        "metadata.uid": pod["metadata"]["uid"],
        "spec.nodeName": pod["spec"].get("nodeName", ""),
        "spec.serviceAccountName": pod["spec"].get("serviceAccountName", "default"),
        "status.podIP": "127.0.0.1",
    }
    if path not in known:
        raise PodError(f"this kubelet does not know the field {path}")
    return known[path]


def variables(container, pod, sources, before):
    """The environment: ``before`` (the image's and the node's) and what the spec adds or replaces."""
    found = dict(before)
    for one in container.get("envFrom") or []:
        kind, give = (
            ("configMapRef", sources.configmap) if "configMapRef" in one else ("secretRef", sources.secret)
        )
        data = give(one[kind]["name"], optional=one[kind].get("optional", False)) or {}
        found |= {one.get("prefix", "") + name: text for name, text in data.items()}
    for one in container.get("env") or []:
        value = _value(one, pod, sources, found)
        if value is not None:
            found[one["name"]] = value
    return found


def _value(entry, pod, sources, environment):
    source = entry.get("valueFrom")
    if source is None:
        return expanded(entry.get("value", ""), environment)
    if "fieldRef" in source:
        return field(pod, source["fieldRef"]["fieldPath"])
    for kind, give in (("configMapKeyRef", sources.configmap), ("secretKeyRef", sources.secret)):
        if kind in source:
            wanted = source[kind]
            optional = wanted.get("optional", False)
            data = give(wanted["name"], optional=optional) or {}
            if wanted["key"] not in data and not optional:
                raise PodError(f"couldn't find key {wanted['key']} in {wanted['name']}")
            return data.get(wanted["key"])
    raise PodError(f"this kubelet does not know the source of {entry['name']}: {', '.join(source)}")


def security(pod, container, image):
    """Who the process is and what it may do."""
    of_pod, own = pod["spec"].get("securityContext") or {}, container.get("securityContext") or {}

    def setting(name, default=None):
        return own.get(name, of_pod.get(name, default))

    user, _, group = str(image.config.get("User") or "0").partition(":")
    uid, gid = setting("runAsUser"), setting("runAsGroup")
    if uid is None:
        if not user.isdigit():
            raise PodError(f"container has runAsNonRoot and image has non-numeric user ({user})")
        uid, gid = int(user), int(group or 0) if gid is None else gid
    if setting("runAsNonRoot") and uid == 0:
        raise PodError("container has runAsNonRoot and image will run as root")
    capabilities = own.get("capabilities") or {}
    dropped = {name.upper() for name in capabilities.get("drop") or []}
    kept = [] if "ALL" in dropped else [one for one in DEFAULT_CAPABILITIES if one[4:] not in dropped]
    groups = [
        *(of_pod.get("supplementalGroups") or []),
        *([of_pod["fsGroup"]] if "fsGroup" in of_pod else []),
    ]
    return Security(
        uid=uid,
        gid=gid or 0,
        groups=tuple(groups),
        read_only=own.get("readOnlyRootFilesystem", False),
        capabilities=(*kept, *(f"CAP_{name}" for name in capabilities.get("add") or [])),
        no_new_privileges=not own.get("allowPrivilegeEscalation", True),
    )


def mounts(pod, container, sources):
    """What the container's mounts are on the node."""
    volumes = {one["name"]: one for one in pod["spec"].get("volumes") or []}
    made = {}
    found = []
    for one in container.get("volumeMounts") or []:
        if one["name"] not in volumes:
            raise PodError(f"volumeMounts names no volume of the pod: {one['name']}")
        source = made.get(one["name"])
        if source is None:
            source = made[one["name"]] = _volume(volumes[one["name"]], pod, sources)
        path = source / one["subPath"] if one.get("subPath") else source
        found.append(Mount(path=one["mountPath"], source=path, read_only=one.get("readOnly", False)))
    return found


def _volume(volume, pod, sources):
    if "persistentVolumeClaim" in volume:
        return sources.claim(volume["persistentVolumeClaim"]["claimName"])
    directory = sources.empty_dir()
    if "emptyDir" in volume:
        return directory
    parts = volume["projected"]["sources"] if "projected" in volume else [volume]
    for part in parts:
        for name, text in _files(part, pod, sources, volume["name"]).items():
            target = directory / name
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_text(text, encoding="utf-8")
    directory.chmod(0o755)
    return directory


def _files(part, pod, sources, name):
    if "configMap" in part:
        source = part["configMap"]
        return _chosen(
            sources.configmap(source["name"], optional=source.get("optional", False)) or {}, source
        )
    if "secret" in part:
        source = part["secret"]
        named = source.get("secretName") or source["name"]
        return _chosen(sources.secret(named, optional=source.get("optional", False)) or {}, source)
    if "downwardAPI" in part:
        return {one["path"]: field(pod, one["fieldRef"]["fieldPath"]) for one in part["downwardAPI"]["items"]}
    raise PodError(f"this kubelet does not know the kind of volume {name}: {', '.join(part)}")


def _chosen(data, source):
    items = source.get("items")
    return data if items is None else {one["path"]: data[one["key"]] for one in items}


def decoded(secret):
    return {key: base64.b64decode(text).decode() for key, text in (secret.get("data") or {}).items()}
