-- What people at the operators' desk need on top of the books: groups, replays, decisions, who did what.

-- The fingerprint of an error names its group: what failed in the same way is worked on together.
ALTER TABLE kessai.dead_letters
    ADD COLUMN kind           text NOT NULL DEFAULT 'unread', -- as classified; 'unread' when the bytes are no event
    ADD COLUMN challenge_hash text,
    ADD COLUMN state          text NOT NULL DEFAULT 'open' CHECK (state IN ('open', 'resolved', 'discarded')),
    ADD COLUMN closed_at      timestamptz,
    ADD COLUMN group_id       text NOT NULL GENERATED ALWAYS AS (
                                  left(md5(reason || chr(31) || error || chr(31) || kind || chr(31) || endpoint), 12)
                              ) STORED,
    -- Retention deletes the bytes of closed ones and keeps the rest of the row.
    ADD COLUMN raw_deleted_at timestamptz,
    ALTER COLUMN raw DROP NOT NULL,
    ADD CONSTRAINT dead_letters_raw CHECK ((raw IS NULL) = (raw_deleted_at IS NOT NULL)),
    ADD CONSTRAINT dead_letters_open_with_raw CHECK (raw IS NOT NULL OR state <> 'open');

CREATE INDEX dead_letters_closed_with_raw ON kessai.dead_letters (received_at) WHERE state <> 'open' AND raw IS NOT NULL;
ALTER TABLE kessai.dead_letters ADD CONSTRAINT dead_letters_kind CHECK (length(kind) BETWEEN 1 AND 255);

CREATE INDEX dead_letters_by_group ON kessai.dead_letters (state, group_id, dead_letter_id)
    INCLUDE (first_seen, last_seen);
CREATE INDEX dead_letters_last_seen ON kessai.dead_letters (state, group_id, last_seen);
CREATE INDEX dead_letters_by_challenge ON kessai.dead_letters (challenge_hash) WHERE challenge_hash IS NOT NULL;
CREATE INDEX dead_letters_by_receipt_time ON kessai.dead_letters (received_at, dead_letter_id);

-- The newest events of any order, and the few that did not simply apply; the many that did cost no index.
CREATE INDEX webhook_events_by_order ON kessai.webhook_events (order_id) WHERE order_id IS NOT NULL;
CREATE INDEX webhook_events_not_applied ON kessai.webhook_events (outcome, received_at, receipt_id)
    WHERE outcome <> 'applied';
CREATE INDEX webhook_events_rare_kinds ON kessai.webhook_events (kind, received_at, receipt_id)
    WHERE kind <> 'standard_settled';
CREATE INDEX webhook_events_rare_types ON kessai.webhook_events (type, received_at, receipt_id)
    WHERE type <> 'direct_payment.confirmed';
CREATE INDEX webhook_events_reasons ON kessai.webhook_events (reason, received_at, receipt_id)
    WHERE reason IS NOT NULL;
CREATE INDEX webhook_events_applied_at ON kessai.webhook_events USING brin (applied_at) WITH (pages_per_range = 16);

-- A review is decided once: `version` counts its changes, so that nobody decides on what they have not seen.
ALTER TABLE kessai.reviews
    ADD COLUMN version   integer NOT NULL DEFAULT 1,
    ADD COLUMN assignee  text,
    ADD COLUMN closed_by text,
    ADD COLUMN why       text,
    ADD COLUMN proposed  jsonb; -- a decision that waits for a second person: resolution, order_id, why, by, at

CREATE INDEX reviews_by_order ON kessai.reviews (order_id) WHERE order_id IS NOT NULL;
CREATE INDEX reviews_by_challenge ON kessai.reviews (challenge_hash) WHERE challenge_hash IS NOT NULL;
CREATE INDEX reviews_open_by_reason ON kessai.reviews (reason, review_id) WHERE state = 'open';

CREATE TABLE kessai.notes (
    note_id  bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    at       timestamptz NOT NULL DEFAULT now(),
    author   text NOT NULL,
    thing    text NOT NULL CHECK (thing IN ('dead_letter_group', 'review', 'order', 'replay')),
    thing_id text NOT NULL,
    body     text NOT NULL CHECK (length(body) BETWEEN 1 AND 4000)
);

CREATE INDEX notes_by_thing ON kessai.notes (thing, thing_id, note_id);

