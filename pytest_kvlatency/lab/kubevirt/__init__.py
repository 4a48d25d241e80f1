"""The KubeVirt half: scheduling, the VMIs' life and the console; knows the control plane by its API only."""
