"""What a JSON API of ours is made of: one table of operations makes its routes, its checks and its OpenAPI document."""
