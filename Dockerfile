# syntax=docker/dockerfile:1
# One image with the four services and the `spina` command; which one runs is
# the container's command. Versions: dev/versions.env.

FROM rust:1.95-bookworm AS builder
RUN apt-get update \
    && apt-get install -y --no-install-recommends build-essential pkg-config zlib1g-dev libssl-dev \
    && rm -rf /var/lib/apt/lists/*
WORKDIR /src
COPY . .
# The caches outlive a change of the sources; binaries must leave the mount to stay in the image.
RUN --mount=type=cache,target=/usr/local/cargo/registry \
    --mount=type=cache,target=/src/target \
    cargo build --release --locked \
        --bin event-store --bin projector --bin saga-orchestrator --bin alert-correlator --bin spina \
    && mkdir /out \
    && cp target/release/event-store target/release/projector target/release/saga-orchestrator \
        target/release/alert-correlator target/release/spina /out/

FROM debian:12-slim
RUN apt-get update \
    && apt-get install -y --no-install-recommends ca-certificates libssl3 zlib1g \
    && rm -rf /var/lib/apt/lists/* \
    && useradd --system --uid 10001 --no-create-home --shell /usr/sbin/nologin spina
COPY --from=builder /out/ /usr/local/bin/
COPY dev/http-ready /usr/local/bin/http-ready
COPY topology /etc/spina/topology
COPY schemas /etc/spina/schemas
ENV SPINA_TOPOLOGY_DIR=/etc/spina/topology \
    SPINA_SCHEMAS_DIR=/etc/spina/schemas
USER spina
CMD ["event-store"]
