"""Where payments start: the JSON API that a merchant's own systems call."""
