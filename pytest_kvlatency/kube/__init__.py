"""The cluster: client, manifests, the life of VMIs, NADs, the ConfigMap, diagnoses. The only user of ``kubernetes``."""
