"""The embedded lab: a KubeVirt-compatible endpoint on this machine, a server of its own."""
