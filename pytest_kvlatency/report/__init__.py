"""Reports. Each reads nothing but the result document of ``report.document``."""
