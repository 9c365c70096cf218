"""The registry's rows: number, kind, whether the stored hash is the body's.

Usage: rows.py registry.db
"""
import hashlib, json, sqlite3, sys

registry = sqlite3.connect(f"file:{sys.argv[1]}?immutable=1", uri=True)
before = "0" * 64
for seq, stored, body in registry.execute("SELECT * FROM records ORDER BY seq"):
    record, digest = json.loads(body), hashlib.sha256(body.encode())
    holds = digest.digest() == stored and record["prev"] == before
    before = digest.hexdigest()
    print(seq, record["kind"], before, "ok" if holds else "BROKEN")
