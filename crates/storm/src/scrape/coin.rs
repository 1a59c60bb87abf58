//! Checksums of currency addresses.

use sha2::{Digest, Sha256};

const BITCOIN: &str = "123456789ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz";
const RIPPLE: &str = "rpshnaf39wBUDNEGHJKLM4PQRST7VWXYZ2bcdeCg65jkm8oFqi1tuvAxyz";
const BECH32: &str = "qpzry9x8gf2tvdw0s3jn54khce6mua7l";

fn base58(text: &str, alphabet: &str) -> Option<Vec<u8>> {
    let mut out: Vec<u8> = Vec::new();
    for ch in text.chars() {
        let mut carry = alphabet.find(ch)?;
        for byte in &mut out {
            carry += usize::from(*byte) * 58;
            *byte = (carry & 0xff) as u8;
            carry >>= 8;
        }
        while carry > 0 {
            out.push((carry & 0xff) as u8);
            carry >>= 8;
        }
    }
    let zero = alphabet.chars().next();
    out.extend(text.chars().take_while(|ch| Some(*ch) == zero).map(|_| 0));
    out.reverse();
    Some(out)
}

/// The bytes of base58 text that ends with the start of its hash.
fn base58_check(text: &str, alphabet: &str) -> Option<Vec<u8>> {
    let byts = base58(text, alphabet)?;
    let (body, sum) = byts.split_at(byts.len().checked_sub(4)?);
    (Sha256::digest(Sha256::digest(body))[..4] == *sum).then(|| body.to_vec())
}

/// Whether it is a Bitcoin address in base58.
pub fn is_bitcoin(text: &str) -> bool {
    base58_check(text, BITCOIN).is_some()
}

/// Whether it is a classic Ripple address.
pub fn is_ripple(text: &str) -> bool {
    base58_check(text, RIPPLE).is_some_and(|body| body.len() == 21 && body[0] == 0)
}

fn bech32_polymod(values: impl Iterator<Item = u32>) -> u32 {
    const GEN: [u32; 5] = [0x3b6a_57b2, 0x2650_8e6d, 0x1ea1_19fa, 0x3d42_33dd, 0x2a14_62b3];
    values.fold(1, |sum, valu| {
        let top = sum >> 25;
        let next = ((sum & 0x1ff_ffff) << 5) ^ valu;
        GEN.iter().enumerate().filter(|(bit, _)| (top >> bit) & 1 == 1).fold(next, |sum, (_, part)| sum ^ part)
    })
}

fn digits(text: &str) -> Option<Vec<u32>> {
    text.chars().map(|ch| BECH32.find(ch).and_then(|digit| u32::try_from(digit).ok())).collect()
}

/// Whether it is a Bitcoin address of a witness program: either checksum, by version.
pub fn is_segwit(text: &str) -> bool {
    if text.chars().any(char::is_uppercase) && text.chars().any(char::is_lowercase) {
        return false;
    }
    let text = text.to_lowercase();
    let Some((prefix, data)) = text.rsplit_once('1') else { return false };
    let Some(data) = digits(data).filter(|data| data.len() > 6) else { return false };
    let expanded = prefix.bytes().map(|byte| u32::from(byte >> 5)).chain([0]);
    let expanded = expanded.chain(prefix.bytes().map(|byte| u32::from(byte & 31)));
    let want = if data[0] == 0 { 1 } else { 0x2bc8_30a3 };
    let program = (data.len() - 7) * 5;
    let fits = program / 8 >= 2 && program / 8 <= 40 && program % 8 <= 4;
    let version0 = data[0] != 0 || matches!(program / 8, 20 | 32);
    data[0] <= 16 && fits && version0 && bech32_polymod(expanded.chain(data.iter().copied())) == want
}

/// Whether it is a Bitcoin Cash address with its prefix, in one case.
pub fn is_bitcoin_cash(text: &str) -> bool {
    const GEN: [u64; 5] = [0x98_f2bc_8e61, 0x79_b76d_99e2, 0xf3_3e5f_b3c4, 0xae_2eab_e2a8, 0x1e_4f43_e470];
    let lower = text.to_lowercase();
    let Some((prefix, body)) = lower.split_once(':') else { return false };
    let given = &text[prefix.len() + 1..];
    if given != given.to_lowercase() && given != given.to_uppercase() {
        return false;
    }
    let Some(data) = digits(body) else { return false };
    let values = prefix.bytes().map(|byte| u64::from(byte & 31)).chain([0]).chain(data.into_iter().map(u64::from));
    let sum = values.fold(1u64, |sum, valu| {
        let top = sum >> 35;
        let next = ((sum & 0x7_ffff_ffff) << 5) ^ valu;
        GEN.iter().enumerate().filter(|(bit, _)| (top >> bit) & 1 == 1).fold(next, |sum, (_, part)| sum ^ part)
    });
    sum == 1
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn checksums() {
        assert!(is_bitcoin("1BvBMSEYstWetqTFn5Au4m4GFg7xJaNVN2"));
        assert!(!is_bitcoin("1BvBMSEYstWetqTFn5Au4m4GFg7xJaNVN3"));
        assert!(is_segwit("bc1qar0srrr7xfkvy5l643lydnw9re59gtzzwf5mdq"));
        assert!(is_segwit("bc1p5cyxnuxmeuwuvkwfem96lqzszd02n6xdcjrs20cac6yqjjwudpxqkedrcr"));
        assert!(!is_segwit("bc1qar0srrr7xfkvy5l643lydnw9re59gtzzwf5mdx"));
        assert!(is_bitcoin_cash("bitcoincash:qpm2qsznhks23z7629mms6s4cwef74vcwvy22gdx6a"));
        assert!(is_ripple("rf1BiGeXwwQoi8Z2ueFYTEXSwuJYfV2Jpn"));
    }
}
