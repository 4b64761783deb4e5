# Two stages: wheels are built where there is a compiler's worth of tools, and run where there is none.
FROM python:3.13-slim AS build
WORKDIR /src
COPY pyproject.toml README.md LICENSE ./
COPY pymetrics_server pymetrics_server
RUN python -m venv /venv && /venv/bin/pip install --no-cache-dir --no-compile .

FROM python:3.13-slim
LABEL org.opencontainers.image.title="pymetrics-server" \
      org.opencontainers.image.licenses="Apache-2.0"
COPY --from=build /venv /venv
# Nothing is written outside /tmp: the root filesystem may be read-only.
ENV PYTHONDONTWRITEBYTECODE=1 PYTHONUNBUFFERED=1
USER 1000:1000
EXPOSE 10250
ENTRYPOINT ["/venv/bin/pymetrics-server"]
