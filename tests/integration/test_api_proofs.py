"""What can be proved without trusting a node: receipts, the checkpoint, tiles and entries, as the C2SP specs say."""

from __future__ import annotations

import hashlib
import json
import subprocess
import sys

import pytest

from consortium.crypto.notes import parse_note
from consortium.crypto.receipts import parse_receipt, verify_receipt
from consortium.crypto.trust import parse_policy
from consortium.errors import Malformed, ProofInvalid
from tests.fixtures.network import MEMBERS, fresh_day, hour_of, reading, wait_until

pytestmark = pytest.mark.processes

NO_NETWORK = """
import sys
def refuse(event, arguments):
    if event.startswith("socket.") or event == "subprocess.Popen":
        raise PermissionError(event)
sys.addaudithook(refuse)
from consortium.cli.main import main
main()
"""
"""The command, in an interpreter that cannot make a socket."""


@pytest.fixture(scope="module")
async def three_hundred(network):
    """So many records that the tree has a full tile; the ids."""
    day = fresh_day()
    records = [reading("home-01@suncoop", start=hour_of(day, n % 24), load_wh=n) for n in range(300)]
    body = "\n".join(json.dumps(record) for record in records)
    client = await network.client("suncoop-meters")
    response = await client.post("/v1/records/stream", content=body, params={"wait": "witnessed"})
    assert {json.loads(line)["state"] for line in response.text.splitlines()} == {"witnessed"}
    return [record["id"] for record in records]


async def text_of(network, path, who="", at="suncoop"):
    response = await (await network.client(who, at)).get(path)
    assert response.status_code == 200, response.text
    return response.text


# --- receipts ------------------------------------------------------------------------------------------------


async def test_a_receipt_verifies_against_the_trust_file(network, three_hundred):
    policy = parse_policy(network.net.trust_file.read_text("utf-8"))
    home = await network.client("home-01")
    for record_id in three_hundred[:300:60]:
        response = await home.get(f"/v1/records/{record_id}/receipt")
        assert response.headers["content-type"] == "text/plain; charset=utf-8"
        proven = verify_receipt(parse_receipt(response.text), policy)
        header = (await home.get(f"/v1/records/{record_id}/header")).json()
        assert proven.header.id.hex() == record_id
        assert (proven.index, proven.header.encoded().hex()) == (header["index"], header["header"])
        assert proven.checkpoint.origin == network.net.genesis.origin


async def test_a_receipt_is_waited_for_if_no_quorum_has_cosigned_yet(network):
    record = reading()
    await network.submit_as_meters(record)
    text = await text_of(network, f"/v1/records/{record['id']}/receipt", who="home-01")
    policy = parse_policy(network.net.trust_file.read_text("utf-8"))
    assert verify_receipt(parse_receipt(text), policy).header.id.hex() == record["id"]


async def test_a_receipt_with_any_character_changed_does_not_verify(network, three_hundred):
    policy = parse_policy(network.net.trust_file.read_text("utf-8"))
    text = await text_of(network, f"/v1/records/{three_hundred[7]}/receipt", who="home-01")
    proven = verify_receipt(parse_receipt(text), policy)
    needed = text.index("\n\n", text.index("\n\n") + 2)  # where the signatures begin: one may fail, a quorum is left
    for place in range(0, needed, 7):
        changed = text[:place] + ("A" if text[place] != "A" else "B") + text[place + 1 :]
        try:
            other = verify_receipt(parse_receipt(changed), policy)
        except (Malformed, ProofInvalid):
            continue
        assert other != proven, place
        pytest.fail(f"a changed character at {place} of a receipt goes unnoticed")


async def test_a_receipt_without_a_quorum_does_not_verify(network, three_hundred):
    policy = parse_policy(network.net.trust_file.read_text("utf-8"))
    text = await text_of(network, f"/v1/records/{three_hundred[0]}/receipt", who="home-01")
    lines = text.splitlines(keepends=True)
    signatures = [number for number, line in enumerate(lines) if line.startswith("\u2014 ")]
    fewer = "".join(lines[: signatures[3]])  # the log's and two of four cosignatures
    with pytest.raises(ProofInvalid, match="no quorum"):
        verify_receipt(parse_receipt(fewer), policy)


async def test_the_command_verifies_a_receipt_without_network_and_database(network, three_hundred, tmp_path):
    file = tmp_path / "receipt"
    file.write_text(await text_of(network, f"/v1/records/{three_hundred[3]}/receipt", who="home-01"), "utf-8")

    def verify(*more):
        arguments = ["receipt", "verify", str(file), "--trust", str(network.net.trust_file), *more]
        return subprocess.run(
            [sys.executable, "-c", NO_NETWORK, *arguments],
            check=False,
            capture_output=True,
            text=True,
            cwd=tmp_path,
            env={},
            timeout=60,
        )

    done = verify("--id", three_hundred[3])
    assert done.returncode == 0, done.stderr
    assert three_hundred[3] in done.stdout
    assert verify("--id", three_hundred[4]).returncode == 4


async def test_the_node_gives_the_trust_file_that_its_network_has(network):
    expected = network.net.trust_file.read_text("utf-8")
    for member in MEMBERS:
        assert await text_of(network, "/v1/log/trust", at=member) == expected


# --- checkpoint and tiles ------------------------------------------------------------------------------------


def leaf(entry):
    return hashlib.sha256(b"\x00" + entry).digest()


