"""A simulator of the Siglume platform: a pure core that a clock moves, and thin HTTP edges around it."""
