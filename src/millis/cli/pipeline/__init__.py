"""The pipeline as functions: config in, records out. Each stage is kept under a fingerprint of its inputs."""
