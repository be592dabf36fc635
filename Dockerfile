# One image: the backend with the web page it serves. `scripts/image` proves it without a container engine.

# A minor version of Python on one release of Debian: a rebuild brings the fixes of both. For the same bytes every time
# give a digest: --build-arg PYTHON_IMAGE=python:3.13-slim-trixie@sha256:…
ARG PYTHON_IMAGE=python:3.13-slim-trixie

FROM ${PYTHON_IMAGE} AS build
ENV PIP_DISABLE_PIP_VERSION_CHECK=1 \
    PIP_NO_CACHE_DIR=1
WORKDIR /source
RUN apt-get update \
    && apt-get install --yes --no-install-recommends tini=0.19.* \
    && rm -rf /var/lib/apt/lists/*
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
# Sources of compiled modules, type stubs and the tests of others are never read. The compiled .pyc files stay: on a
# read-only root they could not be made, and every start would compile everything anew.
RUN find /opt/webedt/lib -type f '(' -name '*.c' -o -name '*.h' -o -name '*.pyx' -o -name '*.pxd' -o -name '*.pyi' ')' -delete \
    && find /opt/webedt/lib -type d '(' -name tests -o -name test ')' -prune -exec rm -rf '{}' +

FROM ${PYTHON_IMAGE}
RUN useradd --system --uid 10001 --no-create-home --shell /usr/sbin/nologin webedt
COPY --from=build /usr/bin/tini-static /usr/bin/tini
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
# Exec form: SIGTERM reaches the server, which drains its streams and hands its runs over. tini passes it on, ends with
# the server's exit status, and buries what the `command` provider's processes leave behind; process 1 must do that.
STOPSIGNAL SIGTERM
ENTRYPOINT ["tini", "-s", "--", "webedt"]
CMD ["serve"]
