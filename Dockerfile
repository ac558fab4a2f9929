# The images of the suite, one target each:
#
#   base ──┬── build-consensus ─────┐
#          │                        ├─ consensus     runs by cron
#          ├── build-ml-backend ──┐ │
#          │                      └─┼─ ml-backend    answers Label Studio
#          └── runtime ─────────────┘
#
# docker compose builds both. PIP_ARGS reaches pip, for an index of your own or for torch without CUDA.

FROM python:3.11-slim-bookworm AS base
ENV PYTHONUNBUFFERED=1 PIP_NO_CACHE_DIR=1 PIP_DISABLE_PIP_VERSION_CHECK=1

FROM base AS build-consensus
ARG PIP_ARGS=""
RUN python -m venv /opt/venv
ENV PATH=/opt/venv/bin:$PATH
WORKDIR /source
COPY pyproject.toml constraints.txt README.md ./
COPY consensus consensus
COPY ml_backend ml_backend
RUN pip install --no-compile $PIP_ARGS -c constraints.txt .

FROM build-consensus AS build-ml-backend
ARG PIP_ARGS=""
RUN pip install --no-compile $PIP_ARGS -c constraints.txt ".[ml]"

FROM base AS runtime
ENV PATH=/opt/venv/bin:$PATH
RUN useradd --uid 10001 --create-home suite \
    && install --directory --owner=suite --group=suite /data
WORKDIR /data
USER suite

FROM runtime AS ml-backend
COPY --from=build-ml-backend /opt/venv /opt/venv
ENV ML_BACKEND_HOST=0.0.0.0 ML_BACKEND_DATA_DIR=/data TORCH_HOME=/data/torch
EXPOSE 9090
HEALTHCHECK --interval=15s --timeout=5s --start-period=60s --retries=4 \
    CMD ["python", "-c", "import urllib.request; urllib.request.urlopen('http://127.0.0.1:9090/health', timeout=4)"]
CMD ["ml-backend", "serve"]

FROM runtime AS consensus
COPY --from=build-consensus /opt/venv /opt/venv
HEALTHCHECK --interval=60s --timeout=30s --start-period=30s --retries=3 CMD ["consensus", "ping"]
CMD ["consensus", "schedule"]
