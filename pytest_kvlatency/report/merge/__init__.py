"""One document of those of the shards, and its reports made again."""
