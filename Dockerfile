# One image for both roles: `trilithon controller`, and `trilithon proxy`, which becomes Envoy.
FROM python:3.13-slim

WORKDIR /opt/trilithon
COPY requirements.lock ./
# Exactly what was tested: every file by its hash, nothing built, nothing besides.
RUN python -m pip install --no-cache-dir --no-deps --only-binary :all: --require-hashes -r requirements.lock \
    && python -m pip uninstall --yes --quiet pip
COPY LICENSE ./
COPY src/trilithon ./trilithon
# The root file system is read-only when it runs.
RUN python -m compileall -q trilithon

ENV PYTHONPATH=/opt/trilithon PYTHONDONTWRITEBYTECODE=1 PYTHONUNBUFFERED=1
# Nobody's: pods are told to run as this user too.
USER 65532:65532
ENTRYPOINT ["python", "-m", "trilithon"]
