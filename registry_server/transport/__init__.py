"""The gRPC side: bytes in, bytes out, one status for each refusal."""
