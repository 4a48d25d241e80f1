"""The document as a page of its own (``--kv-html``): one file that opens offline."""
