"""An application in Python that logs people in with Authlib, which knows nothing
of Bitjang. Only the issuer's URL and the client are configured.

    bitjang client add "Orders" --redirect-uri http://127.0.0.1:3000/callback --logout-uri http://127.0.0.1:3000/
    pip install -r requirements.txt
    BITJANG_ISSUER=http://localhost:8080 CLIENT_ID=… CLIENT_SECRET=… uvicorn app:app --port 3000
"""

import os
import secrets
from urllib.parse import urlencode

from authlib.integrations.base_client.errors import OAuthError
from authlib.integrations.httpx_client import AsyncOAuth2Client
from authlib.integrations.starlette_client import OAuth
from fastapi import FastAPI, Request
from fastapi.responses import JSONResponse, RedirectResponse
from starlette.middleware.sessions import SessionMiddleware

ISSUER = os.environ.get("BITJANG_ISSUER", "http://localhost:8080")
BASE = f"http://127.0.0.1:{os.environ.get('PORT', '3000')}"
ORDERS_URL = os.environ.get("ORDERS_URL")

app = FastAPI()
app.add_middleware(SessionMiddleware, secret_key=secrets.token_hex(), session_cookie="app")
oauth = OAuth()
oauth.register(
    "bitjang",
    server_metadata_url=f"{ISSUER}/.well-known/openid-configuration",
    client_id=os.environ.get("CLIENT_ID"),
    client_secret=os.environ.get("CLIENT_SECRET"),
    client_kwargs={"scope": "openid email offline_access", "code_challenge_method": "S256"},
)

# Tokens stay here: the cookie of the browser only names them.
people: dict[str, dict] = {}


def person(request: Request) -> dict | None:
    return people.get(request.session.get("id", ""))


@app.exception_handler(OAuthError)
async def refused(_: Request, err: OAuthError) -> JSONResponse:
    return JSONResponse({"error": err.error, "why": err.description}, 401)


@app.get("/")
async def home(request: Request) -> dict:
    me = person(request)
    return {"user": me["user"] if me else ""}


@app.get("/login")
async def login(request: Request):
    return await oauth.bitjang.authorize_redirect(request, f"{BASE}/callback")


@app.get("/callback")
async def callback(request: Request):
    # Authlib checks state, nonce, PKCE and the ID token's signature and claims.
    token = await oauth.bitjang.authorize_access_token(request)
    request.session["id"] = secrets.token_urlsafe()
    people[request.session["id"]] = {"user": token["userinfo"]["sub"], "token": token}
    return RedirectResponse("/", 302)


@app.get("/orders")
async def orders(request: Request):
    me = person(request)
    if me is None:
        return JSONResponse({"error": "log in first"}, 401)

    async def keep(token: dict, refresh_token: str | None = None, access_token: str | None = None) -> None:
        me["token"] = {**me["token"], **token}

    metadata = await oauth.bitjang.load_server_metadata()
    client = AsyncOAuth2Client(
        os.environ.get("CLIENT_ID"),
        os.environ.get("CLIENT_SECRET"),
        token=me["token"],
        token_endpoint=metadata["token_endpoint"],
        update_token=keep,  # the library refreshes by itself, and says so
        leeway=1,
    )
    async with client:
        answer = await client.get(ORDERS_URL or metadata["userinfo_endpoint"])
    return JSONResponse(answer.json(), answer.status_code)


@app.get("/logout")
async def logout(request: Request):
    me = people.pop(request.session.pop("id", ""), None)
    metadata = await oauth.bitjang.load_server_metadata()
    query = {"id_token_hint": me["token"]["id_token"] if me else "", "post_logout_redirect_uri": f"{BASE}/"}
    return RedirectResponse(f"{metadata['end_session_endpoint']}?{urlencode(query)}", 302)
