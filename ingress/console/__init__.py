"""The operators' console: pages from the books for people who must see, decide and prove; they work without scripts."""
