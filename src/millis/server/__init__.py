"""Artifacts behind HTTP: `millis serve`."""
