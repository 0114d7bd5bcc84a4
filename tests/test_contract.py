"""The contract: stubs are what the .proto generates, and every RPC is served."""

import subprocess
from pathlib import Path

import grpc
from conftest import Server
from genre_registry.v1 import genre_registry_pb2 as pb
from genre_registry.v1 import genre_registry_pb2_grpc

ROOT = Path(__file__).parent.parent
STUBS = Path("genre_registry/v1")


def test_the_stubs_are_what_the_generator_makes(tmp_path: Path) -> None:
    """Only the .proto is edited."""
    subprocess.run([ROOT / "scripts/generate-stubs", tmp_path], check=True, timeout=300)

    generated = {path.name: path.read_text() for path in (tmp_path / STUBS).iterdir()}
    committed = {
        path.name: path.read_text() for path in (ROOT / "proto" / STUBS).glob("*_pb2*.py*")
    }
    assert set(generated) == {
        *("genre_registry_pb2.py", "genre_registry_pb2.pyi"),
        *("genre_registry_pb2_grpc.py", "genre_registry_pb2_grpc.pyi"),
    }
    assert generated == committed


def test_every_rpc_of_the_contract_is_served(server: Server) -> None:
    """An empty request is answered or refused with a reason, never UNIMPLEMENTED."""
    served = []
    with grpc.insecure_channel(server.target) as channel:
        for name, service in pb.DESCRIPTOR.services_by_name.items():
            stub = getattr(genre_registry_pb2_grpc, f"{name}Stub")(channel)
            for method in service.methods:
                request = getattr(pb, method.input_type.name)()
                try:
                    answer = getattr(stub, method.name)(
                        iter([request]) if method.client_streaming else request, timeout=5
                    )
                    if method.server_streaming:
                        next(answer)
                        answer.cancel()
                    code = grpc.StatusCode.OK
                except grpc.RpcError as refusal:
                    code = refusal.code()
                assert code in (
                    grpc.StatusCode.OK,
                    grpc.StatusCode.INVALID_ARGUMENT,
                    grpc.StatusCode.NOT_FOUND,
                ), method.name
                served.append(method.name)
    assert len(served) == 27


def test_created_is_always_set() -> None:
    """It is optional in the contract, so that false shows in JSON."""
    for message in (pb.GetOrCreateResponse, pb.ResolveTagsResponse.ResolvedGenre):
        assert message.DESCRIPTOR.fields_by_name["created"].has_presence
