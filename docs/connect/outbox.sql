-- An application's outbox, in Debezium's layout: written in the same transaction as the application's own rows.
CREATE TABLE IF NOT EXISTS public.outbox (
    id            uuid PRIMARY KEY,       -- idempotency key: the same row is appended once, however often it comes
    aggregatetype text  NOT NULL,         -- category of the stream; nothing depends on it
    aggregateid   text  NOT NULL,         -- the stream: flight-UA1545-20130101-EWR
    type          text  NOT NULL,         -- name of the event or command: FlightCancelled
    payload       jsonb NOT NULL,         -- its fields, as its schema names them
    traceparent   text,                   -- W3C trace context, if there is one
    position      bigint GENERATED ALWAYS AS IDENTITY UNIQUE  -- the order in which `spina outbox` carries rows
);
