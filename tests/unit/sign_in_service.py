"""A real, small OpenID provider for tests: Authlib's server on a port of its own.

It signs people in without asking (`person` says whom), demands PKCE and the client's secret, and
can be made to misbehave in its tokens.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from authlib.integrations.flask_oauth2 import AuthorizationServer
from authlib.oauth2.rfc6749 import AuthorizationCodeMixin, ClientMixin, grants
from authlib.oauth2.rfc7636 import CodeChallenge
from authlib.oidc.core import UserInfo
from authlib.oidc.core.grants import OpenIDCode
from flask import Flask, jsonify, request
from joserfc.jwk import KeySet, RSAKey
from werkzeug.serving import make_server

CLIENT, SECRET = "koppel", "a-secret-of-the-client"


class TheClient(ClientMixin):  # type: ignore[misc]
    """Koppel, as the provider knows it."""

    def get_client_id(self) -> str:
        return CLIENT

    def get_default_redirect_uri(self) -> str:
        return "http://127.0.0.1/login/provider/back"

    def get_allowed_scope(self, scope: str) -> str:
        return scope

    def check_redirect_uri(self, redirect_uri: str) -> bool:
        return redirect_uri == self.get_default_redirect_uri()

    def check_client_secret(self, client_secret: str) -> bool:
        return client_secret == SECRET

    def check_endpoint_auth_method(self, method: str, endpoint: str) -> bool:
        return method == "client_secret_basic"

    def check_response_type(self, response_type: str) -> bool:
        return response_type == "code"

    def check_grant_type(self, grant_type: str) -> bool:
        return grant_type == "authorization_code"


@dataclass
class Code(AuthorizationCodeMixin):  # type: ignore[misc]
    """A code that was given out."""

    code: str
    redirect_uri: str
    scope: str
    nonce: str
    code_challenge: str
    code_challenge_method: str
    person: dict[str, Any]

    def get_redirect_uri(self) -> str:
        return self.redirect_uri

    def get_scope(self) -> str:
        return self.scope

    def get_nonce(self) -> str:
        return self.nonce

    def get_auth_time(self) -> int:
        return int(time.time())

    def get_acr(self) -> None:
        return None

    def get_amr(self) -> None:
        return None


@dataclass
class Service:
    """The provider; `wrong` replaces claims of its tokens, `forge` signs with an unknown key."""

    url: str = ""
    person: dict[str, Any] = field(default_factory=dict)
    wrong: dict[str, Any] = field(default_factory=dict)
    forge: bool = False
    codes: dict[str, Code] = field(default_factory=dict)
    asked: list[dict[str, str]] = field(default_factory=list)
    keys: KeySet = field(
        default_factory=lambda: KeySet([RSAKey.generate_key(2048, {"kid": "1", "use": "sig"})])
    )

    def app(self) -> Flask:
        service = self
        app = Flask("sign_in_service")
        server = AuthorizationServer(app, lambda name: TheClient() if name == CLIENT else None, _no)

        class Grant(grants.AuthorizationCodeGrant):  # type: ignore[misc]
            def save_authorization_code(self, code: str, asked: Any) -> None:
                told = asked.payload.data
                service.asked.append(dict(told))
                service.codes[code] = Code(
                    code,
                    asked.payload.redirect_uri,
                    asked.payload.scope,
                    told.get("nonce", ""),
                    told["code_challenge"],
                    told["code_challenge_method"],
                    asked.user,
                )

            def query_authorization_code(self, code: str, client: Any) -> Code | None:
                return service.codes.get(code)

            def delete_authorization_code(self, authorization_code: Code) -> None:
                del service.codes[authorization_code.code]

            def authenticate_user(self, authorization_code: Code) -> dict[str, Any]:
                return authorization_code.person

        class Identity(OpenIDCode):  # type: ignore[misc]
            def exists_nonce(self, nonce: str, asked: Any) -> bool:
                return any(one.nonce == nonce for one in service.codes.values())

            def resolve_client_private_key(self, client: Any) -> KeySet:
                if service.forge:
                    return KeySet([RSAKey.generate_key(2048, {"kid": "1"})])
                return service.keys

            def get_client_claims(self, client: Any) -> dict[str, Any]:
                return {"iss": service.url, "aud": [CLIENT]}

            def get_encode_header(self, client: Any) -> dict[str, Any]:
                return {"alg": "RS256", "kid": "1"}

            def generate_user_info(self, user: Any, scope: str) -> UserInfo:
                return UserInfo({**user, **service.wrong})

        server.register_grant(Grant, [CodeChallenge(required=True), Identity(require_nonce=True)])

        @app.get("/.well-known/openid-configuration")
        def configuration() -> Any:
            return jsonify(
                issuer=service.url,
                authorization_endpoint=f"{service.url}/authorize",
                token_endpoint=f"{service.url}/token",
                jwks_uri=f"{service.url}/keys",
                response_types_supported=["code"],
                subject_types_supported=["public"],
                id_token_signing_alg_values_supported=["RS256", "HS256", "none"],
                code_challenge_methods_supported=["S256"],
            )

        @app.get("/keys")
        def keys() -> Any:
            return jsonify(service.keys.as_dict(private=False))

        @app.get("/authorize")
        def authorize() -> Any:
            grant = server.get_consent_grant(end_user=service.person or None)
            return server.create_authorization_response(
                grant_user=service.person or None, grant=grant
            )

        @app.post("/token")
        def token() -> Any:
            return server.create_token_response(request)

        return app


def _no(token: Any, asked: Any) -> None:
    """Access tokens are of no use here; none is kept."""


@contextmanager
def running() -> Iterator[Service]:
    """The provider on a free port of this machine."""
    service = Service()
    server = make_server("127.0.0.1", 0, service.app(), threaded=True)
    service.url = f"http://127.0.0.1:{server.port}"
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield service
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
