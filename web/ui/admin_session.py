"""Who may use the admin tab: whoever showed the admin token, and on a Space its owner, signed in with Hugging Face.

Every handler asks `Gate.require`; that a button is hidden protects nothing.
"""

import hashlib
import hmac
import os
import secrets
import time
from typing import Any

import gradio as gr
from gradio.utils import get_space

from web.problems import Problem
from web.services import Services

TICKET_SECONDS = 12 * 3600
# Off a Space the sign-in's session secret is a public constant: anybody could forge it.
SIGN_IN_NEEDS = ("SPACE_ID", "OAUTH_CLIENT_ID", "OAUTH_CLIENT_SECRET", "OAUTH_SCOPES", "OPENID_PROVIDER_URL")


def sign_in_offered() -> bool:
    """Only where Hugging Face has set everything that makes its sign-in a real one."""
    return get_space() is not None and all(os.environ.get(name) for name in SIGN_IN_NEEDS)


class AdminSession:
    """Exchanges the token for a ticket that the browser keeps, so that a reload does not lock the tab.

    A ticket is an expiry time signed with a secret of this process: a restart ends all of them.
    """

    def __init__(self, services: Services) -> None:
        self._services = services
        self._secret = secrets.token_bytes(32)
        self.signs_in = sign_in_offered()

    async def unlock(self, token: str, request: gr.Request) -> str:
        """The ticket for the right token. Raises Problem 401, or 429 for who guesses too often."""
        offered = {"x-admin-token": token.strip()}
        try:
            await self._services.limits.require_admin(self._services.admin, offered, _host(request))
        except Problem as problem:
            if problem.status == 401:
                raise Problem(401, problem.code, "That is not the admin token.") from None
            raise
        return self.session_token()

    def session_token(self) -> str:
        expires = str(int(time.time()) + TICKET_SECONDS)
        return f"{expires}.{self._signature(expires)}"

    def admits(self, session_token: Any, request: gr.Request) -> bool:  # noqa: ANN401 - whatever the browser kept
        """True for a ticket of ours that has not expired, and for the owner who is signed in."""
        return self._is_ours(session_token) or (self.signs_in and self._is_owner(request))

    def require(self, session_token: Any, request: gr.Request) -> None:  # noqa: ANN401
        if not self.admits(session_token, request):
            raise gr.Error("The admin tab is locked. Unlock it with the admin token.", print_exception=False)

    def _is_ours(self, session_token: Any) -> bool:  # noqa: ANN401
        expires, _, signature = session_token.partition(".") if isinstance(session_token, str) else ("", "", "")
        genuine = hmac.compare_digest(signature.encode(), self._signature(expires).encode())
        return genuine and expires.isdigit() and int(expires) > time.time()

    def _signature(self, expires: str) -> str:
        return hmac.new(self._secret, expires.encode(), hashlib.sha256).hexdigest()

    def _is_owner(self, request: gr.Request) -> bool:
        session = request.request.scope.get("session") or {} if request.request else {}
        info = session.get("oauth_info") or {}
        if float(info.get("expires_at") or 0) <= time.time():
            return False
        user = info.get("userinfo") or {}
        owner = os.environ.get("SPACE_CREATOR_USER_ID")
        named = user.get("preferred_username")
        return bool((owner and user.get("sub") == owner) or (named and named in self._services.settings.admin_users))


def _host(request: gr.Request) -> str | None:
    return request.client.host if request.client else None
