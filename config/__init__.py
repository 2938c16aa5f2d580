"""Settings and strict YAML: what operators write, read once and checked before anything starts."""
