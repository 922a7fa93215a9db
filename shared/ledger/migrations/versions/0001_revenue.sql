-- What the platform's statements say of micro and nano money, beside what its webhooks said: no webhook writes here.
-- Columns that the platform names have its names.

-- How far the statements of an endpoint's account are read: a sync that was interrupted goes on at its cursor.
CREATE TABLE kessai.statement_syncs (
    endpoint       text NOT NULL,
    what           text NOT NULL CHECK (what IN ('usage', 'batches')),
    cursor         text,        -- of the page that comes next; NULL: the first one
    begun_at       timestamptz, -- of the run under way; NULL: none is
    complete_as_of timestamptz, -- when the last run began that came to its end: what was there by then is in the books
    completed_at   timestamptz,
    whole_as_of    timestamptz, -- when the last run began that read every page
    compared_at    timestamptz, -- when statements and webhooks were compared last
    PRIMARY KEY (endpoint, what)
);

-- What the platform said last that a provider gets in all, by its token and kind of money.
CREATE TABLE kessai.statement_summaries (
    endpoint         text NOT NULL,
    token_symbol     text NOT NULL,
    kind             text NOT NULL,    -- as the platform names it
    receivable_minor numeric NOT NULL, -- as stated
    booked_minor     numeric,          -- what the books came to; NULL where it moved meanwhile, or is no kind of theirs
    stated_at        timestamptz NOT NULL, -- when it was asked for
    PRIMARY KEY (endpoint, token_symbol, kind)
);

-- How many buyers were near the amount at which the platform takes no more of them, when they were counted last.
CREATE TABLE kessai.statement_exposures (
    endpoint   text PRIMARY KEY,
    warning    bigint NOT NULL, -- beyond the share of their threshold from which on people are warned
    paused     bigint NOT NULL, -- new usage of theirs is refused
    counted_at timestamptz NOT NULL
);

CREATE TABLE kessai.statement_batches (
    settlement_batch_id            text PRIMARY KEY,
    endpoint                       text NOT NULL, -- whose account states it
    money                          text NOT NULL CHECK (money IN (
                                       'settled', 'unsettled', 'past_due', 'uncollectible', 'written_off')),
    status                         text NOT NULL, -- as stated; the platform may have states that we do not know
    plan_type                      text NOT NULL,
    settlement_cadence             text,
    currency                       text,
    token_symbol                   text,
    buyer_period_ref               text,
    provider_gross_amount_minor    numeric,
    protocol_fee_minor             numeric,
    provider_receivable_minor      numeric,
    buyer_debit_minor              numeric,
    rounding_delta_minor           numeric,       -- for information: it is added to nothing
    usage_event_count              bigint,
    settlement_trigger             text,
    settlement_threshold_minor     numeric,
    total_unsettled_exposure_minor numeric,
    threshold_reached_at           timestamptz,
    period_start                   timestamptz,
    period_end                     timestamptz,
    close_at                       timestamptz,
    not_before_attempt_at          timestamptz,
    attempt_count                  bigint,
    next_attempt_at                timestamptz,
    failure_reason_code            text,
    failure_reason_label           text,
    failure_reason_help            text,
    support_reference              text,
    chain_receipt_id               text,
    usage_event_digest             text,
    settled_at                     timestamptz,
    terminal_marked_at             timestamptz,
    terminal_reason_code           text,
    disputed                       json,          -- what a statement says of it that the books do not take
    stated_at                      timestamptz NOT NULL, -- when the statement was asked for that the row is from
    first_stated_at                timestamptz NOT NULL,
    dated_at                       timestamptz NOT NULL, -- the last thing that befell it: by which periods take it
    orders_due                     boolean NOT NULL      -- it is final, and some of its orders may not know it yet
) WITH (fillfactor = 85); -- room for the states that a batch goes through

CREATE INDEX statement_batches_by_date ON kessai.statement_batches (endpoint, dated_at);
CREATE INDEX statement_batches_open ON kessai.statement_batches (endpoint) WHERE money IN ('unsettled', 'past_due');
CREATE INDEX statement_batches_due ON kessai.statement_batches (endpoint, settlement_batch_id) WHERE orders_due;
CREATE INDEX statement_batches_disputed ON kessai.statement_batches (endpoint) WHERE disputed IS NOT NULL;

