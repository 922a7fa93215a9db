"""A year of business beside a simulated Siglume that fails in every way it can, and books that must come out right."""