-- What befalls every order is found by its time; what people did is little and found by its subject, or the newest.
ALTER TABLE kessai.audit ADD COLUMN detail jsonb;
CREATE INDEX audit_by_time ON kessai.audit USING brin (at) WITH (pages_per_range = 64, autosummarize = on);
CREATE INDEX audit_of_people ON kessai.audit (subject, audit_id)
    WHERE action NOT IN (
        'order.moved', 'order.registered', 'checkout.begun', 'checkout.opened', 'checkout.challenged', 'checkout.ended');
CREATE INDEX audit_of_people_newest ON kessai.audit (audit_id)
    WHERE action NOT IN (
        'order.moved', 'order.registered', 'checkout.begun', 'checkout.opened', 'checkout.challenged', 'checkout.ended');
CREATE INDEX outbox_by_time ON kessai.outbox USING brin (created_at) WITH (pages_per_range = 64, autosummarize = on);

-- A plan freezes what is to be handled again; once started, the same row is the job.
CREATE TABLE kessai.replays (
    replay_id     bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    state         text NOT NULL DEFAULT 'planning' CHECK (state IN (
                      'planning', 'planned', 'running', 'paused', 'stopped', 'cancelled', 'done')),
    source        text NOT NULL CHECK (source IN ('dead_letters', 'archive', 'reviews')),
    filter        jsonb NOT NULL,
    total         integer NOT NULL DEFAULT 0,
    predicted     jsonb NOT NULL DEFAULT '{}', -- events by outcome
    predicted_to  integer NOT NULL DEFAULT 0,  -- events that are predicted so far
    planned_by    text NOT NULL,
    planned_at    timestamptz NOT NULL DEFAULT now(),
    why           text,
    started_by    text,
    started_at    timestamptz,
    rate          double precision CHECK (rate > 0), -- events a second; NULL: as fast as they are handled
    canary        integer NOT NULL DEFAULT 0 CHECK (canary >= 0), -- the first so many must go well before the rest
    stop_on_fail  double precision NOT NULL DEFAULT 1 CHECK (stop_on_fail BETWEEN 0 AND 1),
    next_item     integer NOT NULL DEFAULT 1, -- what lies before it was handed to the broker
    next_due      timestamptz,                -- by the rate
    handed_at     timestamptz,                -- when it last handed something over
    judged_from   integer NOT NULL DEFAULT 0, -- failures count behind this item: a resumed job is judged anew
    seen_at       timestamptz,                -- when a worker last took it up
    ended_at      timestamptz,
    ended_because text
);

CREATE TABLE kessai.replay_items (
    replay_id         bigint NOT NULL REFERENCES kessai.replays ON DELETE CASCADE,
    item              integer NOT NULL,
    endpoint          text NOT NULL,
    event_id          text,
    receipt_id        uuid NOT NULL,
    received_at       timestamptz NOT NULL,
    predicted_outcome text,
    predicted_reason  text,
    predicted         jsonb, -- what it would change
    outcome           text,  -- once it was handled
    reason            text,
    settled_at        timestamptz,
    PRIMARY KEY (replay_id, item)
);

CREATE INDEX replay_items_open ON kessai.replay_items (replay_id, item) WHERE outcome IS NULL;
CREATE INDEX replay_items_dead ON kessai.replay_items (replay_id, item) WHERE outcome = 'dead_letter';
CREATE INDEX replay_items_by_event ON kessai.replay_items (endpoint, event_id);

-- How many items came to what, counted with the results themselves: nobody who looks at a job counts a million rows.
CREATE TABLE kessai.replay_tallies (
    replay_id bigint NOT NULL REFERENCES kessai.replays ON DELETE CASCADE,
    outcome   text NOT NULL,
    backend   integer NOT NULL, -- each session of Postgres counts by itself, so that no two workers wait for each other
    events    bigint NOT NULL,
    PRIMARY KEY (replay_id, outcome, backend)
) WITH (fillfactor = 50); -- room for updates in place

-- Below this receipt time claims may be gone: what came earlier can no longer be told from a first delivery.
CREATE TABLE kessai.dedupe_horizon (
    only_row      boolean PRIMARY KEY DEFAULT true CHECK (only_row),
    claims_before timestamptz NOT NULL
);

