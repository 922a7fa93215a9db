-- Orders as the merchant registered them. `state` is moved only by shared/ledger/transitions.py.
CREATE TABLE kessai.orders (
    order_id         text PRIMARY KEY CHECK (length(order_id) BETWEEN 1 AND 255),
    endpoint         text NOT NULL,
    amount_minor     bigint NOT NULL CHECK (amount_minor BETWEEN 1 AND 9007199254740991),
    currency         text NOT NULL CHECK (currency IN ('JPY', 'USD')),
    state            text NOT NULL DEFAULT 'pending' CHECK (state IN (
                         'pending', 'paid', 'fulfilled_unsettled', 'settled', 'uncollectible', 'written_off', 'cancelled')),
    requirement_id   text,
    chain_receipt_id text,
    paid_at          timestamptz,
    created_at       timestamptz NOT NULL DEFAULT now(),
    updated_at       timestamptz NOT NULL DEFAULT now(),
    -- Challenges whose payment a person has rejected. They stand here because a statement that has waited for the lock
    -- of an order sees this row as it is then, and rows of other tables as they were when the statement began.
    rejected_challenges text[]
) WITH (fillfactor = 85); -- room for the one update an order gets, on its own page and without touching an index

CREATE INDEX orders_by_age ON kessai.orders (created_at, order_id);

-- One row per challenge that a buyer may pay for an order.
CREATE TABLE kessai.challenges (
    challenge_hash text PRIMARY KEY CHECK (length(challenge_hash) BETWEEN 1 AND 255),
    order_id       text NOT NULL REFERENCES kessai.orders,
    created_at     timestamptz NOT NULL DEFAULT now()
);

CREATE INDEX challenges_by_order ON kessai.challenges (order_id);

-- The claim: one row per event id, which makes every effect happen once. It outlives the raw bytes.
CREATE TABLE kessai.webhook_events (
    endpoint    text NOT NULL,
    event_id    text NOT NULL,
    receipt_id  uuid NOT NULL,
    received_at timestamptz NOT NULL,
    body_digest bytea NOT NULL,
    type        text NOT NULL,
    kind        text NOT NULL,
    outcome     text NOT NULL CHECK (outcome IN ('applied', 'duplicate', 'ignored', 'review', 'dead_letter')),
    reason      text,
    order_id    text,
    occurred_at timestamptz,
    applied_at  timestamptz NOT NULL DEFAULT clock_timestamp(),
    deliveries  integer NOT NULL DEFAULT 1,
    PRIMARY KEY (endpoint, event_id)
) WITH (fillfactor = 95);

CREATE INDEX webhook_events_by_receipt ON kessai.webhook_events (received_at, receipt_id);

-- The bytes as they came, by month, so that retention is a DROP.
CREATE TABLE kessai.webhook_archive (
    receipt_id      uuid NOT NULL,
    received_at     timestamptz NOT NULL,
    endpoint        text NOT NULL,
    event_id        text NOT NULL,
    raw             bytea NOT NULL,
    signature       text NOT NULL,
    key_fingerprint text NOT NULL,
    traceparent     text,
    is_conflict     boolean NOT NULL DEFAULT false, -- other bytes than those of the claim
    PRIMARY KEY (receipt_id, received_at)
) PARTITION BY RANGE (received_at);

-- An index of all events would cost every webhook. The claim names its receipt; of conflicts there may be many.
CREATE INDEX webhook_archive_conflicts ON kessai.webhook_archive (endpoint, event_id) WHERE is_conflict;

-- Catches what no month is ready for; nothing is refused for want of a partition.
CREATE TABLE kessai.webhook_archive_default PARTITION OF kessai.webhook_archive DEFAULT;

-- What came before its month was ready is fetched from the catch-all: Postgres refuses a partition whose rows lie there.
CREATE FUNCTION kessai.ensure_archive_month(month date) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
    first  date := date_trunc('month', month);
    begins timestamptz := first::timestamp AT TIME ZONE 'UTC';
    ends   timestamptz := (first + interval '1 month') AT TIME ZONE 'UTC';
    name   text := 'webhook_archive_' || to_char(first, 'YYYY_MM');
BEGIN
    IF to_regclass('kessai.' || name) IS NULL THEN
        LOCK TABLE kessai.webhook_archive IN SHARE ROW EXCLUSIVE MODE; -- nobody adds to the catch-all meanwhile
        EXECUTE format('CREATE TABLE kessai.%I (LIKE kessai.webhook_archive)', name);
        EXECUTE format(
            'WITH fetched AS (
                 DELETE FROM kessai.webhook_archive_default WHERE received_at >= %L AND received_at < %L RETURNING *
             )
             INSERT INTO kessai.%I SELECT * FROM fetched',
            begins, ends, name);
        EXECUTE format(
            'ALTER TABLE kessai.webhook_archive ATTACH PARTITION kessai.%I FOR VALUES FROM (%L) TO (%L)',
            name, begins, ends);
    END IF;
END
$$;

SELECT kessai.ensure_archive_month((now() AT TIME ZONE 'UTC')::date);
SELECT kessai.ensure_archive_month(((now() AT TIME ZONE 'UTC') + interval '1 month')::date);

