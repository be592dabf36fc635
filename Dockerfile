# syntax=docker/dockerfile:1

FROM python:3.13-slim AS build
ENV PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_NO_CACHE_DIR=1
WORKDIR /source
RUN python -m venv /opt/build && python -m venv --without-pip /opt/webedt
# What changes rarely comes first: the locked dependencies are a layer of their own.
COPY requirements-build.lock requirements.lock ./
RUN /opt/build/bin/pip install --require-hashes -r requirements-build.lock \
    && /opt/build/bin/pip --python /opt/webedt/bin/python install --require-hashes --only-binary :all: -r requirements.lock
COPY pyproject.toml README.md LICENSE CHANGELOG.md ./
COPY sql sql
COPY webedt webedt
RUN /opt/build/bin/pip wheel --no-deps --no-build-isolation --wheel-dir /wheels . \
    && /opt/build/bin/pip --python /opt/webedt/bin/python install --no-deps --no-index /wheels/*.whl

FROM python:3.13-slim
RUN useradd --system --uid 10001 --no-create-home --shell /usr/sbin/nologin webedt
COPY --from=build /opt/webedt /opt/webedt
ARG BUILD_COMMIT_SHA=unknown
ARG BUILD_TIMESTAMP=unknown
ARG BUILD_VERSION=
ENV BUILD_COMMIT_SHA=$BUILD_COMMIT_SHA \
    BUILD_TIMESTAMP=$BUILD_TIMESTAMP \
    BUILD_VERSION=$BUILD_VERSION \
    PATH=/opt/webedt/bin:$PATH \
    PORT=3001 \
    PYTHONDONTWRITEBYTECODE=1 \
    PYTHONUNBUFFERED=1 \
    WEBEDT_ENV=production
USER 10001
WORKDIR /tmp
EXPOSE 3001
# Alive, not ready: a container without its database is to wait for it and not to be restarted.
HEALTHCHECK --interval=10s --timeout=3s --start-period=10s --retries=3 \
    CMD ["python", "-c", "import os, urllib.request as r; r.urlopen('http://127.0.0.1:' + os.environ['PORT'] + '/live', timeout=2)"]
# Exec form: SIGTERM reaches the server itself, which drains its streams and hands its runs over.
STOPSIGNAL SIGTERM
ENTRYPOINT ["webedt"]
CMD ["serve"]
