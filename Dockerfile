# Targets: gateway (also the reconciler's image; no torch), worker, redis. For the classic builder and for BuildKit alike;
# the classic one builds every stage above its target, so torch comes last.
# Wheels in a folder wheels/ are used before any index (see docs/deploying.md).

FROM redis:7-bookworm AS redis
RUN install -d -o redis -g redis -m 700 /data
COPY deploy/redis.conf /etc/mmml/redis.conf
USER redis
WORKDIR /data
COPY deploy/redis.sh /etc/mmml/redis.sh
HEALTHCHECK --interval=5s --timeout=3s --start-period=60s --retries=5 \
    CMD REDISCLI_AUTH="$(cat /run/secrets/redis_password)" redis-cli ping | grep -q PONG
CMD ["sh", "/etc/mmml/redis.sh"]

FROM python:3.11-slim-bookworm AS base
ENV PATH=/opt/mmml/bin:$PATH \
    PYTHONUNBUFFERED=1 \
    PYTHONSAFEPATH=1 \
    HOME=/tmp \
    MMML_WEIGHTS_DIR=/weights \
    MMML_STORAGE_URL=file:///var/lib/mmml/blobs \
    MMML_ALIVE_FILE=/tmp/alive
RUN groupadd --gid 10001 mmml \
 && useradd --uid 10001 --gid 10001 --no-create-home --home-dir /tmp --shell /usr/sbin/nologin mmml \
 && install -d -o mmml -g mmml -m 700 /var/lib/mmml/blobs /var/cache/mmml \
 && install -d /weights
WORKDIR /weights

# Apart from the rest of pyproject.toml, so that only a change of torch's line installs it again.
FROM base AS requirements
WORKDIR /build
COPY pyproject.toml ./
COPY client/pyproject.toml client/
COPY deploy/requirements.py deploy/
RUN python deploy/requirements.py torch > torch.txt

FROM base AS build
WORKDIR /build
COPY constraints.txt wheel[s] wheels/
COPY constraints.txt ./
COPY deploy/install.sh deploy/

FROM build AS gateway-build
COPY deploy/gateway.lock ./
RUN deploy/install.sh --require-hashes -r gateway.lock
COPY pyproject.toml README.md LICENSE ./
COPY client client
COPY jobs jobs
COPY app app
RUN deploy/install.sh --no-deps ./client .
COPY deploy/notices.py deploy/
RUN install -d /opt/mmml/share/doc/mmml && /opt/mmml/bin/python deploy/notices.py > /opt/mmml/share/doc/mmml/third-party.txt

FROM base AS gateway
COPY --from=gateway-build /opt/mmml /opt/mmml
USER 10001:10001
ENV MMML_HOST=0.0.0.0 MMML_PORT=8000
EXPOSE 8000
HEALTHCHECK --interval=10s --timeout=5s --start-period=20s --retries=3 \
    CMD ["python", "-c", "import urllib.request as u; u.urlopen('http://127.0.0.1:8000/healthz', timeout=4)"]
CMD ["python", "-m", "app.gateway"]

FROM build AS worker-build
COPY deploy/worker.lock ./
RUN deploy/install.sh --require-hashes -r worker.lock
ARG TORCH_INDEX=
COPY --from=requirements /build/torch.txt ./
RUN TORCH_INDEX=$TORCH_INDEX deploy/install.sh -r torch.txt
COPY pyproject.toml README.md LICENSE ./
COPY jobs jobs
COPY models models
COPY workers workers
RUN deploy/install.sh --no-deps .
COPY deploy/notices.py deploy/
RUN install -d /opt/mmml/share/doc/mmml && /opt/mmml/bin/python deploy/notices.py > /opt/mmml/share/doc/mmml/third-party.txt

FROM base AS worker
COPY --from=worker-build /opt/mmml /opt/mmml
USER 10001:10001
ENV MALLOC_TRIM_THRESHOLD_=1000000000 \
    MALLOC_MMAP_THRESHOLD_=1000000000 \
    MALLOC_TOP_PAD_=134217728 \
    NVIDIA_DRIVER_CAPABILITIES=compute,utility
HEALTHCHECK --interval=10s --timeout=5s --start-period=180s --retries=3 CMD ["python", "-m", "jobs.liveness"]
CMD ["python", "-m", "workers"]
