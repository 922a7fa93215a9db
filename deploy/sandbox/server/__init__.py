"""The edges: the HTTP API, the confirm page, the control API, and the courier that delivers webhooks."""
