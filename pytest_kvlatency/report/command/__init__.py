"""``python -m pytest_kvlatency report``: any report from documents, later and offline; those of shards as one."""
