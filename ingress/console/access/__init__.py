"""Who may come in, and what keeps their browser from being used against them."""
