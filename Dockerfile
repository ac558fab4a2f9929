# The images of the suite, one target each:
#
#   base ──┬── consensus-needs ──┬── serve-needs ── torch-needs   libraries, from the pinned versions
#          │                     └── app                          our own code, in a layer of its own
#          ├── networks = torch-needs + app                       exports networks as ONNX files, and is left behind
#          └── runtime                                            no compiler, no root
#                ├── ml-backend       = runtime + serve-needs + app + networks   answers Label Studio, on processors
#                ├── ml-backend-torch = runtime + torch-needs + app + networks   the same, tunes, uses graphics cards
#                └── consensus        = runtime + consensus-needs + app          runs by cron
#
# docker compose builds ml-backend and consensus. PIP_ARGS reaches pip, for an index of your own or for torch without
# CUDA (--extra-index-url https://download.pytorch.org/whl/cpu), which makes the stage networks gigabytes smaller.

FROM python:3.11-slim-bookworm AS base
ENV PYTHONUNBUFFERED=1 PIP_NO_CACHE_DIR=1 PIP_DISABLE_PIP_VERSION_CHECK=1 \
    PATH=/opt/app/bin:/opt/venv/bin:$PATH PYTHONPATH=/opt/app

FROM base AS consensus-needs
ARG PIP_ARGS=""
RUN python -m venv /opt/venv
WORKDIR /source
COPY pyproject.toml constraints.txt ./
RUN python -c "import tomllib; print(*tomllib.load(open('pyproject.toml', 'rb'))['project']['dependencies'], sep='\n')" \
        > needs.txt \
    && pip install $PIP_ARGS -c constraints.txt -r needs.txt

FROM consensus-needs AS serve-needs
ARG PIP_ARGS=""
RUN python -c "import tomllib; print(*tomllib.load(open('pyproject.toml', 'rb'))['project']['optional-dependencies']['serve'], sep='\n')" \
        > needs.txt \
    && pip install $PIP_ARGS -c constraints.txt -r needs.txt

FROM serve-needs AS torch-needs
ARG PIP_ARGS=""
RUN python -c "import tomllib; extras = tomllib.load(open('pyproject.toml', 'rb'))['project']['optional-dependencies']; print(*extras['ml'], *extras['zero-shot'], sep='\n')" \
        > needs.txt \
    && pip install $PIP_ARGS -c constraints.txt -r needs.txt

FROM consensus-needs AS app
ARG PIP_ARGS=""
COPY README.md ./
COPY common common
COPY consensus consensus
COPY ml_backend ml_backend
RUN pip install $PIP_ARGS --no-deps --target /opt/app .

# ResNet-18 only where its ImageNet weights can be downloaded: without it ML_BACKEND_BACKBONE=auto is EfficientNet-Lite0.
FROM torch-needs AS networks
COPY --from=app /opt/app /opt/app
RUN export ML_BACKEND_DATA_DIR=/tmp/exported \
    && ml-backend export --backbone efficientnet-lite0 --out /opt/networks \
    && (ml-backend export --backbone resnet18 --out /opt/networks \
        || echo "no network: this image has EfficientNet-Lite0 alone, not ResNet-18")

FROM base AS runtime
RUN useradd --uid 10001 --create-home suite \
    && install --directory --owner=suite --group=suite /data
WORKDIR /data
USER suite

FROM runtime AS ml-backend
COPY --from=serve-needs /opt/venv /opt/venv
COPY --from=app /opt/app /opt/app
COPY --from=networks /opt/networks /opt/networks
ENV ML_BACKEND_HOST=0.0.0.0 ML_BACKEND_DATA_DIR=/data ML_BACKEND_ENGINES_DIR=/opt/networks
EXPOSE 9090
HEALTHCHECK --interval=15s --timeout=5s --start-period=90s --retries=4 \
    CMD ["python", "-c", "import urllib.request; urllib.request.urlopen('http://127.0.0.1:9090/health', timeout=4)"]
CMD ["ml-backend", "serve"]

FROM runtime AS ml-backend-torch
COPY --from=torch-needs /opt/venv /opt/venv
COPY --from=app /opt/app /opt/app
COPY --from=networks /opt/networks /opt/networks
ENV ML_BACKEND_HOST=0.0.0.0 ML_BACKEND_DATA_DIR=/data ML_BACKEND_ENGINES_DIR=/opt/networks TORCH_HOME=/data/torch \
    HF_HOME=/data/huggingface
EXPOSE 9090
HEALTHCHECK --interval=15s --timeout=5s --start-period=90s --retries=4 \
    CMD ["python", "-c", "import urllib.request; urllib.request.urlopen('http://127.0.0.1:9090/health', timeout=4)"]
CMD ["ml-backend", "serve"]

FROM runtime AS consensus
COPY --from=consensus-needs /opt/venv /opt/venv
COPY --from=app /opt/app /opt/app
ENV CONSENSUS_CACHE_DIR=/data/cache
HEALTHCHECK --interval=60s --timeout=30s --start-period=30s --retries=3 CMD ["consensus", "ping"]
CMD ["consensus", "schedule"]
