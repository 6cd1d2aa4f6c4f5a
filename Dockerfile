# One image for every Python and Spark part: the steps are those of `make setup`, so that a container holds what a developer's .venv holds.
FROM python:3.11.13-slim-bookworm

RUN apt-get update \
    && apt-get install --yes --no-install-recommends make openjdk-17-jre-headless procps \
    && rm -rf /var/lib/apt/lists/*

WORKDIR /app
COPY Makefile ./
COPY conf/requirements.lock conf/
RUN make .venv/.installed

COPY conf/jars.lock conf/
COPY millrace millrace
COPY jobs jobs
RUN make jars

COPY conf conf
COPY batch batch
COPY speed speed
COPY serving serving
RUN useradd --uid 10001 --create-home millrace && mkdir /data && chown millrace /data
USER millrace
ENV PATH=/app/.venv/bin:$PATH \
    PYTHONPATH=/app \
    PYTHONUNBUFFERED=1 \
    PYSPARK_PYTHON=/app/.venv/bin/python \
    PYSPARK_DRIVER_PYTHON=/app/.venv/bin/python
VOLUME /data
CMD ["python", "-m", "jobs.doctor"]
