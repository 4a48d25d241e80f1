"""The document as Markdown, for the summary of a CI job."""