INSERT INTO kessai.dedupe_horizon (claims_before) VALUES ('-infinity');

-- How many deliveries came to what, a few rows a batch, folded into minutes later: what charts are drawn from.
CREATE TABLE kessai.tallies (
    tally_id        bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    at              timestamptz NOT NULL,
    endpoint        text NOT NULL,
    kind            text NOT NULL,
    outcome         text NOT NULL,
    key_fingerprint text NOT NULL,
    deliveries      bigint NOT NULL,
    longest_wait    double precision NOT NULL, -- seconds from receipt to commit
    is_folded       boolean NOT NULL DEFAULT false
);

CREATE INDEX tallies_by_time ON kessai.tallies (at);
CREATE UNIQUE INDEX tallies_of_minute ON kessai.tallies (at, endpoint, kind, outcome, key_fingerprint)
    WHERE is_folded;
CREATE INDEX tallies_loose ON kessai.tallies (at) WHERE NOT is_folded;

-- How many dead letters a group has in each state: the sum of its rows. Every statement that changes dead letters adds
-- what it changed; rows are added, never updated, so that counting makes nobody wait, and folded into one later.
CREATE TABLE kessai.dead_letter_tallies (
    tally_id  bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    state     text NOT NULL,
    group_id  text NOT NULL,
    letters   bigint NOT NULL,
    is_folded boolean NOT NULL DEFAULT false
);

CREATE UNIQUE INDEX dead_letter_tallies_of_group ON kessai.dead_letter_tallies (state, group_id) WHERE is_folded;

CREATE FUNCTION kessai.tally_dead_letters() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF TG_OP = 'INSERT' THEN
        INSERT INTO kessai.dead_letter_tallies (state, group_id, letters)
        SELECT state, group_id, count(*) FROM after GROUP BY state, group_id;
    ELSIF TG_OP = 'DELETE' THEN
        INSERT INTO kessai.dead_letter_tallies (state, group_id, letters)
        SELECT state, group_id, -count(*) FROM before GROUP BY state, group_id;
    ELSE
        INSERT INTO kessai.dead_letter_tallies (state, group_id, letters)
        SELECT state, group_id, sum(letters)
        FROM (
            SELECT state, group_id, 1 AS letters FROM after
            UNION ALL
            SELECT state, group_id, -1 FROM before
        ) AS changed
        GROUP BY state, group_id
        HAVING sum(letters) <> 0;
    END IF;
    RETURN NULL;
END
$$;

CREATE TRIGGER tally_inserted AFTER INSERT ON kessai.dead_letters
    REFERENCING NEW TABLE AS after FOR EACH STATEMENT EXECUTE FUNCTION kessai.tally_dead_letters();
CREATE TRIGGER tally_updated AFTER UPDATE ON kessai.dead_letters
    REFERENCING OLD TABLE AS before NEW TABLE AS after
    FOR EACH STATEMENT EXECUTE FUNCTION kessai.tally_dead_letters();
CREATE TRIGGER tally_deleted AFTER DELETE ON kessai.dead_letters
    REFERENCING OLD TABLE AS before FOR EACH STATEMENT EXECUTE FUNCTION kessai.tally_dead_letters();

-- People of the console and the admin API.
CREATE TABLE kessai.users (
    name          text PRIMARY KEY CHECK (length(name) BETWEEN 1 AND 64),
    role          text NOT NULL CHECK (role IN ('viewer', 'operator', 'admin')),
    password_hash text NOT NULL,
    created_at    timestamptz NOT NULL DEFAULT now(),
    disabled_at   timestamptz
);

CREATE TABLE kessai.sessions (
    token_digest bytea PRIMARY KEY, -- SHA-256: a stolen copy of the books opens no session
    user_name    text NOT NULL REFERENCES kessai.users ON DELETE CASCADE,
    created_at   timestamptz NOT NULL DEFAULT now(),
    seen_at      timestamptz NOT NULL DEFAULT now(),
    expires_at   timestamptz NOT NULL
);

CREATE TABLE kessai.api_tokens (
    token_digest bytea PRIMARY KEY,
    label        text NOT NULL,
    user_name    text NOT NULL REFERENCES kessai.users ON DELETE CASCADE,
    created_at   timestamptz NOT NULL DEFAULT now(),
    used_at      timestamptz,
    expires_at   timestamptz
);
