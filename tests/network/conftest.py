import pytest
import torch


@pytest.fixture(autouse=True, scope="session")
def one_thread():
    """The tests' matrices are too small for threads, which only wait for one another on a busy machine."""
    n_threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(n_threads)
