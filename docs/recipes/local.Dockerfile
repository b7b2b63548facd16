# A local Celonis that keeps its tables in a volume. Build: docker build -t local-celonis -f local.Dockerfile .
# Run: docker run --init --rm -p 127.0.0.1:8080:8080 -v celonis:/data local-celonis
FROM python:3.13-slim

RUN pip install --no-cache-dir "celonis-frames[local]==0.1.0" \
 && useradd --create-home --uid 1000 celonis \
 && install --directory --owner=1000 /data
USER 1000
VOLUME /data
EXPOSE 8080

CMD ["celonis-frames", "serve", "/data/celonis.duckdb", "--host", "0.0.0.0", "--token", "local"]
