#!/usr/bin/env python3
"""Writes python.json: password hashes made by the Python programs people import users from.

    python3 -m venv v
    v/bin/pip install django==5.2.19 argon2-cffi==25.1.0 bcrypt==4.3.0 passlib==1.7.4
    v/bin/python make_vectors.py > python.json

bcrypt stays below 5 on purpose: 5 refuses a password of more than 72 bytes, while the hashes in
people's databases were made by versions that cut it off, and those are what has to verify.
"""
import json
import sys
from importlib.metadata import version

import argon2
import bcrypt
import django
from django.conf import settings
from passlib.hash import scrypt as passlib_scrypt

settings.configure()
django.setup()
from django.contrib.auth import hashers  # noqa: E402  (needs the settings above)

PLAIN = "correct horse battery staple"
KOREAN = "비밀번호 пароль 🔑 naïve"
LONG = "0123456789abcdef" * 4 + "01234567" + " these bytes lie beyond bcrypt's limit"
PASSWORDS = [PLAIN, KOREAN, LONG]
LONG_KOREAN = "a" + "빗장 " * 12  # its 72nd byte lies inside a character
vectors = []


def add(made_with, scheme, password, encoded):
    vectors.append({"made_with": made_with, "scheme": scheme, "password": password, "encoded": encoded})


def add_django():
    made_with = "django " + version("django")
    for cls in (
        hashers.PBKDF2PasswordHasher,
        hashers.PBKDF2SHA1PasswordHasher,
        hashers.Argon2PasswordHasher,
        hashers.BCryptSHA256PasswordHasher,
        hashers.BCryptPasswordHasher,
        hashers.ScryptPasswordHasher,
    ):
        for i, password in enumerate(PASSWORDS):
            hasher = cls()
            hasher.iterations, hasher.rounds = 100_000, 4  # a tenth and less of Django's own, for quick tests
            if i > 0:  # one of each is at Django's own memory
                hasher.iterations, hasher.memory_cost, hasher.work_factor = 1000, 1024, 64
            encoded = hasher.encode(password, hasher.salt())
            assert hasher.verify(password, encoded)
            add(made_with, hasher.algorithm, password, encoded)


def add_argon2_cffi():
    made_with = "argon2-cffi " + version("argon2-cffi")
    for kind in (argon2.Type.ID, argon2.Type.I):
        for i, password in enumerate(PASSWORDS):
            cost = {} if i == 0 else {"memory_cost": 256, "parallelism": i, "hash_len": 16 * i}
            hasher = argon2.PasswordHasher(type=kind, **cost)
            add(made_with, "argon2" + kind.name.lower(), password, hasher.hash(password))


def add_bcrypt():
    made_with = "bcrypt " + version("bcrypt")
    for prefix in (b"2a", b"2b"):
        for password in PASSWORDS:
            encoded = bcrypt.hashpw(password.encode(), bcrypt.gensalt(4, prefix))
            add(made_with, "bcrypt", password, encoded.decode())
            if prefix == b"2b":
                php = encoded.decode().replace("$2b$", "$2y$")
                add(made_with + ", renamed as PHP writes it", "bcrypt", password, php)
    assert bcrypt.checkpw(LONG.encode()[:72], encoded)
    add(made_with, "bcrypt", LONG[:72] + " and another tail", encoded.decode())
    add(made_with, "bcrypt", LONG_KOREAN, bcrypt.hashpw(LONG_KOREAN.encode(), bcrypt.gensalt(4)).decode())
    add(made_with, "bcrypt", "", bcrypt.hashpw(b"", bcrypt.gensalt(4)).decode())


def add_passlib():
    made_with = "passlib " + version("passlib")
    for i, password in enumerate(PASSWORDS):
        hasher = passlib_scrypt.using(rounds=14 - 4 * i, block_size=8 >> i, parallelism=i + 1)
        add(made_with, "scrypt", password, hasher.hash(password))


add_django()
add_argon2_cffi()
add_bcrypt()
add_passlib()
json.dump(vectors, sys.stdout, ensure_ascii=False, indent=1)
print()
