#!/bin/sh
# Started by the Lambda Web Adapter's bootstrap in place of Lambda's own Python client, so nobody has made the search
# path yet: the function, the layers, which lie where that bootstrap lies, and the runtime with its boto3.
layers=${AWS_LAMBDA_EXEC_WRAPPER:-/opt/bootstrap}
layers=${layers%/*}
export PYTHONPATH="$LAMBDA_TASK_ROOT:$layers/python:$LAMBDA_RUNTIME_DIR"

# The adapter keeps an idle connection for 4 seconds. It must be the one to close it: a request that goes out on a
# connection just closed at this end would be lost. Lambda gives 2 seconds after SIGTERM.
# The router logs each request itself, and has nothing to do at start-up.
exec python3.13 -m uvicorn app:app \
  --host 127.0.0.1 --port "${AWS_LWA_PORT:-${PORT:-8080}}" --workers 1 \
  --interface asgi3 --loop asyncio --http h11 --ws none --lifespan off \
  --timeout-keep-alive 60 --timeout-graceful-shutdown 1 \
  --no-access-log --no-proxy-headers --no-server-header --log-level warning
