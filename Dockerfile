# One image for every process of EventHub; the command says which (default: the gateway).
FROM python:3.11-slim AS packages
RUN python -m venv /opt/eventhub
COPY requirements.lock /tmp/
RUN /opt/eventhub/bin/pip install --no-cache-dir --disable-pip-version-check \
        --require-hashes --requirement /tmp/requirements.lock

FROM python:3.11-slim
RUN useradd --system --uid 10001 --no-create-home --shell /usr/sbin/nologin eventhub
COPY --from=packages /opt/eventhub /opt/eventhub
WORKDIR /app
COPY contracts contracts
COPY db db
COPY gateway gateway
COPY workers workers
ENV PATH=/opt/eventhub/bin:$PATH \
    PYTHONUNBUFFERED=1 \
    PYTHONDONTWRITEBYTECODE=1 \
    EVENTHUB_PORT=8080 \
    EVENTHUB_HEALTH_PORT=8081
USER 10001
EXPOSE 8080
CMD ["python", "-m", "gateway"]
