"""The tree against the recursion that RFC 6962 section 2.1 defines it by, and proofs against every flipped bit."""

from __future__ import annotations

import hashlib

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from consortium.crypto import merkle
from consortium.crypto.merkle import (
    EMPTY_ROOT,
    HASH_BYTES,
    TILE_WIDTH,
    Tree,
    consistency_plan,
    fold,
    inclusion_plan,
    leaf_hash,
    root_of,
    root_plan,
    tile_of,
    verify_consistency,
    verify_inclusion,
)
from consortium.errors import ProofInvalid
from tests.builders import noise


def split_of(count: int) -> int:
    k = 1
    while k * 2 < count:
        k *= 2
    return k


def mth(entries: list[bytes]) -> bytes:
    if not entries:
        return hashlib.sha256(b"").digest()
    if len(entries) == 1:
        return hashlib.sha256(b"\x00" + entries[0]).digest()
    k = split_of(len(entries))
    return hashlib.sha256(b"\x01" + mth(entries[:k]) + mth(entries[k:])).digest()


def path(m: int, entries: list[bytes]) -> list[bytes]:
    if len(entries) == 1:
        return []
    k = split_of(len(entries))
    if m < k:
        return [*path(m, entries[:k]), mth(entries[k:])]
    return [*path(m - k, entries[k:]), mth(entries[:k])]


def subproof(m: int, entries: list[bytes], whole: bool) -> list[bytes]:
    if m == len(entries):
        return [] if whole else [mth(entries)]
    k = split_of(len(entries))
    if m <= k:
        return [*subproof(m, entries[:k], whole), mth(entries[k:])]
    return [*subproof(m - k, entries[k:], False), mth(entries[:k])]


def entries_of(count: int) -> list[bytes]:
    return [b"entry %d" % n for n in range(count)]


class Tiles:
    """Tiles of a tree as a store has them: the full ones, and the partial ones of its size."""

    def __init__(self, leaves: list[bytes], step: int = 100) -> None:
        self.tree, self.full = Tree(), {}
        for start in range(0, len(leaves), step):
            self.tree, tiles = self.tree.extend(leaves[start : start + step])
            self.full.update({(t.level, t.index): t.hashes for t in tiles})

    def __call__(self, tile: merkle.TileId) -> bytes:
        level, index = tile
        if tile in self.full:
            return self.full[tile]
        assert index == self.tree.size >> 8 * (level + 1), "only the last tile of a level is partial"
        return b"".join(self.tree.tails[level])


def test_the_tests_own_recursion_gives_the_known_roots():
    """Roots published with the reference implementation of Certificate Transparency."""
    data = [
        bytes.fromhex(h)
        for h in ("", "00", "10", "2021", "3031", "40414243", "5051525354555657", "606162636465666768696a6b6c6d6e6f")
    ]
    roots = {
        0: "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
        1: "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d",
        2: "fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125",
        3: "aeb6bcfe274b70a14fb067a5e5578264db0fa9b51af5e0ba159158f329e06e77",
        8: "5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328",
    }
    for count, root in roots.items():
        assert mth(data[:count]).hex() == root
        assert root_of([leaf_hash(d) for d in data[:count]]).hex() == root


@pytest.mark.parametrize("count", [*range(70), 255, 256, 257, 511, 512, 513, 1000])
def test_the_root_is_the_rfcs(count):
    entries = entries_of(count)
    assert root_of([leaf_hash(e) for e in entries]) == mth(entries)


@settings(max_examples=50)
@given(st.lists(st.binary(max_size=8), max_size=600), st.lists(st.integers(0, 600), max_size=6))
def test_growing_in_any_steps_gives_the_same_tree_and_tiles(entries, cuts):
    leaves = [leaf_hash(e) for e in entries]
    whole, all_tiles = Tree().extend(leaves)
    tree, tiles, start = Tree(), [], 0
    for cut in [*sorted(min(c, len(leaves)) for c in cuts), len(leaves)]:
        tree, more = tree.extend(leaves[start:cut])
        tiles += more
        start = cut
        assert tree.root() == mth(entries[:cut])
    assert tree == whole
    assert tuple(tiles) == all_tiles


@pytest.mark.parametrize("size", range(1, 34))
def test_every_inclusion_proof_of_small_trees(size):
    entries = entries_of(size)
    tiles = Tiles([leaf_hash(e) for e in entries])
    for index in range(size):
        proof = [fold(cover, tiles) for cover in inclusion_plan(index, size)]
        assert proof == path(index, entries)
        verify_inclusion(leaf_hash(entries[index]), index, size, proof, mth(entries))


