-- Sagas as they were last seen. Lists go by status or definition, always in the order of ids, so each has its index.
CREATE TABLE spina.sagas (
    id         text   PRIMARY KEY,
    definition text   NOT NULL,
    version    bigint NOT NULL,
    status     text   NOT NULL,
    events     bigint NOT NULL,
    changed_us bigint NOT NULL,
    state      jsonb  NOT NULL
);
CREATE INDEX sagas_by_status ON spina.sagas (status, id);
CREATE INDEX sagas_by_definition ON spina.sagas (definition, status, id);
