# Millrace with a redis-server beside it, for `redis.url: ""`: docker run -v millrace:/data -p 8080:8080 IMAGE
FROM golang:1.26-bookworm AS build
# Without it, what git says of the build context.
ARG VERSION
WORKDIR /src
COPY go.mod go.sum ./
RUN go mod download
COPY . .
RUN make build ${VERSION:+VERSION="$VERSION"}

FROM debian:bookworm-slim
RUN apt-get update \
    && apt-get install -y --no-install-recommends ca-certificates git redis-server \
    && rm -rf /var/lib/apt/lists/* \
    && useradd --uid 10001 --create-home --home-dir /data millrace
COPY --from=build /src/bin/millrace /usr/local/bin/millrace
USER 10001
WORKDIR /data
VOLUME /data
EXPOSE 8080
ENV MILLRACE_SERVER_LISTEN=:8080
ENTRYPOINT ["millrace"]
CMD ["serve"]
