"""What tests of ``descend.torch`` share."""

import pytest
import torch


@pytest.fixture
def one_thread():
    """Tensors this small are not worth a second thread, which on a busy machine they would wait for."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)
