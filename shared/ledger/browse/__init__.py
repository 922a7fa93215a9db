"""The books a page at a time, the newest first: orders, events, reviews, dead letters, the audit.

Every list is read along an index and continued by key, so a page costs the same at the first row and at the millionth.
What no index finds is looked for among the next so many rows; the slice then says how far it looked.
"""