CREATE TABLE kessai.statement_usage (
    metered_usage_id            text PRIMARY KEY,
    endpoint                    text NOT NULL, -- whose account states it
    plan_type                   text NOT NULL,
    status                      text NOT NULL,
    currency                    text NOT NULL,
    token_symbol                text NOT NULL,
    provider_gross_amount_minor numeric NOT NULL,
    protocol_fee_minor          numeric NOT NULL,
    provider_receivable_minor   numeric NOT NULL,
    buyer_debit_minor           numeric,
    rounding_delta_minor        numeric,
    settlement_cadence          text,
    settlement_batch_id         text,          -- NULL until its period closes
    listing_id                  text,
    capability_key              text,
    operation_key               text,
    period_start                timestamptz,
    period_end                  timestamptz,
    buyer_period_ref            text,
    requirement_id              text,          -- the payment that it is; many platforms do not say
    challenge_hash              text,
    created_at                  timestamptz NOT NULL,
    disputed                    json,
    stated_at                   timestamptz NOT NULL,
    paired_with                 text           -- requirement of the accepted usage that it is, once that is known
) WITH (fillfactor = 85);

CREATE INDEX statement_usage_by_time ON kessai.statement_usage (endpoint, created_at);
CREATE INDEX statement_usage_by_batch ON kessai.statement_usage (settlement_batch_id);
CREATE UNIQUE INDEX statement_usage_pairs ON kessai.statement_usage (endpoint, paired_with)
    WHERE paired_with IS NOT NULL;
CREATE INDEX statement_usage_unpaired ON kessai.statement_usage (endpoint, created_at)
    WHERE paired_with IS NULL AND (requirement_id IS NOT NULL OR challenge_hash IS NOT NULL);
CREATE INDEX statement_usage_unpaired_requirement ON kessai.statement_usage (endpoint, requirement_id)
    WHERE paired_with IS NULL AND requirement_id IS NOT NULL;
CREATE INDEX statement_usage_unpaired_challenge ON kessai.statement_usage (endpoint, challenge_hash)
    WHERE paired_with IS NULL AND challenge_hash IS NOT NULL;
CREATE INDEX statement_usage_unbatched ON kessai.statement_usage (endpoint) WHERE settlement_batch_id IS NULL;
CREATE INDEX statement_usage_disputed ON kessai.statement_usage (endpoint) WHERE disputed IS NOT NULL;

-- What the event of a settled batch said of its money, where it said so.
ALTER TABLE kessai.settlement_batches
    ADD COLUMN currency                    text,
    ADD COLUMN provider_gross_amount_minor numeric,
    ADD COLUMN usage_event_count           bigint;

CREATE INDEX metered_usage_by_time ON kessai.metered_usage USING brin (accepted_at) WITH (pages_per_range = 32);

-- A review may be about a difference between statements and books, which no event tells of. Of each there is one open.
ALTER TABLE kessai.reviews
    ALTER COLUMN event_id DROP NOT NULL,
    ALTER COLUMN receipt_id DROP NOT NULL,
    ALTER COLUMN received_at DROP NOT NULL,
    ADD COLUMN about    text,        -- what differs: `batch:<id>`, `usage:<id>`, ...
    ADD COLUMN about_at timestamptz, -- the period that it belongs to
    ADD CONSTRAINT reviews_of_event_or_statement CHECK (
        (event_id IS NOT NULL AND receipt_id IS NOT NULL AND received_at IS NOT NULL AND about IS NULL)
        OR (event_id IS NULL AND receipt_id IS NULL AND received_at IS NULL AND about IS NOT NULL
            AND about_at IS NOT NULL));

CREATE UNIQUE INDEX reviews_of_statement_open ON kessai.reviews (endpoint, about, reason)
    WHERE about IS NOT NULL AND state = 'open';
CREATE INDEX reviews_of_statement ON kessai.reviews (endpoint, about) WHERE about IS NOT NULL;