@pytest.mark.parametrize("new", range(34))
def test_every_consistency_proof_of_small_trees(new):
    entries = entries_of(new)
    tiles = Tiles([leaf_hash(e) for e in entries])
    for old in range(new + 1):
        proof = [fold(cover, tiles) for cover in consistency_plan(old, new)]
        assert proof == (subproof(old, entries, True) if 0 < old < new else [])
        verify_consistency(old, new, mth(entries[:old]), mth(entries), proof)


BIG = 66_000  # three levels of tiles
BIG_ENTRIES = entries_of(BIG)


@pytest.fixture(scope="module")
def big() -> Tiles:
    return Tiles([leaf_hash(e) for e in BIG_ENTRIES], step=1000)


@settings(max_examples=25, deadline=None)
@given(st.integers(1, BIG).flatmap(lambda size: st.tuples(st.just(size), st.integers(0, size - 1))))
def test_inclusion_in_large_trees_of_any_size(big, pair):
    """Proofs for sizes below the stored one come from the same tiles."""
    size, index = pair
    root = fold(root_plan(size), big)
    proof = [fold(cover, big) for cover in inclusion_plan(index, size)]
    verify_inclusion(leaf_hash(BIG_ENTRIES[index]), index, size, proof, root)
    with pytest.raises(ProofInvalid):
        verify_inclusion(leaf_hash(b"another"), index, size, proof, root)


@settings(max_examples=25, deadline=None)
@given(st.integers(0, BIG), st.integers(0, BIG))
def test_consistency_of_large_trees(big, one, other):
    old, new = sorted((one, other))
    roots = [fold(root_plan(n), big) for n in (old, new)]
    proof = [fold(cover, big) for cover in consistency_plan(old, new)]
    verify_consistency(old, new, *roots, proof)
    if old not in (0, new):
        with pytest.raises(ProofInvalid):
            verify_consistency(old, new, noise("root"), roots[1], proof)


def test_the_root_of_a_large_tree_is_the_rfcs(big):
    assert big.tree.root() == fold(root_plan(BIG), big)
    assert fold(root_plan(1500), big) == mth(BIG_ENTRIES[:1500])


def test_the_tiles_of_70000_leaves_are_those_of_the_specification():
    """The example in C2SP tlog-tiles, "Partial Tiles"."""
    tree, tiles = Tree().extend(leaf_hash(b"") for _ in range(70_000))
    assert sum(t.level == 0 for t in tiles) == 273
    assert sum(t.level == 1 for t in tiles) == 1
    assert [len(tail) for tail in tree.tails] == [112, 17, 1]


def test_a_tile_holds_the_hashes_of_full_tiles_below(big):
    level_1 = big.full[1, 0]
    assert len(level_1) == TILE_WIDTH * HASH_BYTES
    assert level_1[:32] == mth(BIG_ENTRIES[:256])
    assert level_1[7 * 32 : 8 * 32] == mth(BIG_ENTRIES[7 * 256 : 8 * 256])
    assert big.tree.tails[2][0] == fold([(16, 0)], big)


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 2000))
def test_a_tree_comes_back_from_its_partial_tiles(size):
    leaf = leaf_hash(b"x")
    tree = Tree().extend([leaf] * size)[0]
    again = Tree.from_tails(tree.size, tree.tails)
    assert again.root() == tree.root()
    assert again.extend([leaf] * 300)[0].root() == tree.extend([leaf] * 300)[0].root()
    assert again.size == tree.size


def test_a_large_tree_comes_back_from_its_partial_tiles(big):
    assert Tree.from_tails(BIG, big.tree.tails) == big.tree


@pytest.mark.parametrize("size", [0, 1, 255, 256, 300, 65_536])
def test_partial_tiles_that_do_not_fit_the_size_are_refused(size):
    tree = Tree().extend([leaf_hash(b"x")] * size)[0]
    for other in (size + 1, size + 256, size + 65_536):
        with pytest.raises(ProofInvalid):
            Tree.from_tails(other, tree.tails)
    if size:
        with pytest.raises(ProofInvalid):
            Tree.from_tails(size, tree.tails[:-1])


