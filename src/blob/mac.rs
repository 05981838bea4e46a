//! HMAC-SHA256 (RFC 2104) with the keys of this gateway.

use hmac::{Hmac, KeyInit};
use sha2::Sha256;

/// Bytes of a block of SHA-256.
const BLOCK: usize = 64;

/// Begins a code with `key`. It cannot fail: a key that is shorter than a block is one with zeros behind it (RFC 2104 §2).
#[must_use]
pub fn keyed(key: &[u8; 32]) -> Hmac<Sha256> {
    let mut block = [0; BLOCK];
    block[..key.len()].copy_from_slice(key);
    Hmac::new(&block.into())
}

#[cfg(test)]
mod tests {
    use hmac::Mac;

    use super::*;

    #[test]
    fn a_code_is_that_of_the_key_itself() {
        let key = [7; 32];
        let ours = keyed(&key).chain_update(b"text").finalize().into_bytes();
        let other = Hmac::<Sha256>::new_from_slice(&key).unwrap().chain_update(b"text").finalize().into_bytes();
        assert_eq!(ours, other);
    }
}
