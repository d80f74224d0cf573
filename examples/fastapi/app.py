"""A resource server in Python: every request to /orders needs an access token
from Bitjang. Only the issuer's URL is configured; keys come from there.

    pip install -r requirements.txt
    BITJANG_ISSUER=https://auth.example.com uvicorn app:app --port 3000
"""

import os
from typing import Annotated

import jwt
from fastapi import Depends, FastAPI, HTTPException
from fastapi.security import HTTPAuthorizationCredentials, HTTPBearer

ISSUER = os.environ.get("BITJANG_ISSUER", "http://localhost:8080")
AUDIENCE = os.environ.get("BITJANG_AUDIENCE", ISSUER)

keys = jwt.PyJWKClient(f"{ISSUER}/.well-known/jwks.json", lifespan=300)
bearer = HTTPBearer(auto_error=False)
app = FastAPI()


def user(credentials: Annotated[HTTPAuthorizationCredentials | None, Depends(bearer)]) -> dict:
    """The claims of the caller's access token. FastAPI runs this in a thread,
    so fetching keys blocks nobody else."""
    if credentials is None:
        raise HTTPException(401, "log in first", {"WWW-Authenticate": "Bearer"})
    try:
        header = jwt.get_unverified_header(credentials.credentials)
        # An access token says so: another kind of token must not pass.
        if header.get("typ", "").lower() not in ("at+jwt", "application/at+jwt"):
            raise jwt.InvalidTokenError("not an access token")
        key = keys.get_signing_key_from_jwt(credentials.credentials)
        return jwt.decode(
            credentials.credentials,
            key,
            algorithms=["ES256", "EdDSA", "RS256"],
            issuer=ISSUER,
            audience=AUDIENCE,
            options={"require": ["exp", "iat", "sub", "sid"]},
        )
    except jwt.PyJWKClientConnectionError as err:
        # Not the caller's fault, and no reason to log anybody out.
        raise HTTPException(503, "try again in a moment", {"Retry-After": "1"}) from err
    except (jwt.InvalidTokenError, jwt.PyJWKClientError) as err:
        raise HTTPException(401, "log in again", {"WWW-Authenticate": 'Bearer error="invalid_token"'}) from err


@app.get("/")
def ready() -> dict:
    return {"ok": True}


@app.get("/orders")
def orders(me: Annotated[dict, Depends(user)]) -> dict:
    return {"user": me["sub"], "session": me["sid"], "roles": me.get("roles", [])}