-- What a person must decide. The books are the truth of a review; its queue in the broker is only a notice.
CREATE TABLE kessai.reviews (
    review_id      bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    queue          text NOT NULL CHECK (queue IN ('unknown', 'metered', 'mismatch')),
    reason         text NOT NULL,
    state          text NOT NULL DEFAULT 'open' CHECK (state IN ('open', 'closed')),
    endpoint       text NOT NULL,
    event_id       text NOT NULL,
    receipt_id     uuid NOT NULL,
    received_at    timestamptz NOT NULL,
    body_digest    bytea NOT NULL,
    order_id       text,
    challenge_hash text,
    evidence       jsonb NOT NULL,
    opened_at      timestamptz NOT NULL DEFAULT now(),
    closed_at      timestamptz,
    resolution     text,
    CONSTRAINT reviews_once UNIQUE (endpoint, event_id, reason, body_digest)
);

CREATE INDEX reviews_waiting_for_order ON kessai.reviews (challenge_hash)
    WHERE state = 'open' AND reason IN ('unknown_challenge_hash', 'unknown_metered_challenge_hash');
CREATE INDEX reviews_open ON kessai.reviews (queue, review_id) WHERE state = 'open';

CREATE TABLE kessai.dead_letters (
    dead_letter_id  bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    receipt_id      uuid NOT NULL CONSTRAINT dead_letters_once UNIQUE,
    reason          text NOT NULL,
    error           text NOT NULL,
    detail          text NOT NULL,
    endpoint        text NOT NULL,
    event_id        text,
    type            text,
    attempts        integer NOT NULL,
    received_at     timestamptz NOT NULL,
    raw             bytea NOT NULL,
    signature       text NOT NULL,
    key_fingerprint text NOT NULL,
    traceparent     text,
    first_seen      timestamptz NOT NULL DEFAULT now(),
    last_seen       timestamptz NOT NULL DEFAULT now()
);

CREATE INDEX dead_letters_by_event ON kessai.dead_letters (endpoint, event_id);

-- Micro and nano batches that the platform settled, once each.
CREATE TABLE kessai.settlement_batches (
    settlement_batch_id text PRIMARY KEY,
    endpoint            text NOT NULL,
    event_id            text NOT NULL,
    pricing_band        text NOT NULL CHECK (pricing_band IN ('micro', 'nano')),
    state               text NOT NULL CHECK (state = 'settled'),
    chain_receipt_id    text NOT NULL,
    usage_event_digest  text NOT NULL,
    settled_at          timestamptz,
    booked_at           timestamptz NOT NULL DEFAULT now()
);

-- Micro and nano usage that was accepted: fulfilled, and not revenue before its batch settles.
CREATE TABLE kessai.metered_usage (
    endpoint       text NOT NULL,
    requirement_id text NOT NULL,
    order_id       text NOT NULL REFERENCES kessai.orders,
    event_id       text NOT NULL,
    pricing_band   text NOT NULL CHECK (pricing_band IN ('micro', 'nano')),
    amount_minor   numeric(48, 18) NOT NULL,
    currency       text NOT NULL,
    accepted_at    timestamptz NOT NULL,
    PRIMARY KEY (endpoint, requirement_id)
);

-- Facts for the merchant's other systems, written with the change that they tell of.
CREATE TABLE kessai.outbox (
    outbox_id    bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    shard        smallint NOT NULL, -- of the subject: one relay at a time serves a shard, which keeps a subject in order
    name         text NOT NULL,
    routing_key  text NOT NULL,
    subject      text NOT NULL,
    body         text NOT NULL,
    created_at   timestamptz NOT NULL DEFAULT now(),
    published_at timestamptz
) WITH (fillfactor = 90);

CREATE INDEX outbox_waiting ON kessai.outbox (shard, outbox_id) WHERE published_at IS NULL;

-- Who did what to which thing; never updated.
CREATE TABLE kessai.audit (
    audit_id   bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    at         timestamptz NOT NULL DEFAULT now(),
    actor      text NOT NULL,
    action     text NOT NULL,
    subject    text NOT NULL,
    endpoint   text,
    event_id   text,
    from_state text,
    to_state   text,
    paid_at    timestamptz, -- of a move to 'paid', as its order has it
    requirement_id text,    -- of a move by a payment
    paid_minor numeric,     -- what was paid then: not the order's price where a person took a payment that did not fit
    paid_currency text,
    CONSTRAINT audit_payments_are_whole CHECK (
        (paid_at IS NULL) = (paid_minor IS NULL) AND (paid_at IS NULL) = (paid_currency IS NULL))
);

-- A requirement is one payment, whatever challenges it names: it moves one order. NULLs are no payments.
CREATE UNIQUE INDEX audit_requirements_once ON kessai.audit (requirement_id, endpoint) WHERE requirement_id IS NOT NULL;

-- Payments in the order in which they were made. An index of orders by it would cost each payment its update in place.
CREATE INDEX audit_payments ON kessai.audit (paid_at, audit_id) WHERE paid_at IS NOT NULL;
