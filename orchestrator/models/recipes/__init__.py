"""One module per way of building a variant; each runs as a process of its own and frees its memory with it."""
