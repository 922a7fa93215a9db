"""Asks whether an endpoint can take payments: the official tool's questions by its names, then Kessai's own."""
