# Millrace alone, for clusters: one static binary, no shell, no root. Redis is a server of its own (redis.url); the local
# runner needs git and a shell, and belongs on a machine. See deploy/kubernetes.
FROM golang:1.26 AS build
# Where modules come from, if not from Go's own defaults.
ARG GOPROXY
ARG GOSUMDB
WORKDIR /src
COPY go.mod go.sum ./
RUN go mod download
COPY . .
ARG VERSION=unknown
RUN CGO_ENABLED=0 go build -trimpath -ldflags "-s -w -X main.version=$VERSION" -o /out/millrace ./cmd/millrace && mkdir /out/data /out/tmp

FROM scratch
COPY --from=build /etc/ssl/certs/ca-certificates.crt /etc/ssl/certs/
COPY --from=build /out/millrace /usr/local/bin/millrace
COPY --from=build --chown=10001:10001 /out/data /data
COPY --from=build --chown=10001:10001 /out/tmp /tmp
USER 10001:10001
WORKDIR /data
VOLUME /data
EXPOSE 8080
ENTRYPOINT ["/usr/local/bin/millrace"]
CMD ["serve"]
