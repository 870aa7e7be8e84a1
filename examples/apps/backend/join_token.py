#!/usr/bin/env python3
"""A join token for one person and one room, with nothing but the standard library: what a backend does once somebody has logged in.

    python3 join_token.py join-keys/app-1 match-42 user-17 ana
    python3 join_token.py join-keys/app-1 match-42 user-17 ana '{"role": "moderator"}'

The first argument is the secret in base64, whose file's name is the key's id; chatd gets its directory as --join-keys-file. The last one has
further claims.
"""
import base64
import hashlib
import hmac
import json
import pathlib
import re
import sys
import time


def part(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def join_token(key_file: str, room: str, user: str, name: str, minutes: int = 10, **more: object) -> str:
    """`more`: other claims, such as a role."""
    # Whoever may choose the room must not get a token for all of them, which `*` would be.
    if not re.fullmatch("[a-z0-9]([a-z0-9._-]{0,62}[a-z0-9])?", room):
        raise ValueError(f"no id of a room: {room!r}")
    path = pathlib.Path(key_file)
    header = {"alg": "HS256", "typ": "JWT", "kid": path.name}
    # `create`: the room comes into being with the first of its people.
    claims = {"sub": user, "room": room, "name": name, "create": True, "exp": int(time.time()) + 60 * minutes, **more}
    signed = f"{part(json.dumps(header).encode())}.{part(json.dumps(claims).encode())}"
    secret = base64.b64decode(path.read_text())
    return f"{signed}.{part(hmac.new(secret, signed.encode(), hashlib.sha256).digest())}"


if __name__ == "__main__":
    if len(sys.argv) not in (5, 6):
        sys.exit(__doc__)
    print(join_token(*sys.argv[1:5], **json.loads("".join(sys.argv[5:]) or "{}")))
