"""Looks Kessai over: what it was told, what it reaches, whether books, queues and clocks are as they should be."""
