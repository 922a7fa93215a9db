-- Webhooks that never came, and what the platform says of reviews.

-- When each session is looked at. A payment that came as it should costs its row one update, and no call.
ALTER TABLE kessai.checkout_attempts
    ADD COLUMN looks      integer NOT NULL DEFAULT 0,
    ADD COLUMN paid_looks integer NOT NULL DEFAULT 0, -- those that found it paid
    ADD COLUMN silences   integer NOT NULL DEFAULT 0, -- those in a row in which the platform would not tell of it
    ADD COLUMN unsaid     integer NOT NULL DEFAULT 0, -- times in a row that nothing was learnt of it since
    ADD COLUMN looked_at  timestamptz,
    ADD COLUMN look_at    timestamptz; -- the next time; NULL: for the first time; infinity: never again

CREATE INDEX checkout_attempts_never_looked_at ON kessai.checkout_attempts (opened_at) WHERE session_id IS NOT NULL AND look_at IS NULL;
CREATE INDEX checkout_attempts_to_look_at ON kessai.checkout_attempts (look_at) WHERE look_at < 'infinity';

-- Whose turn it is to ask the platform: one sweep at a time for an endpoint, whichever worker it runs in.
CREATE TABLE kessai.sweeps (
    endpoint     text PRIMARY KEY,
    next_turn_at timestamptz NOT NULL,
    failures     integer NOT NULL DEFAULT 0 -- turns in a row that the platform was away for
);

-- What the platform says of a review, asked for by a worker, and what follows from it.
ALTER TABLE kessai.reviews
    ADD COLUMN asks      integer NOT NULL DEFAULT 0,
    ADD COLUMN ask_at    timestamptz,  -- when the platform is asked next; NULL: for the first time; infinity: never again
    ADD COLUMN platform  jsonb,        -- what it said, and when
    ADD COLUMN suggested jsonb;        -- a decision that a person may take: resolution, order_id, why

CREATE INDEX reviews_never_asked ON kessai.reviews (review_id) WHERE state = 'open' AND ask_at IS NULL;
CREATE INDEX reviews_to_ask ON kessai.reviews (ask_at) WHERE state = 'open' AND ask_at < 'infinity';
