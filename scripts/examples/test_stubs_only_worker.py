"""
A worker's own unit test, without a server: grpc_testing stands in for the channel.

    pip install grpcio-testing pytest; pytest test_stubs_only_worker.py
"""

from concurrent.futures import ThreadPoolExecutor

import grpc
import grpc_testing
import pytest
from genre_registry.v1 import genre_registry_pb2 as pb
from genre_registry.v1.genre_registry_pb2_grpc import GenreRegistryStub
from stubs_only_worker import Tagger

SERVICE = pb.DESCRIPTOR.services_by_name["GenreRegistry"]
GET_OR_CREATE = SERVICE.methods_by_name["GetOrCreate"]


@pytest.fixture
def channel() -> grpc_testing.Channel:
    """A channel that holds what is sent until the test answers it."""
    return grpc_testing.channel([SERVICE], grpc_testing.strict_real_time())


def test_a_genre_has_its_id(channel: grpc_testing.Channel) -> None:
    """The worker asks for the name, and takes the id from the reply."""
    with ThreadPoolExecutor(1) as pool:
        asking = pool.submit(Tagger(GenreRegistryStub(channel)).genre_id, "Dub")
        _, request, call = channel.take_unary_unary(GET_OR_CREATE)
        reply = pb.GetOrCreateResponse(genre=pb.Genre(id=7, name="Dub"), created=True)
        call.terminate(reply, (), grpc.StatusCode.OK, "")

        assert asking.result(5) == 7
    assert request.name == "Dub"
    assert request.request_id


def test_a_registry_that_is_away_is_an_error(channel: grpc_testing.Channel) -> None:
    """What is no answer is not taken for "no such genre"."""
    with ThreadPoolExecutor(1) as pool:
        asking = pool.submit(Tagger(GenreRegistryStub(channel)).genre_id, "Dub")
        _, _, call = channel.take_unary_unary(GET_OR_CREATE)
        call.terminate(None, (), grpc.StatusCode.UNAVAILABLE, "just starting")

        with pytest.raises(grpc.RpcError):
            asking.result(5)


def test_a_text_that_names_nothing_has_no_id(channel: grpc_testing.Channel) -> None:
    """A refusal is an answer, and no error of the worker's."""
    with ThreadPoolExecutor(1) as pool:
        asking = pool.submit(Tagger(GenreRegistryStub(channel)).genre_id, " ")
        _, _, call = channel.take_unary_unary(GET_OR_CREATE)
        call.terminate(None, (), grpc.StatusCode.INVALID_ARGUMENT, "empty")

        assert asking.result(5) is None
