"""An evidence bundle, read and checked by a second implementation. It follows docs/formats.md, shares no
code with Carnet, and uses nothing but Python's own library.

    scenarios/bundle.py FOLDER [FILE.vkey]     checks a bundle; exit 0 only if all of it holds
"""

import base64
import hashlib
import json
import pathlib
import sys


class Refused(Exception):
    """What is wrong with a bundle."""


def want(holds, message):
    if not holds:
        raise Refused(message)


def sha(data):
    return hashlib.sha256(data).hexdigest()


# --- byte forms ---------------------------------------------------------------------------------


def strict(data):
    """JSON in which no key stands twice."""

    def members(pairs):
        found = dict(pairs)
        want(len(found) == len(pairs), "a key stands twice")
        return found

    try:
        return json.loads(data, object_pairs_hook=members)
    except ValueError as error:
        raise Refused(f"not JSON: {error}") from error


def pretty(value):
    return (json.dumps(value, indent=2, sort_keys=True, ensure_ascii=False) + "\n").encode()


def compact(value):
    """RFC 8785, for what bundles hold: no fractions, and names in ASCII."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode()


def canonical(event):
    """The form that is hashed, by the event's own profile."""
    profile = event["hash_profile_id"]
    want(profile in ("ecs-hash-v1", "rfc8785-sha256-v1"), f"hash profile {profile}")
    plain = profile == "ecs-hash-v1"
    key = None if plain else lambda pair: pair[0].encode("utf-16-be")

    def ordered(value):
        if isinstance(value, dict):
            return {name: ordered(item) for name, item in sorted(value.items(), key=key)}
        return [ordered(item) for item in value] if isinstance(value, list) else value

    return json.dumps(ordered(event), separators=(",", ":"), ensure_ascii=plain).encode()


def document(folder, name):
    data = (folder / name).read_bytes()
    found = strict(data)
    want(pretty(found) == data, f"{name} is not in its byte form")
    return found


def lines(folder, name):
    data = (folder / name).read_bytes()
    want(data.endswith(b"\n"), f"{name} does not end with a line")
    return data[:-1].split(b"\n")


# --- the tree of RFC 6962 -----------------------------------------------------------------------


def leaf(data):
    return hashlib.sha256(b"\0" + data).digest()


def node(left, right):
    return hashlib.sha256(b"\1" + left + right).digest()


def cover(begin, end):
    """The fewest whole subtrees over these leaves, from left to right: (level, index)."""
    while begin < end:
        level = ((begin & -begin) or 1 << 62).bit_length() - 1
        while begin + (1 << level) > end:
            level -= 1
        yield level, begin >> level
        begin += 1 << level


def root(nodes):
    """The root over (level, index, hash) that stand side by side and begin at 0."""
    held = []
    for level, index, value in nodes:
        while held and held[-1][0] == level and held[-1][1] % 2 == 0 and held[-1][1] + 1 == index:
            value = node(held.pop()[2], value)
            level, index = level + 1, index // 2
        held.append((level, index, value))
    if not held:
        return hashlib.sha256(b"").digest()
    value = held.pop()[2]
    while held:
        value = node(held.pop()[2], value)
    return value


def segment_root(proof, leaves):
    """The root of the whole log that holds these leaves at their place."""
    size, begin, end = proof["size"], proof["from"], proof["to"]
    want(0 <= begin <= end <= size and end - begin == len(leaves), "the segment proof is for other events")
    left, right = list(cover(0, begin)), list(cover(end, size))
    want(len(left) == len(proof["left"]), "the segment proof has another number of hashes")
    want(len(right) == len(proof["right"]), "the segment proof has another number of hashes")
    nodes = [(*place, bytes.fromhex(value)) for place, value in zip(left, proof["left"])]
    nodes += [(0, begin + number, value) for number, value in enumerate(leaves)]
    nodes += [(*place, bytes.fromhex(value)) for place, value in zip(right, proof["right"])]
    return root(nodes)


