//! The cluster's secret and what is proved with it.
//!
//! A secret is 32 random bytes, made at bootstrap, kept in a file that only its owner may read. It never
//! travels: nodes prove it by an HMAC over both sides' nonces, admin clients by a token derived from it.

use std::fmt;

use hmac::{Hmac, Mac};
use sha2::Sha256;

/// Bytes of a secret.
pub const SECRET_BYTES: usize = 32;

/// Bytes of a nonce.
pub const NONCE_BYTES: usize = 16;

/// A cluster's secret.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret([u8; SECRET_BYTES]);

/// Which side of a connection proves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Side {
    /// The one that called.
    Caller,
    /// The one that was called.
    Answerer,
}

/// What both sides of a connection know once they have greeted.
#[derive(Clone, Copy, Debug)]
pub struct Greeting<'a> {
    /// The cluster.
    pub cluster: u64,
    /// The node that called.
    pub caller: u64,
    /// The node that was called.
    pub answerer: u64,
    /// The caller's nonce.
    pub caller_nonce: &'a [u8],
    /// The answerer's nonce.
    pub answerer_nonce: &'a [u8],
    /// What the connection will carry.
    pub channel: i32,
}

impl Secret {
    /// A secret from its bytes.
    pub const fn new(bytes: [u8; SECRET_BYTES]) -> Self {
        Self(bytes)
    }

    /// A secret from the text of its file: hexadecimal, blanks around it ignored.
    pub fn from_text(text: &str) -> Option<Self> {
        let text = text.trim().as_bytes();
        if text.len() != 2 * SECRET_BYTES {
            return None;
        }
        let mut bytes = [0; SECRET_BYTES];
        for (byte, digits) in bytes.iter_mut().zip(text.chunks_exact(2)) {
            *byte = u8::from_str_radix(std::str::from_utf8(digits).ok()?, 16).ok()?;
        }
        Some(Self(bytes))
    }

    /// The text of its file.
    pub fn to_text(&self) -> String {
        hex(&self.0)
    }

    /// What an admin client shows.
    pub fn admin_token(&self) -> String {
        hex(&self.mac(&[b"skein admin 1"]).finalize().into_bytes())
    }

    /// Whether a client's token is this secret's, in constant time.
    pub fn admits(&self, token: &str) -> bool {
        let wanted = self.admin_token();
        // Comparing MACs of both instead of the texts leaks nothing of where they differ.
        let of = |text: &str| self.mac(&[text.as_bytes()]).finalize().into_bytes();
        of(token) == of(&wanted)
    }

    /// A node's proof that it knows the secret.
    pub fn prove(&self, side: Side, greeting: &Greeting<'_>) -> Vec<u8> {
        self.greeting_mac(side, greeting).finalize().into_bytes().to_vec()
    }

    /// Whether a peer's proof is right, in constant time.
    pub fn verify(&self, side: Side, greeting: &Greeting<'_>, proof: &[u8]) -> bool {
        self.greeting_mac(side, greeting).verify_slice(proof).is_ok()
    }

    fn greeting_mac(&self, side: Side, greeting: &Greeting<'_>) -> Hmac<Sha256> {
        let role: &[u8] = match side {
            Side::Caller => b"skein node caller 1",
            Side::Answerer => b"skein node answerer 1",
        };
        self.mac(&[
            role,
            &greeting.cluster.to_be_bytes(),
            &greeting.caller.to_be_bytes(),
            &greeting.answerer.to_be_bytes(),
            &greeting.channel.to_be_bytes(),
            greeting.caller_nonce,
            greeting.answerer_nonce,
        ])
    }

    /// Parts are length-prefixed, so that no two lists of parts give the same input.
    fn mac(&self, parts: &[&[u8]]) -> Hmac<Sha256> {
        let mut mac = Hmac::<Sha256>::new_from_slice(&self.0).expect("HMAC takes keys of any length");
        for part in parts {
            mac.update(&(part.len() as u64).to_be_bytes());
            mac.update(part);
        }
        mac
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(..)")
    }
}

fn hex(bytes: &[u8]) -> String {
    use fmt::Write;
    bytes.iter().fold(String::with_capacity(2 * bytes.len()), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn proofs_hold_for_one_side_of_one_greeting_only() {
        let secret = Secret::new([7; SECRET_BYTES]);
        let greeting = Greeting {
            cluster: 1,
            caller: 1,
            answerer: 2,
            caller_nonce: b"a",
            answerer_nonce: b"b",
            channel: 0,
        };
        let proof = secret.prove(Side::Caller, &greeting);
        assert!(secret.verify(Side::Caller, &greeting, &proof));
        assert!(!secret.verify(Side::Answerer, &greeting, &proof));
        assert!(!secret.verify(Side::Caller, &Greeting { caller_nonce: b"c", ..greeting }, &proof));
        assert!(!Secret::new([8; SECRET_BYTES]).verify(Side::Caller, &greeting, &proof));
    }

    #[test]
    fn secrets_survive_their_file_and_tokens_are_checked() {
        let secret = Secret::new([0xa5; SECRET_BYTES]);
        assert_eq!(Secret::from_text(&format!("{}\n", secret.to_text())), Some(secret.clone()));
        assert_eq!(Secret::from_text("abc"), None);
        assert!(secret.admits(&secret.admin_token()) && !secret.admits("x"));
    }
}
