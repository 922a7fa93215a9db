-- Starting payments: which systems may, and how far each attempt at an order's payment is.

-- A merchant's own systems; each starts payments of one endpoint's orders and of no other's.
CREATE TABLE kessai.checkout_clients (
    name         text PRIMARY KEY CHECK (length(name) BETWEEN 1 AND 64),
    endpoint     text NOT NULL,
    token_digest bytea NOT NULL UNIQUE, -- SHA-256: a stolen copy of the books starts no payment
    created_at   timestamptz NOT NULL DEFAULT now(),
    used_at      timestamptz,
    expires_at   timestamptz
);

-- One attempt of an order is active at a time, under a nonce of its own. `state` is moved only by
-- shared/ledger/checkout_states.py.
CREATE TABLE kessai.checkout_attempts (
    order_id       text NOT NULL REFERENCES kessai.orders,
    attempt        integer NOT NULL CHECK (attempt >= 1),
    nonce          text NOT NULL UNIQUE,
    state          text NOT NULL DEFAULT 'creating' CHECK (state IN (
                       'creating', 'open', 'expired', 'cancelled', 'failed', 'paid')),
    begun_by       text NOT NULL,
    begun_at       timestamptz NOT NULL DEFAULT now(),
    tries          integer NOT NULL DEFAULT 0, -- requests that went to the platform for it; the newest one counts
    leased_until   timestamptz NOT NULL,       -- until then that request has the attempt to itself
    success_url    text,
    cancel_url     text,
    session_id     text,
    checkout_url   text,
    challenge_hash text,        -- of the session
    opened_at      timestamptz, -- when a buyer could first pay it
    expires_at     timestamptz, -- as the platform says
    trusted_until  timestamptz, -- until then the session is taken to be open without asking
    ended_at       timestamptz,
    ended_because  text,
    PRIMARY KEY (order_id, attempt),
    CHECK (num_nonnulls(session_id, checkout_url, challenge_hash, trusted_until) IN (0, 4))
);

CREATE UNIQUE INDEX checkout_attempts_one_active ON kessai.checkout_attempts (order_id) WHERE state IN ('creating', 'open');
