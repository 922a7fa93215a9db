"""Examines an installation: its settings, its servers, and whether books, queues and clocks are in order."""
