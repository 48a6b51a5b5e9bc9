"""From nothing to an endpoint that answers, and what becomes of it: the real commands, SDK, login and server."""

import httpx
import pytest

from tests.deploy.conftest import Failed

pytestmark = pytest.mark.e2e


def test_from_nothing_to_a_row_and_back_to_nothing(deploy):
    said = deploy("apply")
    assert "with the key, 401 without" in said
    print(said)
    assert deploy.azure.kinds() == []
