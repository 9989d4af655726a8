"""``GET /webhooks/secret``: with what this service signs its messages."""

from __future__ import annotations

from fastapi import APIRouter, Response
from pydantic import BaseModel, Field

from app.gateway.dependencies import Reader
from app.gateway.services import Given, off_loop
from app.webhooks.messages import signing_secrets

webhooks_router = APIRouter(prefix="/webhooks", tags=["webhooks"])


class SecretView(BaseModel):
    """Keep it like a password: whoever has it can sign messages as this service does."""

    secret: str = Field(description="whsec_ and base64, as the Standard Webhooks libraries take it")


@webhooks_router.get("/secret", summary="Get the signing secret")
async def secret(services: Given, caller: Reader, response: Response) -> SecretView:
    """The secret that verifies the `webhook-signature` of messages to your jobs' webhooks."""
    configured = services.settings.webhook_secret.get_secret_value()
    found = await off_loop(signing_secrets, configured, services.store, caller.owner)
    response.headers["Cache-Control"] = "no-store"
    return SecretView(secret=found[0])
