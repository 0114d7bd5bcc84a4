"""Page tokens: where a listing goes on, and which listing it is."""

import base64
import binascii
from dataclasses import dataclass

from registry_server.vocabulary.refusals import PageTokenInvalid

INT64_MAX = 2**63 - 1


@dataclass(frozen=True, slots=True)
class PageToken:
    """
    A listing under way: the last id it gave, and the state its first page was read at.

    Opaque to callers. Source: AIP-158, pagination.
    """

    after_id: int
    revision: int
    incarnation: str

    @classmethod
    def of(cls, text: str) -> "PageToken":
        """
        Return the token that *text* is.

        Raises:
            PageTokenInvalid: it is none.
        """
        try:
            plain = base64.b64decode(text.encode("ascii"), altchars=b"-_", validate=True)
            after_id, revision, incarnation = plain.decode("ascii").split(":")
            token = cls(int(after_id), int(revision), incarnation)
        except (ValueError, binascii.Error):
            raise PageTokenInvalid from None
        in_range = 0 <= token.after_id <= INT64_MAX and 0 <= token.revision <= INT64_MAX
        if str(token) != text or not in_range:
            raise PageTokenInvalid
        return token

    def __str__(self) -> str:
        plain = f"{self.after_id}:{self.revision}:{self.incarnation}"
        return base64.urlsafe_b64encode(plain.encode("ascii")).decode("ascii")
