"""The account that writes what a machine decided."""

import hashlib
import hmac
import secrets
from contextlib import suppress

from common.contract import MACHINE_ACCOUNT
from common.errors import LabelStudioError, LostAnswerError
from common.label_studio.annotations import accounts_named
from consensus.label_studio import Studio


def machine_account(studio: Studio) -> int:
    """Return the id of the machine account; where there is none yet, it is made through the invite link.

    Raises
    ------
    LabelStudioError
        Where it cannot be made.
    """
    number = _number(studio)
    if number is None:
        with suppress(LostAnswerError):
            studio.client.make_account(MACHINE_ACCOUNT, machine_password(studio))
        number = _number(studio)
    if number is None:
        raise LabelStudioError(
            f"the account {MACHINE_ACCOUNT}, which writes what a machine decided, could not be made through the "
            "invite link; invite that address by hand (Organization, Add People), or let the administrator of "
            "Label Studio allow it"
        )
    return number


def machine_password(studio: Studio) -> str:
    """Return the password that the machine account is made with: it follows from our key and is kept nowhere."""
    if not studio.secret:
        return secrets.token_urlsafe(24)
    return hmac.new(studio.secret.encode(), f"password of {MACHINE_ACCOUNT}".encode(), hashlib.sha256).hexdigest()


def _number(studio: Studio) -> int | None:
    return accounts_named([MACHINE_ACCOUNT], studio.accounts())[MACHINE_ACCOUNT]
