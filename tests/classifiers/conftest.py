"""What the tests of the CNN share."""

import pytest
import torch


@pytest.fixture(scope="module")
def one_core():
    """Compute on one core, GPU or not: volumes so small gain nothing from more, and threads wait for each other."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(torch.cuda, "is_available", lambda: False)
        yield
    torch.set_num_threads(before)
