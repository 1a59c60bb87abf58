//! Keccak-256 as Ethereum uses it: the permutation of SHA-3 with the padding from before the standard.

const ROUNDS: [u64; 24] = [
    0x0000_0000_0000_0001,
    0x0000_0000_0000_8082,
    0x8000_0000_0000_808a,
    0x8000_0000_8000_8000,
    0x0000_0000_0000_808b,
    0x0000_0000_8000_0001,
    0x8000_0000_8000_8081,
    0x8000_0000_0000_8009,
    0x0000_0000_0000_008a,
    0x0000_0000_0000_0088,
    0x0000_0000_8000_8009,
    0x0000_0000_8000_000a,
    0x0000_0000_8000_808b,
    0x8000_0000_0000_008b,
    0x8000_0000_0000_8089,
    0x8000_0000_0000_8003,
    0x8000_0000_0000_8002,
    0x8000_0000_0000_0080,
    0x0000_0000_0000_800a,
    0x8000_0000_8000_000a,
    0x8000_0000_8000_8081,
    0x8000_0000_0000_8080,
    0x0000_0000_8000_0001,
    0x8000_0000_8000_8008,
];

const SHIFTS: [u32; 24] = [1, 3, 6, 10, 15, 21, 28, 36, 45, 55, 2, 14, 27, 41, 56, 8, 25, 43, 62, 18, 39, 61, 20, 44];
const LANES: [usize; 24] = [10, 7, 11, 17, 18, 3, 5, 16, 8, 21, 24, 4, 15, 23, 19, 13, 12, 2, 20, 14, 22, 9, 6, 1];

fn permute(state: &mut [u64; 25]) {
    for round in ROUNDS {
        let mut sums = [0u64; 5];
        for (indx, lane) in state.iter().enumerate() {
            sums[indx % 5] ^= lane;
        }
        for (indx, lane) in state.iter_mut().enumerate() {
            *lane ^= sums[(indx + 4) % 5] ^ sums[(indx + 1) % 5].rotate_left(1);
        }
        let mut last = state[1];
        for (lane, shift) in LANES.iter().zip(SHIFTS) {
            let keep = state[*lane];
            state[*lane] = last.rotate_left(shift);
            last = keep;
        }
        for row in state.chunks_mut(5) {
            let keep = [row[0], row[1], row[2], row[3], row[4]];
            for (indx, lane) in row.iter_mut().enumerate() {
                *lane = keep[indx] ^ (!keep[(indx + 1) % 5] & keep[(indx + 2) % 5]);
            }
        }
        state[0] ^= round;
    }
}

/// The hash of bytes.
pub fn keccak256(byts: &[u8]) -> [u8; 32] {
    const RATE: usize = 136;
    let mut padded = byts.to_vec();
    padded.push(1);
    padded.resize(padded.len().next_multiple_of(RATE), 0);
    if let Some(last) = padded.last_mut() {
        *last |= 0x80;
    }
    let mut state = [0u64; 25];
    for block in padded.chunks(RATE) {
        for (lane, word) in state.iter_mut().zip(block.chunks(8)) {
            *lane ^= word.iter().rev().fold(0, |sum, byte| (sum << 8) | u64::from(*byte));
        }
        permute(&mut state);
    }
    let mut out = [0u8; 32];
    for (word, lane) in out.chunks_mut(8).zip(state) {
        word.copy_from_slice(&lane.to_le_bytes());
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn known_answer() {
        let want = "c5d2460186f7233c927e7db2dcc703c0e500b653ca82273b7bfad8045d85a470";
        assert_eq!(hex::encode(keccak256(b"")), want);
    }
}
