# syntax=docker/dockerfile:1
FROM python:3.11-slim

ENV PYTHONUNBUFFERED=1 \
    PYTHONDONTWRITEBYTECODE=1 \
    PIP_NO_CACHE_DIR=1 \
    PIP_DISABLE_PIP_VERSION_CHECK=1 \
    GRADIO_ANALYTICS_ENABLED=False \
    HOME=/home/user \
    DATA_DIR=/home/user/data

RUN useradd --create-home --uid 1000 user \
    && mkdir -p /home/user/data \
    && chown user:user /home/user/data

WORKDIR /home/user/app

COPY requirements.lock ./
RUN pip install --require-hashes -r requirements.lock \
    # Gradio writes interface files beside its components when it is first imported: once, here, as root.
    && python -c "import gradio" \
    && python -m compileall -q /usr/local/lib/python3.11/site-packages

COPY rag ./rag
COPY web ./web
COPY content ./content
COPY app.py LICENSE ./

USER 1000
EXPOSE 7860
VOLUME ["/home/user/data"]

HEALTHCHECK --interval=30s --timeout=5s --start-period=60s --retries=3 \
    CMD ["python", "-c", "import os, urllib.request as u; u.urlopen(f'http://127.0.0.1:{os.environ.get(\"PORT\") or 7860}/health', timeout=4)"]

STOPSIGNAL SIGTERM
CMD ["python", "app.py"]
