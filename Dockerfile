# The bidder. Build from the repository's root:  docker build -t rtb-bidder .
#
# The image holds CPython, the dependencies of requirements/bidder.txt (checked by hash, wheels only) and the packages
# openrtb_schemas and bidder. It runs as a user without rights or home on a read-only file system; all it writes are
# compiled catalogs, to BIDDER_CATALOG_CACHE_DIR or /tmp. Settings are BIDDER_* variables; AWS credentials come from the
# usual chain, none are in the image.

FROM python:3.11-slim AS builder
WORKDIR /app
# No pip in the environment itself: what runs in production needs none.
RUN python -m venv --without-pip /opt/venv
COPY requirements/bidder.txt /tmp/requirements.txt
RUN pip --python /opt/venv/bin/python --disable-pip-version-check --no-cache-dir install \
        --require-hashes --only-binary :all: --no-compile -r /tmp/requirements.txt
COPY openrtb_schemas openrtb_schemas
COPY bidder bidder
COPY docker/healthcheck.py healthcheck.py
# Byte code is made here, as nothing can be written later, and trusted without a look at the source's time stamp.
RUN python -m compileall -q -j 0 --invalidation-mode unchecked-hash /opt/venv/lib /app

FROM python:3.11-slim
ARG VERSION=0.1.0
ARG REVISION=unknown
LABEL org.opencontainers.image.title="rtb-bidder" \
      org.opencontainers.image.description="A low-latency OpenRTB bidder that prices every auction with a model behind an Amazon SageMaker endpoint" \
      org.opencontainers.image.version="${VERSION}" \
      org.opencontainers.image.revision="${REVISION}" \
      org.opencontainers.image.licenses="Apache-2.0" \
      org.opencontainers.image.base.name="docker.io/library/python:3.11-slim"
# What runs in production installs nothing and changes to no other user: the base's pip and its setuid bits go.
RUN groupadd --system --gid 10001 app \
    && useradd --system --uid 10001 --gid app --no-create-home --home-dir /nonexistent --shell /usr/sbin/nologin app \
    && python -m pip --no-cache-dir uninstall --quiet --yes --root-user-action=ignore pip setuptools wheel \
    && find / -xdev -type f -perm /6000 -exec chmod a-s {} +
# AWS Fargate mounts empty volumes that only root may write to, except over a VOLUME: that keeps its mode.
VOLUME /tmp
WORKDIR /app
COPY --from=builder /opt/venv /opt/venv
COPY --from=builder /app /app
ENV PATH=/opt/venv/bin:$PATH \
    PYTHONUNBUFFERED=1 \
    PYTHONDONTWRITEBYTECODE=1 \
    BIDDER_HOST=0.0.0.0 \
    BIDDER_PORT=8080
# In numbers: Kubernetes' runAsNonRoot cannot check a name.
USER 10001:10001
EXPOSE 8080
# /healthz, not /readyz: an orchestrator ends what is unhealthy, and a model endpoint that is away is no reason for that.
HEALTHCHECK --interval=5s --timeout=3s --start-period=20s --retries=3 \
    CMD exec python -IS /app/healthcheck.py "$BIDDER_PORT" /healthz
# Exec form: Python is process 1 and gets SIGTERM itself. It drains for up to BIDDER_DRAIN_S + BIDDER_STOP_S seconds;
# give it that much before SIGKILL (docker stop --time 15).
ENTRYPOINT ["python", "-m", "bidder"]
CMD ["serve"]
