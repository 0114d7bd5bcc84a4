"""
A client in a process of its own, whose clock may be wrong: names come in on standard input, and
what was answered goes out, a JSON line each. Its caller's clock says when.
"""

import json
import sys
import time

from worker_client import GenreRegistryClient, RegistryError


def main() -> None:
    print(json.dumps({"clock_s": time.time()}), flush=True)
    with GenreRegistryClient(sys.argv[1], cache_size=0) as registry:
        for line in sys.stdin:
            name, request_id = json.loads(line)
            answer: dict[str, object] = {}
            try:
                found = registry.get_or_create(name, request_id=request_id)
                answer = {
                    "genre_id": found.genre.id,
                    "created": found.created,
                    "revision": found.genre.revision,
                }
            except RegistryError as error:
                answer = {"error": type(error).__name__}
            print(json.dumps(answer), flush=True)


if __name__ == "__main__":
    main()
