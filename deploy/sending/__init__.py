"""Sends webhooks as the platform would: builds events, signs them, posts them to an ingress."""
