"""The document as JUnit XML: as a file of its own, and in the file that pytest writes."""
