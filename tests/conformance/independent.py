#!/usr/bin/env python3
"""Checks vectors with code written from spec/ alone: no line of it comes from the Rust implementation.

Usage: python3 tests/conformance/independent.py        (from anywhere; Python 3.9 or later, nothing to install)
Covers: ids, clocks, keys, signatures, envelopes, leases, forgetting, merge order, set keys, fingerprints, ranges and
their answers, invite codes, claims, standings, and the verdict on bodies that cannot be read as protobuf.
Exit code 1 on the first difference, which it names.
"""

import base64
import hashlib
import json
import pathlib
import sys
import uuid

SPEC = pathlib.Path(__file__).resolve().parents[2] / "spec"


# ---- BLAKE3, from its published specification ----

IV = [0x6A09E667, 0xBB67AE85, 0x3C6EF372, 0xA54FF53A, 0x510E527F, 0x9B05688C, 0x1F83D9AB, 0x5BE0CD19]
PERMUTATION = [2, 6, 3, 10, 7, 0, 4, 13, 1, 11, 12, 5, 9, 14, 15, 8]
CHUNK_START, CHUNK_END, PARENT, ROOT = 1, 2, 4, 8
MASK = 0xFFFFFFFF


def compress(chaining, block, counter, length, flags):
    state = chaining + IV[:4] + [counter & MASK, counter >> 32, length, flags]
    words = [int.from_bytes(block[i : i + 4], "little") for i in range(0, 64, 4)]

    def rotate(value, by):
        return (value >> by | value << (32 - by)) & MASK

    def mix(a, b, c, d, x, y):
        state[a] = (state[a] + state[b] + x) & MASK
        state[d] = rotate(state[d] ^ state[a], 16)
        state[c] = (state[c] + state[d]) & MASK
        state[b] = rotate(state[b] ^ state[c], 12)
        state[a] = (state[a] + state[b] + y) & MASK
        state[d] = rotate(state[d] ^ state[a], 8)
        state[c] = (state[c] + state[d]) & MASK
        state[b] = rotate(state[b] ^ state[c], 7)

    for turn in range(7):
        for i in range(4):
            mix(i, 4 + i, 8 + i, 12 + i, words[2 * i], words[2 * i + 1])
        for i in range(4):
            mix(i, 4 + (i + 1) % 4, 8 + (i + 2) % 4, 12 + (i + 3) % 4, words[8 + 2 * i], words[9 + 2 * i])
        words = [words[i] for i in PERMUTATION]
    return [state[i] ^ state[i + 8] for i in range(8)]


