"""Page tokens: where a listing goes on, and which listing it is."""

import base64
import binascii
from dataclasses import dataclass

from registry_server.vocabulary.refusals import PageTokenInvalid

INT64_MAX = 2**63 - 1


@dataclass(frozen=True, slots=True)
class PageToken:
    """
    A listing under way.

    Opaque to callers. Source: AIP-158, pagination.

    Attributes:
        listing: Which listing, with its filters: "genres/0/0".
        after: Where its last page ended.
        key: The same, where a number is not enough.
        revision: The registry's when its first page was read.
        incarnation: The registry's.
    """

    listing: str
    after: int
    revision: int
    incarnation: str
    key: str = ""

    @classmethod
    def of(cls, text: str, listing: str) -> "PageToken":
        """
        Return the token that *text* is.

        Raises:
            PageTokenInvalid: it is none, or one of another listing.
        """
        try:
            plain = base64.b64decode(text.encode("ascii"), altchars=b"-_", validate=True)
            named, after, revision, incarnation, key = plain.decode("utf-8").split(":", 4)
            token = cls(named, int(after), int(revision), incarnation, key)
        except (ValueError, binascii.Error):
            raise PageTokenInvalid from None
        in_range = 0 <= token.after <= INT64_MAX and 0 <= token.revision <= INT64_MAX
        if str(token) != text or not in_range or token.listing != listing:
            raise PageTokenInvalid
        return token

    def __str__(self) -> str:
        plain = f"{self.listing}:{self.after}:{self.revision}:{self.incarnation}:{self.key}"
        return base64.urlsafe_b64encode(plain.encode("utf-8")).decode("ascii")
