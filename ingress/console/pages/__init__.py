"""One module a section: what its pages ask of the books, and what its acts do."""
