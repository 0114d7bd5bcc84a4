"""What operators call, for plain worker processes."""

from collections.abc import Generator, Iterable
from typing import Any

from worker_client import _operation_calls
from worker_client._connection import Connection
from worker_client._transfer_values import Backup, ImportProgress
from worker_client._values import ImportedPack


class Operations(Connection):
    """Newer packs, and everything that a registry holds, out and in."""

    def import_pack(
        self, pack: str, documents: Iterable[bytes], *, deadline_s: float | None = None
    ) -> ImportedPack:
        """
        Give the registry a newer version of a reference pack, for good.

        Genres that are there gain what it knows of them; none is renamed or merged. What
        was not answered in time may have been taken in all the same: to repeat it is safe.

        Args:
            pack: Its name ("musicbrainz").
            documents: Every page that MusicBrainz's web service answered to
                genre/all?fmt=json, as it came, in any order; together less than 4 MiB.

        Raises:
            InvalidRequest: there is no such pack (PACK_UNKNOWN), or the documents are not
                the whole of one (PACK_INVALID); nothing was changed.
            StorageFull: the registry's disk is full; nothing was changed.
        """
        return self._call(_operation_calls.import_pack(pack, documents), deadline_s)

    def backup(self, target: str, *, deadline_s: float | None = None) -> Backup:
        """
        Have the server copy its registry to a file on its own machine, and verify it.

        Everybody goes on meanwhile. Nothing is replaced; a backup that fails leaves nothing.

        Args:
            target: An absolute path there: a file that does not exist, or a folder, in which
                the backup is named by the time and its revision.
            deadline_s: Instead of the profile's `transfer_s`.

        Raises:
            InvalidRequest: the target is no absolute path (BACKUP_TARGET_INVALID).
            BackupRefused: there is no backup; `reason` says why.
        """
        return self._call(_operation_calls.backup(target), deadline_s)

    def export_records(
        self, *, deadline_s: float | None = None
    ) -> Generator[dict[str, Any], None, None]:
        """
        Give everything that the registry holds as of one revision, a record at a time.

        A record is what one line of an export holds: a dict of plain values with one key,
        its kind, the registry's own record first. To close what this returns ends the call.

        Args:
            deadline_s: From the first record to the last, instead of the profile's
                `transfer_s`.
        """
        for records in self._stream(_operation_calls.export(), deadline_s):
            yield from records

    def import_records(
        self,
        records: Iterable[dict[str, Any]],
        *,
        validate_only: bool = False,
        keep_ids: bool = False,
        deadline_s: float | None = None,
    ) -> Generator[ImportProgress, None, None]:
        """
        Take in *records*, and tell how far that is: the work is done as this is iterated.

        A whole export makes an empty registry the same one, in one transaction. Otherwise
        genres are taken in by name: what is there is kept, what is missing is added. To
        import again changes nothing, so that an import which was cut short is repeated.

        Args:
            records: As `export_records` gives them, or some of their "genre" records made
                elsewhere. Taken in a thread of its own, as they are wanted.
            validate_only: Tell what would come of it, and change nothing.
            keep_ids: Give every genre the id of its record, in an empty registry.
            deadline_s: For all of it, instead of the profile's `transfer_s`.

        Raises:
            InvalidRequest: a record is wrong (RECORD_INVALID); `field` says which and where,
                from 0. What was taken in before stays, if the registry was not empty.
            CurationRefused: REGISTRY_NOT_EMPTY, for *keep_ids*.
            StorageFull: the registry's disk is full.
            Exception: whatever *records* raised; nothing more is sent then.
        """
        requests = _operation_calls.import_requests(
            records, validate_only=validate_only, keep_ids=keep_ids
        )
        return self._stream(_operation_calls.import_records(requests), deadline_s)