def included(index, size, value, proof):
    """RFC 9162, section 2.1.3.2."""
    want(index < size, "an inclusion proof for an event behind the end")
    position, last = index, size - 1
    for sibling in proof:
        want(last > 0, "an inclusion proof with too many hashes")
        if position & 1 or position == last:
            value = node(sibling, value)
            while not position & 1 and position:
                position, last = position >> 1, last >> 1
        else:
            value = node(value, sibling)
        position, last = position >> 1, last >> 1
    want(last == 0, "an inclusion proof with too few hashes")
    return value


def consistent(old, old_root, new, new_root, proof):
    """RFC 9162, section 2.1.4.2."""
    want(0 < old <= new, "a consistency proof of no sizes")
    if old == new:
        return not proof and old_root == new_root
    if old & (old - 1) == 0:
        proof = [old_root, *proof]
    want(proof, "a consistency proof without hashes")
    position, last = old - 1, new - 1
    while position & 1:
        position, last = position >> 1, last >> 1
    first = second = proof[0]
    for value in proof[1:]:
        want(last > 0, "a consistency proof with too many hashes")
        if position & 1 or position == last:
            first, second = node(value, first), node(value, second)
            while not position & 1 and position:
                position, last = position >> 1, last >> 1
        else:
            second = node(second, value)
        position, last = position >> 1, last >> 1
    return last == 0 and first == old_root and second == new_root


# --- Ed25519 (RFC 8032), slow and plain -----------------------------------------------------------

P = 2**255 - 19
ORDER = 2**252 + 27742317777372353535851937790883648493
D = -121665 * pow(121666, P - 2, P) % P


def add(a, b):
    x1, y1, z1, t1 = a
    x2, y2, z2, t2 = b
    e, f = (y1 - x1) * (y2 - x2) % P, (y1 + x1) * (y2 + x2) % P
    g, h = 2 * t1 * t2 * D % P, 2 * z1 * z2 % P
    e, f, g, h = f - e, h - g, h + g, f + e
    return e * f % P, g * h % P, f * g % P, e * h % P


def times(number, point):
    found = (0, 1, 1, 0)
    while number:
        if number & 1:
            found = add(found, point)
        point, number = add(point, point), number >> 1
    return found


