"""The tree of the registry, from proof.json: RFC 9162, section 2.1.3.2.

Usage: tree.py proof.json
"""
import base64, hashlib, json, sys

def sha(data):
    return hashlib.sha256(data).digest()

proof = json.load(open(sys.argv[1]))
size = int(proof["checkpoint"].split("\n")[1])
root = base64.b64decode(proof["checkpoint"].split("\n")[2])
node, last = proof["index"], size - 1
assert proof["size"] == size and node <= last
value = sha(b"\x00" + proof["body"].encode())
for sibling in map(bytes.fromhex, proof["path"]):
    assert last > 0
    if node & 1 or node == last:
        value = sha(b"\x01" + sibling + value)
        while not node & 1 and node:
            node, last = node >> 1, last >> 1
    else:
        value = sha(b"\x01" + value + sibling)
    node, last = node >> 1, last >> 1
print("included" if last == 0 and value == root else "NOT INCLUDED")