def blake3(data):
    def chunk(data, index, root):
        chaining = IV
        blocks = [data[i : i + 64] for i in range(0, len(data), 64)] or [b""]
        for i, block in enumerate(blocks):
            flags = (CHUNK_START if i == 0 else 0) | (CHUNK_END | root if i == len(blocks) - 1 else 0)
            chaining = compress(chaining, block.ljust(64, b"\0"), index, len(block), flags)
        return chaining

    def tree(data, index, root):
        if len(data) <= 1024:
            return chunk(data, index, root)
        left = 1024
        while left * 2 < len(data):
            left *= 2
        pair = tree(data[:left], index, 0) + tree(data[left:], index + left // 1024, 0)
        return compress(IV, b"".join(word.to_bytes(4, "little") for word in pair), 0, 64, PARENT | root)

    return b"".join(word.to_bytes(4, "little") for word in tree(data, 0, ROOT))


assert blake3(b"").hex().startswith("af1349b9f5f9a1a6a0404dea36dcc949")


# ---- Ed25519, 03-versions.md, section 4 ----

P = 2**255 - 19
L = 2**252 + 27742317777372353535851937790883648493
D = -121665 * pow(121666, P - 2, P) % P
NEUTRAL = (0, 1)


def add(a, b):
    (x1, y1), (x2, y2) = a, b
    product = D * x1 * x2 * y1 * y2 % P
    x = (x1 * y2 + x2 * y1) * pow(1 + product, P - 2, P) % P
    y = (y1 * y2 + x1 * x2) * pow(1 - product, P - 2, P) % P
    return x, y


def multiply(number, point):
    """Repeated doubling in extended coordinates."""
    def plus(a, b):
        u, v = (a[1] - a[0]) * (b[1] - b[0]) % P, (a[1] + a[0]) * (b[1] + b[0]) % P
        c, d = 2 * a[3] * b[3] * D % P, 2 * a[2] * b[2] % P
        e, f, g, h = v - u, d - c, d + c, v + u
        return e * f % P, g * h % P, f * g % P, e * h % P

    total, base = (0, 1, 1, 0), (point[0], point[1], 1, point[0] * point[1] % P)
    while number:
        if number & 1:
            total = plus(total, base)
        base, number = plus(base, base), number >> 1
    inverse = pow(total[2], P - 2, P)
    return total[0] * inverse % P, total[1] * inverse % P


def encode(point):
    return (point[1] | (point[0] & 1) << 255).to_bytes(32, "little")


def decode(data):
    """The point of these bytes, canonical or not; None when there is none."""
    y, sign = int.from_bytes(data, "little") & (1 << 255) - 1, data[31] >> 7
    y %= P
    square = (y * y - 1) * pow(D * y * y + 1, P - 2, P) % P
    x = pow(square, (P + 3) // 8, P)
    if x * x % P != square:
        x = x * pow(2, (P - 1) // 4, P) % P
    if x * x % P != square:
        return None
    return ((P - x) % P if x & 1 != sign else x), y


BASE = decode((4 * pow(5, P - 2, P) % P).to_bytes(32, "little"))


def key_error(data):
    if len(data) != 32:
        return "key-length"
    point = decode(data)
    if point is None or encode(point) != data:
        return "key-not-a-point"
    if multiply(8, point) == NEUTRAL or multiply(L, point) != NEUTRAL:
        return "key-weak"
    return None


PREFIX = {name: f"fingerpost {name} 1\n".encode() for name in ("version", "invitation", "claim")}


def holds(key, domain, message, signature):
    if len(signature) != 64:
        return False
    r, s = signature[:32], int.from_bytes(signature[32:], "little")
    point = decode(r)
    if s >= L or point is None or multiply(8, point) == NEUTRAL:
        return False
    k = int.from_bytes(hashlib.sha512(r + key + PREFIX[domain] + message).digest(), "little") % L
    x, y = multiply(k, decode(key))
    return encode(add(multiply(s, BASE), ((P - x) % P, y))) == r


# ---- 01-model.md ----

def record_id(org, kind, audience, local_id):
    name = f"{kind}/{audience}/".encode() + local_id.encode()
    return uuid.UUID(bytes=hashlib.sha1(org[:16] + name).digest()[:16], version=5).bytes


HOUR_MS = 3_600_000


# ---- 03-versions.md, 04-merge.md ----

class Refused(Exception):
    pass


def read_envelope(data):
    if not 200 <= len(data) <= 65536:
        raise Refused("envelope-length")
    header = data[64:200]
    number = lambda start, end: int.from_bytes(header[start:end], "big")
    version = {
        "audience": header[1], "kind": number(2, 4), "network": header[4:36], "org": header[36:68], "record": header[68:84],
        "device": header[84:116], "hlc": number(116, 124), "prev": header[124:132], "lease_until": number(132, 136),
        "body": data[200:], "signature": data[:64], "message": data[64:], "vid": blake3(data)[:16],
    }
    if header[0] != 1:
        raise Refused("unknown-format")
    if version["audience"] > 1:
        raise Refused("unknown-audience")
    if version["kind"] == 0:
        raise Refused("kind-zero")
    is_content = version["kind"] < 0x8000
    if not is_content and version["audience"] != 0:
        raise Refused("network-kind-not-public")
    hour = (version["hlc"] >> 16) // HOUR_MS
    if is_content and version["body"]:
        if not hour < version["lease_until"] <= hour + 9600:
            raise Refused("lease")
    elif version["lease_until"] != 0:
        raise Refused("lease")
    version["forget_at_ms"] = (hour + 9600 + 24) * HOUR_MS if is_content else None
    return version


def precedence(version):
    return version["hlc"], version["device"], version["vid"]


# ---- 07-sync.md ----

def set_key(kind, org, record):
    return bytes([0 if kind >= 0x8000 else 1 if kind >= 0x7f00 else 2]) + org[:7] + blake3(org + record)[:8]


def fingerprint(entries):
    total = sum(int.from_bytes(blake3(key + vid), "little") for key, vid in entries) % 2**256
    return blake3(total.to_bytes(32, "little") + len(entries).to_bytes(8, "little"))[:16]


END = b"\xff" * 17


def read_ranges(lower, data, is_reply):
    ranges, at, opened, ended = [], 0, 0, False

    def take(count):
        nonlocal at
        if at + count > len(data):
            raise Refused("truncated")
        at += count
        return data[at - count : at]

    def key_after(previous):
        head = take(1)[0]
        shared, new = head >> 4, head & 15
        new = new or 16 - shared
        if shared + new > 16:
            raise Refused("bound-length")
        return (previous[:shared] + take(new)).ljust(16, b"\0")

    while at < len(data):
        if ended:
            raise Refused("order")
        mode = take(1)[0]
        upper = END if mode >= 128 else key_after(lower)
        if upper <= lower:
            raise Refused("order")
        mode %= 128
        if mode == 0:
            content = ("skip",)
        elif mode == 1:
            content = ("fingerprint", take(16))
        elif mode in (2, 4):
            count = take(1)[0]
            if count > 32:
                raise Refused("too-many-digests")
            content = ("digests" if mode == 2 else "lacking", [take(4) for _ in range(count)])
        elif mode == 3:
            content = ("fetching",)
        elif mode == 5:
            content = ("short-fingerprint", take(8))
        else:
            raise Refused("mode")
        opened += mode != 0
        ranges.append((lower, upper, content))
        if len(ranges) > 2304 or (not is_reply and opened > 128):
            raise Refused("too-many")
        lower, ended = upper, upper == END
    if not ranges:
        raise Refused("empty")
    return ranges


def siphash(key, data):
    """SipHash-2-4 (Aumasson, Bernstein 2012): 16 bytes of key, 8 bytes out, little-endian."""
    mask = (1 << 64) - 1
    halves = [int.from_bytes(key[n : n + 8], "little") for n in (0, 8)]
    v = [halves[n % 2] ^ int.from_bytes(part, "big") for n, part in enumerate([b"somepseu", b"dorandom", b"lygenera", b"tedbytes"])]

    def turn(x, bits):
        return (x << bits | x >> 64 - bits) & mask

    def rounds(count):
        for _ in range(count):
            v[0], v[2] = v[0] + v[1] & mask, v[2] + v[3] & mask
            v[1], v[3] = turn(v[1], 13) ^ v[0], turn(v[3], 16) ^ v[2]
            v[0] = turn(v[0], 32)
            v[2], v[0] = v[2] + v[1] & mask, v[0] + v[3] & mask
            v[1], v[3] = turn(v[1], 17) ^ v[2], turn(v[3], 21) ^ v[0]
            v[2] = turn(v[2], 32)

    padded = data + bytes(7 - len(data) % 8) + bytes([len(data) % 256])
    for n in range(0, len(padded), 8):
        word = int.from_bytes(padded[n : n + 8], "little")
        v[3] ^= word
        rounds(2)
        v[0] ^= word
    v[2] ^= 255
    rounds(4)
    return (v[0] ^ v[1] ^ v[2] ^ v[3]).to_bytes(8, "little")


def salted(session, data):
    return siphash(session.to_bytes(8, "little") + bytes(8), data)


def digest(session, _key, vid):
    return salted(session, vid)[:4]


def short_fingerprint(session, pairs):
    return salted(session, b"".join(vid for _, vid in pairs))


def answer(entries, side, session, ranges):
    """Offers, fetches, and for each range what must be said; a cut is told by its bounds only."""
    offers, fetches, said = [], [], []
    for lower, upper, content in ranges:
        own = sorted((key, vid) for key, vid in entries if lower <= key < upper)
        named = {digest(session, *pair): pair for pair in own}
        mode, listed = content[0], content[-1]
        step = "skip"
        if mode == "fingerprint" and listed != fingerprint(own):
            step = "fetching" if not own else "digests" if len(own) <= 32 else "cut"
        elif mode == "short-fingerprint" and not 1 <= len(own) <= 32:
            step = "cut" if own else "fetching"
        elif mode == "short-fingerprint" and listed != short_fingerprint(session, own):
            step = "digests"
        elif mode == "digests" and listed and not own:
            step = "fetching"
        elif mode == "digests" and len(own) > 64:
            step = "cut"
        elif mode == "digests":
            theirs = [name for name in listed if name not in named]
            ours = [pair for name, pair in named.items() if name not in listed]
            if theirs and (side == "initiator" or not ours):
                step = "lacking"
            else:
                offers += ours
        elif mode == "lacking" and len(own) <= 64:
            offers += [pair for name, pair in named.items() if name in listed]
        if step == "fetching":
            fetches.append({"lower": lower.hex(), "upper": None if upper == END else upper.hex()})
        said.append(step)
    while said and said[-1] == "skip":
        said.pop()
    return offers, fetches, said


# ---- 02-records.md, section 6: only whether a message can be read ----

def is_readable(data, types):
    """`types` has the wire type of each known field; `text` marks those that must be UTF-8."""
    at = 0

    def varint():
        nonlocal at
        value = 0
        for i in range(10):
            if at >= len(data):
                raise Refused("cut")
            byte = data[at]
            at += 1
            value |= (byte & 127) << 7 * i
            if byte < 128:
                if value >= 1 << 64:
                    raise Refused("wide")
                return value
        raise Refused("long")

    def skip(count):
        nonlocal at
        if at + count > len(data):
            raise Refused("cut")
        at += count
        return data[at - count : at]

    def field(depth):
        """Reads one field; True at the end of the group whose number is returned."""
        key = varint()
        number, wire = key >> 3, key & 7
        if key >= 1 << 32 or number == 0 or wire > 5:
            raise Refused("key")
        if wire == 4:
            return number
        if depth >= 100:
            raise Refused("deep")
        known = types.get(number) if depth == 0 else None
        if known and wire != (2 if known == "text" else known):
            raise Refused("wire type")
        if wire == 0:
            varint()
        elif wire in (1, 5):
            skip(8 if wire == 1 else 4)
        elif wire == 2:
            content = skip(varint())
            if known == "text":
                content.decode()
        else:
            while True:
                end = field(depth + 1)
                if end == number:
                    break
                if end is not None:
                    raise Refused("group")
        return None

    try:
        while at < len(data):
            if field(0) is not None:
                raise Refused("group")
    except (Refused, UnicodeDecodeError):
        return False
    return True


SERVICE = {n: "text" for n in (1, 2, 8, 9, 16, 17, 18, 19, 22, 23, 24, 25, 26, 28, 32, 38, 41, 42, 43, 45)}
SERVICE |= {n: 0 for n in (3, 5, 21, 29, 30)} | {n: 2 for n in (4, 6, 7, 20, 27, 31, 33, 34, 35, 36, 37, 39, 40, 44, 46)}


# ---- 05-network.md ----

def fields(data):
    """Fields of a message without numbers of 32 bits."""
    found, at = {}, 0

    def varint():
        nonlocal at
        value, shift = 0, 0
        while True:
            byte = data[at]
            at, value, shift = at + 1, value | (byte & 127) << shift, shift + 7
            if byte < 128:
                return value

    while at < len(data):
        key = varint()
        if key & 7 == 0:
            value = varint()
        elif key & 7 == 1:
            at, value = at + 8, data[at : at + 8]
        else:
            length = varint()
            at, value = at + length, data[at : at + length]
        found.setdefault(key >> 3, []).append(value)
    return found


WORDS = (SPEC / "05-network.md").read_text().split("```words\n")[1].split("```")[0].split()


def is_line(data):
    def is_allowed(code):
        is_control = code < 0x20 or 0x7F <= code <= 0x9F
        return not (is_control or 0x202A <= code <= 0x202E or 0x2066 <= code <= 0x2069 or code in (0x2028, 0x2029, 0xFEFF))

    return all(is_allowed(ord(character)) for character in data.decode())


def read_invite(text):
    text = "".join(text.split())
    prefix, _, encoded = text.partition(":")
    if prefix not in ("fp1", "fph1") or ":" not in text:
        raise Refused("not-an-invite")
    try:
        if "=" in text:
            raise ValueError
        data = base64.b64decode(encoded + "=" * (-len(encoded) % 4), altchars=b"-_", validate=True)
    except ValueError:
        raise Refused("damaged") from None
    if len(data) < 4 or blake3(data[:-4])[:4] != data[-4:]:
        raise Refused("damaged")
    code = fields(data[:-4])
    if not 1 <= len(code.get(5, [])) <= 8 or not all(map(is_line, code[5] + code.get(6, []) + code.get(7, []))):
        raise Refused("field")
    invitation = fields(code[2][0])
    network, node_key = code[1][0], code[4][0]
    inviter, device, one_time = invitation[1][0], invitation[2][0], invitation[3][0]
    digest = blake3(b"fingerpost check words 1\n" + network + inviter + one_time + node_key)
    return {
        "network": network.hex(), "inviter": inviter.hex(), "device": device.hex(), "one_time_key": one_time.hex(),
        "expires_hour": invitation[4][0], "one_time_seed": code[3][0].hex(), "node_key": node_key.hex(),
        "addresses": [address.decode() for address in code[5]], "check_words": [WORDS[byte] for byte in digest[:4]],
        "carries": prefix == "fph1",
    }


def read_mirror_code(text):
    text = "".join(text.split())
    if not text.startswith("fpm1:"):
        raise Refused("not-a-mirror-code")
    try:
        if "=" in text:
            raise ValueError
        encoded = text[5:]
        data = base64.b64decode(encoded + "=" * (-len(encoded) % 4), altchars=b"-_", validate=True)
    except ValueError:
        raise Refused("damaged") from None
    if len(data) < 4 or blake3(data[:-4])[:4] != data[-4:]:
        raise Refused("damaged")
    code = fields(data[:-4])
    if not 1 <= len(code.get(3, [])) <= 8 or not all(map(is_line, code[3])):
        raise Refused("field")
    addresses = [address.decode() for address in code[3]]
    return {"network": code[1][0].hex(), "node_key": code[2][0].hex(), "addresses": addresses}


def standings(case):
    charter = fields(data_of(case["charter"]))
    founders, vouches_needed, objections_needed = charter[4], charter[5][0], charter[6][0]
    accepted = {unhex(said["org"]): said for said in case["acceptances"]}
    claims = {}
    for org, said in accepted.items():
        if said["one_time_key"] and unhex(said["inviter"]) != org:
            claims.setdefault((said["inviter"], said["one_time_key"]), []).append(org)
    vouches = {(unhex(said["from"]), unhex(said["to"])) for said in case["vouches"]}
    taken_back = {(unhex(said["from"]), unhex(said["to"])) for said in case["taken_back"]}
    for org, said in accepted.items():
        if said["inviter"] and (unhex(said["inviter"]), org) in taken_back:
            continue
        if said["inviter"] and len(claims.get((said["inviter"], said["one_time_key"]), [])) == 1:
            vouches.add((unhex(said["inviter"]), org))
    participants, grew = set(founders), True
    while grew:
        ready = {org for org in accepted if sum((other, org) in vouches for other in participants) >= vouches_needed}
        grew = not ready <= participants
        participants |= ready
    found = {}
    for orgs in claims.values():
        invited = sorted(org for org in orgs if unhex(accepted[org]["inviter"]) in participants)
        found |= {org: "claimant" for org in invited[:2]}
    leaves = {unhex(said["org"]): said["hlc"] for said in case["leaves"]}
    objections = {(unhex(said["from"]), unhex(said["to"])) for said in case["objections"]}
    for org in participants:
        left = org in leaves and (org not in accepted or leaves[org] >= accepted[org]["hlc"])
        against = sum((other, org) in objections for other in participants)
        found[org] = "participant" if left or against >= objections_needed else "member"
    return {org.hex(): standing for org, standing in found.items()}


# ---- The vectors ----

unhex = bytes.fromhex
checks = 0


def data_of(value):
    if isinstance(value, str):
        return unhex(value)
    return b"".join(unhex(part) if isinstance(part, str) else unhex(part["repeat"]) * part["times"] for part in value)


def cases(name):
    for case in json.loads((SPEC / "vectors" / f"{name}.json").read_text())["cases"]:
        yield case, f"{name}: {case['name']}"


def equal(found, expected, where):
    global checks
    checks += 1
    if found != expected:
        sys.exit(f"{where}\n  found    {found}\n  expected {expected}")


def refused(action):
    try:
        action()
    except Refused as why:
        return str(why)
    return None


def ids():
    for case, where in cases("ids_valid"):
        what = case["what"]
        if what in ("org", "network"):
            equal(blake3(data_of(case["card" if what == "org" else "charter"])).hex(), case["id"], where)
        elif what == "vid":
            vid = blake3(data_of(case["envelope"]))[:16]
            equal((vid.hex(), vid[:8].hex()), (case["id"], case["prev"]), where)
        elif what == "record":
            found = record_id(unhex(case["org"]), case["kind"], case["audience"], case["local_id"])
            equal((found.hex(), str(uuid.UUID(bytes=found))), (case["id"], case["uuid"]), where)
        else:
            hlc = (case["ms"] << 16 | case["counter"]).to_bytes(8, "big").hex()
            equal((hlc, case["ms"] // HOUR_MS), (case["hlc"], case["hour"]), where)


def keys():
    for file in ("keys_valid", "keys_invalid"):
        for case, where in cases(file):
            key = unhex(case["key"])
            error = key_error(key)
            if error is None and case["what"] == "signature":
                equal(PREFIX[case["domain"]].hex(), case["prefix"], where)
                good = holds(key, case["domain"], unhex(case["message"]), unhex(case["signature"]))
                error = None if good else "bad-signature"
            equal(error, case.get("error"), where)


def versions():
    for case, where in cases("version_valid"):
        version, header = read_envelope(data_of(case["envelope"])), case["header"]
        equal(version["vid"].hex(), case["vid"], where)
        equal(version["forget_at_ms"], case["forget_at_ms"], where)
        equal(not version["body"], case["withdrawal"], where)
        equal(version["body"], data_of(case["body"]), where)
        for field in ("network", "org", "record", "device", "prev"):
            equal(version[field].hex(), header[field], where)
        equal((version["kind"], version["lease_until"]), (header["kind"], header["lease_until"]), where)
        equal((version["hlc"] >> 16, version["hlc"] & 65535), (header["hlc_ms"], header["hlc_counter"]), where)
        equal(["public", "members"][version["audience"]], header["audience"], where)
        equal(holds(version["device"], "version", version["message"], version["signature"]), True, where)

    def judge(case):
        version, key = read_envelope(data_of(case["envelope"])), unhex(case["key"])
        if version["device"] != key or not holds(key, "version", version["message"], version["signature"]):
            raise Refused("bad-signature")

    for case, where in cases("version_invalid"):
        equal(refused(lambda: judge(case)), case["error"], where)


def merge():
    for case, where in cases("merge_valid"):
        ascending = sorted((read_envelope(data_of(envelope)) for envelope in case["versions"]), key=precedence)
        equal([version["vid"].hex() for version in ascending], case["ascending"], where)
        equal(ascending[-1]["vid"].hex(), case["winner"], where)


def entries_of(case, field="entries"):
    return [(unhex(entry["key"]), unhex(entry["vid"])) for entry in case[field]]


def sets():
    for case, where in cases("set_valid"):
        if case["what"] == "key":
            equal(set_key(case["kind"], unhex(case["org"]), unhex(case["record"])).hex(), case["key"], where)
            continue
        lower, upper = unhex(case["lower"]), unhex(case["upper"]) if case["upper"] else END
        within = [(key, vid) for key, vid in entries_of(case) if lower <= key < upper]
        equal((fingerprint(within).hex(), len(within)), (case["fingerprint"], case["count"]), where)
    for case, where in cases("exchange_valid"):
        winners = {}
        for envelope in case["a"]["envelopes"] + case["b"]["envelopes"]:
            version = read_envelope(data_of(envelope))
            key = set_key(version["kind"], version["org"], version["record"])
            winners[key] = max(winners.get(key, version), version, key=precedence)
        entries = [(key, version["vid"]) for key, version in winners.items()]
        equal((fingerprint(entries).hex(), len(entries)), (case["fingerprint"], case["count"]), where)


def ranges():
    def listed(pairs):
        return [{"key": key.hex(), "vid": vid.hex()} for key, vid in pairs]

    for case, where in cases("ranges_valid"):
        found = read_ranges(unhex(case["lower"]), data_of(case["ranges"]), case.get("reply", False))
        if case["what"] == "ranges":
            modes = [content[0] for _, _, content in found]
            uppers = [None if upper == END else upper.hex() for _, upper, _ in found]
            equal((modes, uppers), ([said["mode"] for said in case["says"]], [said["upper"] for said in case["says"]]), where)
            continue
        offers, fetches, said = answer(entries_of(case), case["side"], case["session"], found)
        equal((listed(offers), fetches), (case["offers"], case["fetches"]), where)
        if "cut" not in said:
            equal(said, [part["mode"] for part in case["says"]], where)
        # A cut is right when its parts have the fingerprints of what they hold.
        if case["answer"]:
            for lower, upper, content in read_ranges(unhex(case["lower"]), data_of(case["answer"]), True):
                own = [(key, vid) for key, vid in entries_of(case) if lower <= key < upper]
                if content[0] == "fingerprint":
                    equal(content[1], fingerprint(own), where)
                if content[0] == "short-fingerprint":
                    equal(content[1], short_fingerprint(case["session"], sorted(own)), where)
                if content[0] == "digests":
                    equal(content[1], [digest(case["session"], *pair) for pair in sorted(own)], where)
    for case, where in cases("ranges_invalid"):
        lower, data = unhex(case["lower"]), data_of(case["ranges"])
        equal(refused(lambda: read_ranges(lower, data, case["reply"])), case["detail"], where)


def bodies():
    for file in ("record_valid", "record_invalid"):
        for case, where in cases(file):
            if case["kind"] != 2:
                continue
            equal(is_readable(data_of(case["body"]), SERVICE), case.get("error") != "body-undecodable", where)
            if is_readable(data_of(case["body"]), SERVICE):
                local_id = fields(data_of(case["body"])).get(1, [b""])[-1] if "groups" not in case["name"] else b"drop-in"
                derived = record_id(unhex(case["org"]), case["kind"], case["audience"], local_id.decode())
                equal(derived.hex() == case["record"], case.get("error") != "record-id-mismatch", where)


def network():
    for case, where in cases("network_valid"):
        if case["what"] == "invite":
            found = read_invite(case["code"])
            equal(found, {field: case[field] for field in found}, where)
            equal(encode(multiply(secret(unhex(case["one_time_seed"])), BASE)).hex(), case["one_time_key"], where)
        elif case["what"] == "mirror-code":
            found = read_mirror_code(case["code"])
            equal(found, {field: case[field] for field in found}, where)
    for file in ("network_valid", "network_invalid"):
        for case, where in cases(file):
            if case["what"] == "mirror-code" and "error" in case:
                equal(refused(lambda: read_mirror_code(case["code"])), case["detail"], where)
            if case["what"] == "claim":
                invitation = case["invitation"]
                key = unhex(invitation["one_time_key"])
                message = unhex(case["network"]) + unhex(case["joiner"]) + key
                stale = case["hlc_ms"] // HOUR_MS > invitation["expires_hour"]
                good = holds(key, "claim", message, unhex(case["claim"]))
                equal("stale" if stale else None if good else "bad-claim", case.get("detail"), where)
            elif case["what"] == "invitation":
                said, card = case["invitation"], data_of(case["card"])
                devices = [fields(device) for device in fields(card)[5]]
                publishing = [device[1][0] for device in devices if 1 in list(device[2][0])]
                message = unhex(case["network"] + said["inviter"] + said["one_time_key"]) + said["expires_hour"].to_bytes(4, "big")
                device = unhex(said["device"])
                good = blake3(card).hex() == said["inviter"] and device in publishing
                good = good and holds(device, "invitation", message, unhex(said["signature"]))
                equal(None if good else "bad-signature", case.get("detail"), where)
            elif case["what"] == "invite" and "error" in case and case["name"] != "invite-too-long":
                equal(refused(lambda: read_invite(case["code"])), case["detail"], where)


def successors(cards, before):
    """Cards that follow `before`, best first, with the digest that names each."""
    card, digest = fields(before), blake3(before)
    found = []
    for data in cards:
        said = fields(data)
        if said.get(2, [b""])[-1] != digest or said[1][-1] != card.get(1, [0])[-1] + 1:
            continue
        rank = signer_class(card, said[11][-1])
        if rank is not None:
            found.append((rank, blake3(data), data))
    return [data for _, _, data in sorted(found)]


def signer_class(before, signer):
    if blake3(signer) == before[4][-1]:
        return 0
    return before[3].index(signer) + 1 if signer in before[3] else None


def cards_of_an_organisation():
    for case, where in cases("cards_valid"):
        known = [data_of(card) for card in case["cards"]]
        chain = [next(data for data in known if blake3(data).hex() == case["org"])]
        evidence = []
        while following := successors(known, chain[-1]):
            chain.append(following[0])
            evidence += following[1:2]
        equal([blake3(data).hex() for data in chain], case["chain"], where)
        equal([blake3(data).hex() for data in evidence], case["evidence"], where)
        card = fields(chain[-1])
        devices = {device[1][-1]: device for device in map(fields, card[5])}
        upheld = card.get(12, [])
        for said in case["versions"]:
            device, hlc = devices.get(unhex(said["device"])), int(said["hlc"], 16)
            roles = {1, 2} if 0x7f00 <= said["kind"] < 0x8000 else {1}
            counts = bool(device) and bool(roles & set(device[2][0])) and device.get(3, [0])[-1] <= hlc
            counts = counts and (device.get(5, [0])[-1] == 0 or hlc <= device[5][-1])
            equal(counts or unhex(said["vid"]) in upheld, said["counts"], where)
        for said in case["invitations"]:
            device = devices.get(unhex(said["device"]))
            counts = bool(device) and 1 in list(device[2][0])
            equal(counts or blake3(unhex(said["signature"]))[:16] in upheld, said["counts"], where)
    for case, where in cases("cards_invalid"):
        said, upheld = fields(data_of(case["card"])), fields(data_of(case["card"])).get(12, [])
        error = None
        if said[1][-1] > 1023:
            error = "card-sequence"
        elif len(said.get(2, [b""])[-1]) != 32 or 8 in said or key_error(said.get(11, [b""])[-1]):
            error = "card"
        elif len(upheld) > 256 or any(len(name) != 16 for name in upheld) or upheld != sorted(set(upheld)):
            error = "card"
        elif case["before"]:
            before = fields(data_of(case["before"]))
            if said[1][-1] != before.get(1, [0])[-1] + 1:
                error = "card-sequence"
            elif signer_class(before, said[11][-1]) is None:
                error = "card-signer"
        equal(error, case["error"], where)


def secret(seed):
    clamped = bytearray(hashlib.sha512(seed).digest()[:32])
    clamped[0], clamped[31] = clamped[0] & 248, clamped[31] & 127 | 64
    return int.from_bytes(clamped, "little")


def heads():
    for case, where in cases("head_valid"):
        hour = (int(case["hlc"], 16) >> 16) // HOUR_MS
        first = max(hour - 9456, 0)
        covered = [
            (entry["key"], unhex(entry["vid"]))
            for entry in case["entries"]
            if (int(entry["hlc"], 16) >> 16) // HOUR_MS >= first and int(entry["hlc"], 16) <= int(case["hlc"], 16)
        ]
        root = blake3(b"".join(vid for _, vid in sorted(covered)))
        equal((first, len(covered), root.hex()), (case["from_hour"], case["count"], case["root"]), where)
        said = fields(data_of(case["body"]))
        equal(said[1][-1].decode(), case["device"], where)
        equal(said[17][-1][::-1].hex(), case["incarnation"], where)
        numbers = [said.get(number, [0])[-1] for number in (16, 18, 19)]
        equal(numbers + [said[20][-1]], [case["card_sequence"], first, len(covered), root], where)
    for case, where in cases("head_invalid"):
        said, hour = fields(data_of(case["body"])), (int(case["hlc"], 16) >> 16) // HOUR_MS
        field = None
        if said.get(1, [b""])[-1] != case["device"].encode():
            field = "local_id"
        elif len(said.get(20, [b""])[-1]) != 32:
            field = "root"
        elif said.get(18, [0])[-1] > hour:
            field = "from_hour"
        equal(field, case["field"], where)


def members():
    for case, where in cases("members_valid"):
        equal(standings(case), case["standings"], where)


for part in (ids, keys, versions, merge, sets, ranges, bodies, network, cards_of_an_organisation, heads, members):
    before = checks
    part()
    print(f"{part.__name__}: {checks - before} checks")
print(f"all {checks} checks agree")
