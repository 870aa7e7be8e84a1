# The images of this repository, one final stage each: static binaries from scratch. `make images` builds them.
#
# The stage `files` is where everything is compiled. Where its base image cannot be pulled, `make images` runs the same command
# (`images files`) on this machine and gives the outcome to the final stages: --build-context files=target/image/files.
# Nothing here copies from anywhere else, so both ways end in the same final stages.

ARG RUST_IMAGE=docker.io/library/rust:1.95-bookworm

FROM ${RUST_IMAGE} AS files
WORKDIR /source
COPY . .
RUN --mount=type=cache,target=/usr/local/cargo/registry --mount=type=cache,target=/source/target \
    cargo run --quiet --locked -p images -- files /files

FROM scratch AS chatd
ARG VERSION=dev
COPY --from=files /chatd/ /
USER 65532:65532
# In a container loopback would reach nobody. What of this is public is for the Service to say.
ENV CHATD_TCP_LISTEN=0.0.0.0:7654 CHATD_HTTP_LISTEN=0.0.0.0:8081 CHATD_PEER_LISTEN=0.0.0.0:7755 CHATD_ADMIN_LISTEN=0.0.0.0:9090
EXPOSE 7654 8081 7755 9090
STOPSIGNAL SIGTERM
ENTRYPOINT ["/chatd"]
LABEL org.opencontainers.image.title="chatd" \
      org.opencontainers.image.description="Chat rooms of up to four players, joined through any pod" \
      org.opencontainers.image.version="${VERSION}" \
      org.opencontainers.image.licenses="MIT OR Apache-2.0"

FROM scratch AS http-demo
ARG VERSION=dev
COPY --from=files /http-demo/ /
USER 65532:65532
ENV HTTP_DEMO_LISTEN=0.0.0.0:8080
EXPOSE 8080
STOPSIGNAL SIGTERM
ENTRYPOINT ["/http-demo"]
LABEL org.opencontainers.image.title="http-demo" \
      org.opencontainers.image.description="A key/value API on Redis and a check of Postgres" \
      org.opencontainers.image.version="${VERSION}" \
      org.opencontainers.image.licenses="MIT OR Apache-2.0"

FROM scratch AS chatd-operator
ARG VERSION=dev
COPY --from=files /chatd-operator/ /
USER 65532:65532
EXPOSE 9091
STOPSIGNAL SIGTERM
ENTRYPOINT ["/chatd-operator"]
LABEL org.opencontainers.image.title="chatd-operator" \
      org.opencontainers.image.description="Creates and maintains the pods of each ChatDeployment" \
      org.opencontainers.image.version="${VERSION}" \
      org.opencontainers.image.licenses="MIT OR Apache-2.0"
