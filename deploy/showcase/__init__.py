"""`kessai demo`: a shop, its ingress, its workers, and two thousand webhooks of every kind and fault."""