def root(hashes):
    """RFC 6962 section 2.1, word for word."""
    if len(hashes) == 1:
        return hashes[0]
    split = 1 << (len(hashes) - 1).bit_length() - 1
    return hashlib.sha256(b"\x01" + root(hashes[:split]) + root(hashes[split:])).digest()


def path_of(index):
    """tlog-tiles: groups of three digits, all but the last with an x."""
    digits = f"{index:03d}"
    return digits if index < 1000 else f"x{index // 1000:03d}/{index % 1000:03d}"


async def tile(network, level, index, width=256, at="suncoop", who=""):
    partial = f".p/{width}" if width < 256 else ""
    response = await (await network.client(who, at)).get(f"/v1/log/tile/{level}/{path_of(index)}{partial}")
    assert response.status_code == 200, response.text
    assert response.headers["content-type"] == "application/octet-stream"
    assert "immutable" in response.headers["cache-control"]
    return response.content


def split(data, size=32):
    return [data[start : start + size] for start in range(0, len(data), size)]


async def checkpoint(network, at="suncoop", size=0):
    policy = parse_policy(network.net.trust_file.read_text("utf-8"))

    async def latest():
        found = policy.verify(parse_note(await text_of(network, "/v1/log/checkpoint", at=at)))
        return found if found.size >= size else None

    return await wait_until(latest, f"a checkpoint of {size} records at {at}")


async def level_zero(network, size, at="suncoop"):
    parts = [await tile(network, 0, number, at=at) for number in range(size // 256)]
    if size % 256:
        parts.append(await tile(network, 0, size // 256, size % 256, at=at))
    return split(b"".join(parts))


async def test_the_tiles_of_every_member_hash_to_the_checkpoint(network, three_hundred):
    seen = await checkpoint(network, size=300)
    for member in MEMBERS:
        own = await checkpoint(network, at=member, size=seen.size)
        hashes = await level_zero(network, own.size, at=member)
        assert len(hashes) == own.size
        assert root(hashes) == own.root
        assert root(hashes[: seen.size]) == seen.root


async def test_entries_are_the_headers_under_the_hashes(network, three_hundred):
    size = (await checkpoint(network, size=300)).size
    hashes = await level_zero(network, size)
    data = await tile(network, "entries", 0, who="home-09", at="cityretail")
    data += await tile(network, "entries", size // 256, size % 256, who="home-01") if size < 512 and size % 256 else b""
    entries = []
    while data:
        length = int.from_bytes(data[:2], "big")
        entries.append(data[2 : 2 + length])
        data = data[2 + length :]
    assert [leaf(entry) for entry in entries] == hashes[: len(entries)]
    assert len(entries) >= 256
    home = await network.client("home-01")
    header = (await home.get(f"/v1/records/{three_hundred[0]}/header")).json()
    if header["index"] < len(entries):
        assert entries[header["index"]].hex() == header["header"]


async def test_higher_tiles_hold_the_roots_of_lower_ones(network, three_hundred):
    size = (await checkpoint(network, size=300)).size
    full = size // 256
    level_one = split(await tile(network, 1, 0, full))
    assert level_one == [root(split(await tile(network, 0, number))) for number in range(full)]


async def test_a_partial_tile_is_a_part_of_the_full_one(network, three_hundred):
    whole = await tile(network, 0, 0)
    for width in (1, 2, 100, 255):
        assert await tile(network, 0, 0, width) == whole[: 32 * width]


@pytest.mark.parametrize(
    "path",
    [
        "0/000.p/0",
        "0/000.p/256",
        "0/000.p/01",
        "0/000.p/1.5",
        "0/000.p",
        "0/000.p/",
        "0/000/",
        "0/0",
        "0/0000",
        "0/x000/000",
        "0/x000/x000/001",
        "0/X001/000",
        "0/x001",
        "0/001/000",
        "0/-01",
        "0/abc",
        "0/%2e%2e/000",
        "0/x999/x999/x999/x999/x999/x999/x999/999",
        "0/" + "x999/" * 200 + "999",
        "0/999",
        "5/000",
        "63/000",
        "64/000",
        "00/000",
        "-1/000",
        "x/000",
        "0",
        "entries/0",
        "entries/000.p/300",
        "entries/999",
        "entries/x999/x999/x999/x999/x999/x999/x999/999",
    ],
)
async def test_a_path_of_no_tile_is_not_found(network, path):
    response = await (await network.client("home-01")).get(f"/v1/log/tile/{path}")
    assert response.status_code == 404, response.text
    assert response.headers["content-type"] == "application/problem+json"
    assert "cache-control" not in response.headers


async def test_a_tile_beyond_the_tree_is_not_found(network, three_hundred):
    size = (await network.status("suncoop"))["size"]
    client = await network.client("home-01")
    for kind in ("0", "entries"):
        for path in (path_of(size // 256 + 1), f"{path_of(size // 256)}.p/{min(size % 256 + 1, 255)}"):
            if size % 256 < 255:
                assert (await client.get(f"/v1/log/tile/{kind}/{path}")).status_code == 404


async def test_entries_need_a_token_and_the_rest_needs_none(network, three_hundred):
    nobody = await network.client("", at="suncoop")
    response = await nobody.get("/v1/log/tile/entries/000")
    assert response.status_code == 401
    assert response.json()["type"] == "urn:consortium:problem:not-authenticated"
    for path in ("/v1/log/checkpoint", "/v1/log/trust", "/v1/log/tile/0/000"):
        assert (await nobody.get(path)).status_code == 200
