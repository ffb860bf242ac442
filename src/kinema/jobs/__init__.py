"""Durable jobs: a kind and plain JSON, stored in a database and run by worker processes (docs/jobs.md)."""