def test_a_short_tile_is_refused(big):
    with pytest.raises(ProofInvalid):
        fold([(0, 5)], lambda _: bytes(5 * 32))
    with pytest.raises(ProofInvalid):
        fold([(3, 0)], lambda _: bytes(7 * 32))


def test_tile_of_names_the_tile_that_holds_a_subtree():
    assert tile_of((0, 255)) == (0, 0)
    assert tile_of((0, 256)) == (0, 1)
    assert tile_of((7, 1)) == (0, 0)
    assert tile_of((7, 2)) == (0, 1)
    assert tile_of((8, 255)) == (1, 0)
    assert tile_of((8, 256)) == (1, 1)


# --- proofs that do not hold ---


def flips(proof: list[bytes]):
    for number, node in enumerate(proof):
        for bit in range(256):
            changed = bytearray(node)
            changed[bit // 8] ^= 1 << bit % 8
            yield [*proof[:number], bytes(changed), *proof[number + 1 :]]


@pytest.mark.parametrize(("index", "size"), [(0, 2), (3, 7), (6, 7), (12, 13), (5, 16)])
def test_every_flipped_bit_of_an_inclusion_proof_is_refused(index, size):
    entries = entries_of(size)
    leaf, proof, root = leaf_hash(entries[index]), path(index, entries), mth(entries)
    verify_inclusion(leaf, index, size, proof, root)
    for changed in flips(proof):
        with pytest.raises(ProofInvalid):
            verify_inclusion(leaf, index, size, changed, root)
    for (other,) in flips([root]):
        with pytest.raises(ProofInvalid):
            verify_inclusion(leaf, index, size, proof, other)


@pytest.mark.parametrize(("old", "new"), [(1, 2), (3, 7), (4, 7), (6, 13), (8, 16)])
def test_every_flipped_bit_of_a_consistency_proof_is_refused(old, new):
    entries = entries_of(new)
    proof, roots = subproof(old, entries, True), (mth(entries[:old]), mth(entries))
    verify_consistency(old, new, *roots, proof)
    for changed in flips(proof):
        with pytest.raises(ProofInvalid):
            verify_consistency(old, new, *roots, changed)
    for one, other in flips(list(roots)):
        with pytest.raises(ProofInvalid):
            verify_consistency(old, new, one, other, proof)


@pytest.mark.parametrize("size", [2, 5, 8, 13])
def test_a_proof_for_another_place_or_length_is_refused(size):
    entries = entries_of(size)
    root = mth(entries)
    for index in range(size):
        proof = path(index, entries)
        leaf = leaf_hash(entries[index])
        # The size is not free: it is what the checkpoint signs beside the root.
        for place in [i for i in range(-1, size + 3) if i != index]:
            with pytest.raises(ProofInvalid):
                verify_inclusion(leaf, place, size, proof, root)
        for wrong in (proof[:-1], [*proof, root], proof[1:]):
            with pytest.raises(ProofInvalid):
                verify_inclusion(leaf, index, size, wrong, root)


@pytest.mark.parametrize("new", [2, 5, 8, 13])
def test_a_consistency_proof_of_a_wrong_length_is_refused(new):
    entries = entries_of(new)
    for old in range(1, new):
        proof, roots = subproof(old, entries, True), (mth(entries[:old]), mth(entries))
        for wrong in (proof[:-1], [*proof, roots[0]], proof[1:], []):
            if wrong != proof:
                with pytest.raises(ProofInvalid):
                    verify_consistency(old, new, *roots, wrong)


def test_trees_of_one_size_are_consistent_only_if_equal():
    root, other = mth(entries_of(3)), mth(entries_of(4))
    verify_consistency(3, 3, root, root, [])
    verify_consistency(0, 3, EMPTY_ROOT, root, [])
    for old, new, one, two, proof in [
        (3, 3, root, other, []),
        (3, 3, root, root, [root]),
        (0, 3, root, root, []),
        (0, 3, EMPTY_ROOT, root, [root]),
        (4, 3, other, root, []),
        (-1, 3, root, root, []),
    ]:
        with pytest.raises(ProofInvalid):
            verify_consistency(old, new, one, two, proof)


@pytest.mark.parametrize(("index", "size"), [(0, 0), (-1, 3), (3, 3), (4, 3)])
def test_there_is_no_plan_for_a_leaf_that_is_not_there(index, size):
    with pytest.raises(ProofInvalid):
        inclusion_plan(index, size)


def test_there_is_no_plan_back_in_time():
    with pytest.raises(ProofInvalid):
        consistency_plan(4, 3)
