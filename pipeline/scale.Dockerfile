# Dask's scheduler and workers, with what scores a bundle. Built from the root of the repository by docker-compose.yml,
# which names the base image.
ARG BASE_IMAGE

FROM ${BASE_IMAGE} AS build
RUN --mount=type=cache,target=/var/cache/apt,sharing=locked --mount=type=cache,target=/var/lib/apt/lists,sharing=locked \
    rm -f /etc/apt/apt.conf.d/docker-clean \
    && apt-get update -qq && apt-get install -qq --no-install-recommends gcc libc6-dev >/dev/null
ENV UV_LINK_MODE=copy UV_COMPILE_BYTECODE=1
COPY requirements/build.txt /build/requirements/
RUN --mount=type=cache,target=/root/.cache \
    python3 -m venv /build/tools && /build/tools/bin/pip install --quiet --require-hashes -r /build/requirements/build.txt
COPY requirements/scale.txt /build/requirements/
RUN --mount=type=cache,target=/root/.cache \
    python3 -m venv --without-pip /opt/venv \
    && /build/tools/bin/uv pip install --quiet --python /opt/venv --require-hashes -r /build/requirements/scale.txt \
    && rm /opt/venv/.lock # uv leaves it open to all
COPY bundle /opt/homeport/bundle
COPY pipeline /opt/homeport/pipeline
RUN python3 /opt/homeport/bundle/compile.py && python3 -m compileall -q /opt/homeport

FROM ${BASE_IMAGE}
LABEL org.opencontainers.image.title="homeport-scale" \
      org.opencontainers.image.description="Dask with what scores a Homeport bundle" \
      org.opencontainers.image.licenses="Apache-2.0"
COPY --from=build /opt /opt
ENV PATH=/opt/venv/bin:$PATH \
    PYTHONPATH=/opt/homeport PYTHONSAFEPATH=1 PYTHONUNBUFFERED=1 PYTHONDONTWRITEBYTECODE=1 \
    HOME=/tmp DASK_TEMPORARY_DIRECTORY=/tmp
USER 10001:10001
WORKDIR /tmp
# Scheduler and workers both have their page on port 8787; without a scheduler a worker has none.
HEALTHCHECK --interval=2s --timeout=2s --start-period=30s --retries=3 CMD ["bash", "-c", \
    "exec 3<>/dev/tcp/127.0.0.1/8787 && printf 'GET /health HTTP/1.0\\r\\n\\r\\n' >&3 && head -n 1 <&3 | grep -q ' 200 '"]
ENTRYPOINT ["dask"]
