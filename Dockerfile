# One image for every part: the command says which part it is.
FROM python:3.11-slim-bookworm AS build
WORKDIR /build
COPY requirements.lock requirements-build.lock ./
RUN python -m venv /opt/postwatch \
    && /opt/postwatch/bin/pip install --no-cache-dir --require-hashes -r requirements.lock \
    && python -m venv /opt/build \
    && /opt/build/bin/pip install --no-cache-dir --require-hashes -r requirements-build.lock
COPY pyproject.toml README.md CHANGELOG.md LICENSE ./
COPY docs docs
COPY deploy deploy
COPY domain domain
COPY mail mail
COPY store store
COPY projections projections
COPY checker checker
COPY alerting alerting
COPY api api
COPY service service
COPY cli cli
COPY postwatch postwatch
RUN /opt/build/bin/pip wheel --no-deps --no-build-isolation --wheel-dir /wheels . \
    && /opt/postwatch/bin/pip install --no-cache-dir --no-deps /wheels/*.whl

FROM python:3.11-slim-bookworm
RUN useradd --system --uid 10001 --home-dir /data --shell /usr/sbin/nologin postwatch \
    && install -d -o postwatch -g postwatch -m 0700 /data
COPY --from=build /opt/postwatch /opt/postwatch
ENV PATH=/opt/postwatch/bin:$PATH \
    PYTHONUNBUFFERED=1 \
    POSTWATCH_DATA=/data \
    POSTWATCH_BIND=0.0.0.0:8025 \
    POSTWATCH_LOG_FORMAT=json
USER postwatch
VOLUME /data
EXPOSE 8025
STOPSIGNAL SIGTERM
CMD ["postwatch", "up"]
