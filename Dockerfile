# Two stages: the first makes a virtual environment of exactly what requirements.lock names, the second is that and an
# interpreter. Nothing here knows of an architecture: built for linux/amd64 and linux/arm64 as it is.
#
# A release pins the base by its digest: --build-arg PYTHON_IMAGE=python:3.13-slim@sha256:...
ARG PYTHON_IMAGE=python:3.13-slim

FROM ${PYTHON_IMAGE} AS build
# One time for all that is made here, so that the same source gives the same bytes; 1980 is where a wheel's clock begins.
ARG SOURCE_DATE_EPOCH=315532800
ENV SOURCE_DATE_EPOCH=${SOURCE_DATE_EPOCH} \
    PIP_DISABLE_PIP_VERSION_CHECK=1 \
    PIP_NO_CACHE_DIR=1 \
    PYTHONDONTWRITEBYTECODE=1
WORKDIR /src

# What others made, by its hash and never from source; this layer changes with the locks alone.
COPY requirements.lock requirements-build.lock ./
RUN python -m venv --without-pip /venv \
 && python -m venv --without-pip /tools \
 && python -m pip --python /tools/bin/python install --require-hashes --only-binary :all: -r requirements-build.lock \
 && python -m pip download --dest /wheels --require-hashes --only-binary :all: -r requirements.lock

# Our own wheel with the locked build tools, then the environment from wheels alone: what no lock names cannot come in.
COPY pyproject.toml README.md LICENSE ./
COPY pymetrics_server pymetrics_server
RUN python -m pip --python /tools/bin/python wheel --wheel-dir /wheels --no-index --no-deps --no-build-isolation . \
 && python -m pip --python /venv/bin/python install --no-compile --no-index --find-links /wheels pymetrics-server

# Compiled here, as a read-only tree cannot be at each start; the standard library, too, which slim images ship as source.
# Nothing changes beneath an image, so nothing is looked at again (unchecked), and no time of a file is in it (hash).
# Left as source is what a server never imports.
RUN /venv/bin/python -X pycache_prefix=/venv/pycache -m compileall -q --invalidation-mode unchecked-hash \
      -x '/(site-packages|dist-packages|tests?|idlelib|tkinter|turtledemo|ensurepip|lib2to3)/' \
      "$(python -c 'import sysconfig; print(sysconfig.get_path("stdlib"))')" \
 && /venv/bin/python -X pycache_prefix=/venv/pycache -m compileall -q --invalidation-mode unchecked-hash \
      -x '/(kubernetes_asyncio/client/(api|models)|pygments/(lexers|styles)|tests?)/' /venv/lib

FROM ${PYTHON_IMAGE}
ARG VERSION=0.1.0
ARG REVISION=unknown
LABEL org.opencontainers.image.title="pymetrics-server" \
      org.opencontainers.image.description="Kubernetes' resource metrics API (metrics.k8s.io): a drop-in for metrics-server" \
      org.opencontainers.image.version="${VERSION}" \
      org.opencontainers.image.revision="${REVISION}" \
      org.opencontainers.image.licenses="Apache-2.0"
COPY --from=build /venv /venv
# The root filesystem may be read-only: nothing is written but what --cert-dir names. Nothing is imported from the
# working directory. User 1000 has no home, and libraries that look for one are told so rather than left to fail.
ENV HOME=/nonexistent \
    PATH=/venv/bin:$PATH \
    PYTHONDONTWRITEBYTECODE=1 \
    PYTHONNOUSERSITE=1 \
    PYTHONPYCACHEPREFIX=/venv/pycache \
    PYTHONSAFEPATH=1 \
    PYTHONUNBUFFERED=1
WORKDIR /
USER 1000:1000
EXPOSE 10250
STOPSIGNAL SIGTERM
# Kubernetes asks /livez and /readyz by itself; a check in the image would start an interpreter each time to ask the same.
HEALTHCHECK NONE
ENTRYPOINT ["/venv/bin/pymetrics-server"]
