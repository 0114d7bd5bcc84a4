"""
Walks and reads the folder named on the command line and writes lines, as a scan does, and
resolves nothing: what `scripts/bench` holds a scan against.
"""

import sys
from pathlib import Path

JOBS = 2


def main() -> None:
    # Here, as reading processes load this file too.
    from worker_client.scan.readers import Readers
    from worker_client.scan.reporting import track_line
    from worker_client.scan.tracks import Outcome
    from worker_client.scan.walking import audio_files

    with Readers(JOBS) as readers, Path("/dev/null").open("w", encoding="utf-8") as written:
        for tracks in readers.read(audio_files(Path(sys.argv[1]))):
            written.writelines(track_line(Outcome(track)) + "\n" for track in tracks)


if __name__ == "__main__":
    main()
