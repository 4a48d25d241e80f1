"""``--kv-preflight``: all that can be known of a run before a VM is created, as a checklist."""
