#!/usr/bin/env python3
"""Makes ../common.txt, the sorted list of common passwords that Common searches.

    npm pack @zxcvbn-ts/language-common@4.1.3
    tar xzf zxcvbn-ts-language-common-4.1.3.tgz
    python3 make_common.py package/src/passwords.json > ../common.txt

Shorter passwords are left out: no policy of ours ever accepts one.
"""
import json
import sys

SHORTEST = 8

with open(sys.argv[1], encoding="utf-8") as f:
    words = {word.lower() for word in json.load(f)}
sys.stdout.reconfigure(encoding="utf-8", newline="\n")
for word in sorted((w for w in words if len(w) >= SHORTEST), key=str.encode):
    print(word)
