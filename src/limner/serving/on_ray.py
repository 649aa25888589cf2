"""Serving from replicas behind Ray Serve's proxy, for what outgrows one machine.

Each replica is the whole application, with a queue of its own.
"""

from __future__ import annotations

import signal
from collections.abc import Callable
from types import FrameType

from fastapi import FastAPI

from limner.errors import MissingExtraError

_DRAIN_SECONDS = 30.0
"""That a replica has to finish what it was asked."""


def serve_on_ray(
    build: Callable[[], FastAPI],
    *,
    host: str,
    port: int,
    replicas: int,
    threads: int,
    most_requests: int,
) -> None:
    """Serve until the process is told to end; accepted requests are finished first.

    The cluster is the one that ``RAY_ADDRESS`` names, else one of this machine.

    Args:
        build: makes the application, in each replica; picklable.
        host: that each node's proxy listens on.
        port: the same.
        replicas: of the application.
        threads: CPUs that a replica reserves.
        most_requests: that a replica answers at once; more wait in the proxy.

    Raises:
        MissingExtraError: Ray is not installed.
    """
    try:
        import ray
        from ray import serve
        from ray.serve.config import HTTPOptions, ProxyLocation
    except ImportError as error:
        raise MissingExtraError("ray", "ray", "serving on Ray") from error

    def application() -> FastAPI:  # of a function alone Ray sees that it is no application yet
        return build()

    ray.init(include_dashboard=False, log_to_driver=False)
    signal.signal(signal.SIGTERM, _interrupt)  # Ray has set its own, which prints a stack
    try:
        serve.start(
            proxy_location=ProxyLocation.EveryNode,
            http_options=HTTPOptions(host=host, port=port),
        )
        deployment = serve.deployment(serve.ingress(application)()).options(
            num_replicas=replicas, ray_actor_options={"num_cpus": threads},
            max_ongoing_requests=most_requests, graceful_shutdown_timeout_s=_DRAIN_SECONDS,
        )  # fmt: skip
        serve.run(deployment.bind(), name="limner", route_prefix="/")
        address = f"http://{host}:{port}"
        print(
            f"limner: {replicas} replicas on {address}; the Images API is {address}/v1", flush=True
        )
        signal.pause()
    except KeyboardInterrupt:
        pass
    finally:
        serve.shutdown()
        ray.shutdown()


def _interrupt(_number: int, _frame: FrameType | None) -> None:
    raise KeyboardInterrupt
