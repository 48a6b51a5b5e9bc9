"""The stack, once for all tests of this folder, and gone at the end, whatever happened."""

import pytest

from tests.compose.stack import Stack, missing_engine, until


@pytest.fixture(scope="session")
def engine():
    """The machine's container engine."""
    if problem := missing_engine():
        pytest.skip(f"containers cannot be tested here, there is no engine: {problem}")


@pytest.fixture(scope="session")
def images(engine):
    """Our own images, by service, built as `docker compose up` does."""
    stack = Stack()
    stack.compose("--profile", "*", "build")
    services = stack.configuration("*")["services"]
    return {name: service["image"] for name, service in services.items() if "build" in service}


@pytest.fixture(scope="package")
def stack(images):
    """The running stack, after a short search on the embedded sample."""
    stack = Stack(HOMEPORT_BUDGET="8")
    try:
        stack.compose("up", "--detach")
        stack.first = until(lambda: stack.ask("/health/ready"), "serving answers")
        yield stack
    finally:
        stack.remove()
