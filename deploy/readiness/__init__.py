"""Checks whether an endpoint can take payments: the official tool's checks by its names, then Kessai's own."""