def point(data):
    y = int.from_bytes(data, "little")
    sign, y = y >> 255, y & (2**255 - 1)
    square = (y * y - 1) * pow(D * y * y + 1, P - 2, P) % P
    x = pow(square, (P + 3) // 8, P)
    if (x * x - square) % P:
        x = x * pow(2, (P - 1) // 4, P) % P
    want(y < P and (x * x - square) % P == 0, "no point of the curve")
    x = P - x if x & 1 != sign else x
    return x, y, 1, x * y % P


BASE = point((4 * pow(5, P - 2, P) % P).to_bytes(32, "little"))


def signed(public, message, signature):
    if len(signature) != 64:
        return False
    number = int.from_bytes(signature[32:], "little")
    if number >= ORDER:
        return False
    mixed = hashlib.sha512(signature[:32] + public + message).digest()
    challenge = int.from_bytes(mixed, "little") % ORDER
    left, right = times(number, BASE), add(point(signature[:32]), times(challenge, point(public)))
    return all((left[i] * right[2] - right[i] * left[2]) % P == 0 for i in (0, 1))


class Key:
    """A vkey: `<name>+<8 hex>+<base64(0x01 ‖ public key)>`."""

    def __init__(self, text):
        self.name, number, material = text.strip().split("+", 2)
        self.key_id = f"{self.name}+{number}"
        material = base64.b64decode(material, validate=True)
        want(material[:1] == b"\1" and len(material) == 33, "not an Ed25519 key")
        want(sha(self.name.encode() + b"\n" + material)[:8] == number, "the key has another hash")
        self.number, self.public = bytes.fromhex(number), material[1:]

    def signed(self, message, text):
        return signed(self.public, message, base64.b64decode(text, validate=True))


def checkpoint(data, key):
    """A signed note: (origin, size, root)."""
    text, _, under = data.decode().rpartition("\n\n")
    origin, size, value = text.split("\n")[:3]
    if key:
        found = [line.split(" ") for line in under.splitlines()]
        found = [base64.b64decode(line[2], validate=True) for line in found if line[1] == key.name]
        ours = [signature[4:] for signature in found if signature[:4] == key.number]
        want(ours, "the checkpoint is not signed by this key")
        message = (text + "\n").encode()
        want(all(signed(key.public, message, one) for one in ours), "the checkpoint's signature is bad")
    return origin, int(size), base64.b64decode(value, validate=True)


# --- the checks -----------------------------------------------------------------------------------


def check_files(folder, manifest):
    listed = manifest["carnet"]["files"]
    there = sorted(str(p.relative_to(folder)) for p in folder.rglob("*") if not p.is_dir())
    want(not any(p.is_symlink() for p in folder.rglob("*")), "a link")
    want([entry["path"] for entry in listed] == sorted(set(there) - {"manifest.json"}), f"files: {there}")
    for entry in listed:
        data = (folder / entry["path"]).read_bytes()
        held = {"bytes": len(data), "path": entry["path"], "sha256": sha(data)}
        want(held == entry, f"{entry['path']} is not what the manifest names")


def check_manifest_signature(manifest, key):
    unsigned = {name: value for name, value in manifest.items() if name != "signatures"}
    ours = [entry for entry in manifest["signatures"] if entry["key_id"] == key.key_id]
    want(len(ours) == 1, "the manifest is not signed by this key")
    want(key.signed(compact(unsigned), ours[0]["signature"]), "the manifest's signature is bad")


def check_events(folder, manifest):
    """Each event, and its link. Gives them as (bytes, event)."""
    scope = manifest["scope"]
    found, previous = [], None
    for place, data in enumerate(lines(folder, "events.jsonl")):
        sequence = scope["from_sequence"] + place
        event = strict(data)
        want(event["sequence"] == sequence, f"event {sequence} has the number {event['sequence']}")
        want(event["chain_id"] == manifest["chain_id"], f"event {sequence} is of another log")
        want(event["hash_profile_id"] == manifest["hash_profile_id"], f"event {sequence}: hash profile")
        want(event["evidence_profile_id"] == manifest["evidence_profile_id"], f"event {sequence}: profile")
        want(canonical(event) == data, f"event {sequence} is not in its canonical form")
        content = {name: value for name, value in event.items() if name != "event_hash"}
        want(sha(canonical(content)) == event["event_hash"], f"event {sequence} has another hash")
        if place:
            want(event.get("prev_hash") == previous, f"event {sequence} does not follow on the one before")
        want(("prev_hash" in event) == (sequence > 0), f"event {sequence}: the beginning of a log")
        previous = event["event_hash"]
        found.append((data, event))
    want(scope["to_sequence"] == scope["from_sequence"] + len(found) - 1, "the end is cut off")
    own = manifest["carnet"]
    want(own["last_event_hash"] == previous, "the last event is another one")
    counts = own["counts"]
    refusals = sum(event["outcome"] == "refused" for _, event in found)
    want((counts["events"], counts["refusals"]) == (len(found), refusals), "other counts")
    return found


def check_segment(folder, manifest, events, key):
    """`chain-segment.json`, made again byte for byte."""
    joined = sha("\n".join(event["event_hash"] for _, event in events).encode())
    want(manifest["bundle_hash"] == f"sha256:{joined}", "the bundle hash is another one")
    data = (folder / "chain-segment.json").read_bytes()
    given = strict(data)
    first, last = manifest["scope"]["from_sequence"], manifest["scope"]["to_sequence"]
    rest = {
        "evidence_profile_id": manifest["evidence_profile_id"],
        "from_sequence": first,
        "segment_hash": f"sha256:{joined}",
        "segment_id": f"seg-{first}-{last}",
        "tenant_id": manifest["tenant_id"],
        "to_sequence": last,
    }
    if "signature" in given:
        rest["signature"] = given["signature"]
        if key:
            message = f"carnet/segment/v1\n{joined}".encode()
            want(key.signed(message, given["signature"]), "the segment's signature is bad")
    want(("signature" in given) == bool(manifest["signatures"]), "only one of manifest and segment is signed")
    entries = [
        compact(
            {
                "event_hash": event["event_hash"],
                "event_ref": f"eosc://evidence/sha256:{sha(stored)}",
                "evidence_profile_id": event["evidence_profile_id"],
                "id": event["id"],
                "prev_hash": event.get("prev_hash"),
                "sequence": event["sequence"],
            }
        )
        for stored, event in events
    ]
    made = b'{\n  "algorithm": "sha256",\n  "events": [\n    ' + b",\n    ".join(entries) + b"\n  ],"
    want(data == made + pretty(rest)[1:], "chain-segment.json says something else")
    want(manifest["chain_segment_ref"] == f"eosc://evidence/chain/sha256:{sha(data)}", "another segment")


def check_documents(folder, manifest):
    same = ["evidence_profile_id", "hash_profile_id", "profile_version", "producer_identity", "verifier_expectations_ref"]
    want(manifest["profile_version"] == manifest["schema_version"] == "1.0", "another version")
    want(manifest["carnet"]["format"] == "carnet-evidence-bundle-1", "another format")
    joined = "sha256(newline-joined event_hash values)"
    inputs = {name: manifest[name] for name in [*same, "chain_id", "chain_segment_ref"]}
    inputs |= manifest["scope"] | {"segment_hash_method": joined, "bundle_hash_method": joined}
    inputs["event_hash_method"] = "sha256(canonical_json(event) without event_hash)"
    if "trust_services" in manifest:
        inputs["trust_services"] = manifest["trust_services"]
    want(document(folder, "verifier-inputs.json") == inputs, "verifier-inputs.json says something else")
    claim = document(folder, "profile-claim.json")
    want({name: claim[name] for name in same} == {name: manifest[name] for name in same}, "another claim")
    want(manifest["evidence_profile_id"] in claim["implements"]["evidence_profiles"], "not claimed")


def pointers(event):
    return [event[name].rsplit(":", 1)[1] for name in ("evidence_pointer", "policy_snapshot_id", "authority_snapshot_id")]


def check_objects(folder, manifest, events):
    held, offsets, last = set(), {}, ""
    for line in lines(folder, "artifacts/index.jsonl"):
        entry = strict(line)
        want(compact(entry) == line and set(entry) == {"bytes", "offset", "pack", "sha256"}, "a line of the index")
        want(entry["sha256"] > last, "the index is not in order")
        last = entry["sha256"]
        want(entry["offset"] == offsets.get(entry["pack"], 0), "an object is not where the one before ends")
        with open(folder / entry["pack"], "rb") as pack:
            pack.seek(entry["offset"])
            want(sha(pack.read(entry["bytes"])) == last, f"the object {last} has other bytes")
        offsets[entry["pack"]] = entry["offset"] + entry["bytes"]
        held.add(last)
    for name, size in offsets.items():
        want((folder / name).stat().st_size == size, f"{name} holds more than the index says")
    named = {pointer for _, event in events for pointer in pointers(event)}
    if (folder / "keys/succession.jsonl").exists():
        for line in lines(folder, "keys/succession.jsonl"):
            named |= set(pointers(json.loads(strict(line)["event"])))
    want(named == held, f"pointers and objects differ: {sorted(named ^ held)}")
    want(manifest["carnet"]["counts"]["objects"] == len(held), "another number of objects")
    snapshots = manifest["artifacts"]
    for name, member in (("policy_snapshots", "policy_snapshot_id"), ("authority_bindings", "authority_snapshot_id")):
        distinct = sorted({event[member].rsplit(":", 1)[1] for _, event in events})
        want(snapshots[name] == [f"eosc://artifact/sha256:{digest}" for digest in distinct], f"other {name}")
    files = ["artifacts/index.jsonl", *(f"artifacts/pack-{number}" for number in range(len(offsets)))]
    refs = [f"eosc://artifact/sha256:{sha((folder / name).read_bytes())}" for name in files]
    want(snapshots["evidence_artifacts"] == refs, "other evidence artifacts")


def check_tree(folder, manifest, events, key):
    own = manifest["carnet"]
    size, whole = own["tree"]["size"], bytes.fromhex(own["tree"]["root"])
    leaves = [leaf(stored) for stored, _ in events]
    alone = root((0, number, value) for number, value in enumerate(leaves))
    want(alone.hex() == own["segment_root"], "the events have another root")
    proof = document(folder, "proofs/segment.json")
    scope = manifest["scope"]
    want((proof["from"], proof["to"]) == (scope["from_sequence"], scope["to_sequence"] + 1), "another segment proof")
    want(proof["size"] == size and segment_root(proof, leaves) == whole, "the events are not in the tree")
    if (folder / "checkpoint").exists():
        signed_as = checkpoint((folder / "checkpoint").read_bytes(), key)
        want(signed_as == (f"carnet/{manifest['chain_id']}", size, whole), "the checkpoint is of another tree")
    want((folder / "checkpoint").exists() == bool(manifest["signatures"]), "only one of manifest and tree is signed")
    if (folder / "proofs/consistency.json").exists():
        proof = document(folder, "proofs/consistency.json")
        old, new = proof["old"], proof["new"]
        want(new == own["tree"], "a consistency proof of another tree")
        before = checkpoint((folder / "proofs/previous-checkpoint").read_bytes(), key)
        old_root = bytes.fromhex(old["root"])
        want(before[1:] == (old["size"], old_root), "a consistency proof from another checkpoint")
        hashes = [bytes.fromhex(value) for value in proof["hashes"]]
        want(consistent(old["size"], old_root, size, whole, hashes), "the log is not a continuation")
    if (folder / "keys/succession.jsonl").exists():
        for line in lines(folder, "keys/succession.jsonl"):
            entry = strict(line)
            hashes = [bytes.fromhex(value) for value in entry["hashes"]]
            found = included(entry["index"], size, leaf(entry["event"].encode()), hashes)
            want(compact(entry) == line and found == whole, "a change of the key is not in the tree")
    if (folder / "tile").exists():
        check_tiles(folder / "tile", leaves, [stored for stored, _ in events])


def tile_name(number):
    parts = [f"{number % 1000:03}"]
    while number := number // 1000:
        parts.insert(0, f"x{number % 1000:03}")
    return "/".join(parts)


def check_tiles(folder, leaves, events):
    """All tiles, made again."""
    made, level, hashes = {}, 0, leaves
    for first in range(0, len(events), 256):
        some = events[first : first + 256]
        end = "" if len(some) == 256 else f".p/{len(some)}"
        made[f"entries/{tile_name(first // 256)}{end}"] = b"".join(len(e).to_bytes(2, "big") + e for e in some)
    while hashes:
        above = []
        for first in range(0, len(hashes), 256):
            some = hashes[first : first + 256]
            end = "" if len(some) == 256 else f".p/{len(some)}"
            made[f"{level}/{tile_name(first // 256)}{end}"] = b"".join(some)
            if len(some) == 256:
                above.append(root((0, number, value) for number, value in enumerate(some)))
        level, hashes = level + 1, above
    held = {str(p.relative_to(folder)): p.read_bytes() for p in folder.rglob("*") if p.is_file()}
    want(held == made, f"other tiles: {sorted(held.keys() ^ made.keys())}")


def check(folder, key=None):
    """The whole bundle; raises `Refused`. Without a key, signatures are not checked. Gives the manifest."""
    folder = pathlib.Path(folder)
    try:
        manifest = document(folder, "manifest.json")
        check_files(folder, manifest)
        if key:
            check_manifest_signature(manifest, key)
        check_documents(folder, manifest)
        events = check_events(folder, manifest)
        check_segment(folder, manifest, events, key)
        check_objects(folder, manifest, events)
        check_tree(folder, manifest, events, key)
    except (KeyError, TypeError, ValueError, IndexError, OSError) as error:
        raise Refused(f"not in its form: {error!r}") from error
    return manifest


if __name__ == "__main__":
    try:
        its_key = Key(pathlib.Path(sys.argv[2]).read_text()) if len(sys.argv) > 2 else None
        found = check(sys.argv[1], its_key)
    except Refused as refused:
        sys.exit(f"REFUSED: {refused}")
    print(f"holds: {found['carnet']['counts']['events']} events, signatures {'checked' if its_key else 'NOT checked'}")
