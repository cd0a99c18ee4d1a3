# syncline on Debian, for the jobs of a CI: with git, for `plan --against`, and with the authorities of the system. It is
# linked to glibc, so that drivers of warehouses can be loaded.
#
#   docker build --tag syncline .
#   docker run --rm --volume "$PWD:/work" --user "$(id -u):$(id -g)" syncline syncline validate

FROM rust:1.95-slim-bookworm AS build
WORKDIR /src
COPY . .
# The cache is of the builder and not of the image.
RUN --mount=type=cache,target=/usr/local/cargo/registry \
    --mount=type=cache,target=/src/target \
    cargo build --release --locked --bin syncline && cp target/release/syncline /usr/local/bin/syncline

FROM debian:bookworm-slim
# Versions are those of the Debian release.
# hadolint ignore=DL3008
RUN apt-get update && \
    apt-get install --yes --no-install-recommends ca-certificates git && \
    rm -rf /var/lib/apt/lists/* && \
    useradd --uid 65532 --create-home syncline
COPY --from=build /usr/local/bin/syncline /usr/local/bin/syncline
USER 65532
WORKDIR /work
# No entry point: a CI runs a shell in it.
CMD ["syncline", "--help"]
