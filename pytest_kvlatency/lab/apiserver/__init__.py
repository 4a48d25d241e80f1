"""The control plane: Kubernetes' REST conventions, authentication, RBAC, watches."""
