//! The keys of an issuer, as it publishes them (RFC 7517 §5).

use std::sync::Arc;

use jsonwebtoken::jwk::{AlgorithmParameters, EllipticCurve, Jwk, KeyOperations, PublicKeyUse};
use jsonwebtoken::{Algorithm, DecodingKey};
use serde::Deserialize;
use serde_json::Value;

use super::{ALGORITHMS, TokenError, not_accepted};

/// Keys that are looked at; issuers have one to ten.
const MAX_KEYS: usize = 100;

/// One key.
pub(super) struct VerifyingKey {
    kid: Option<String>,
    algorithms: Vec<Algorithm>,
    decoding: DecodingKey,
}

impl VerifyingKey {
    pub(super) fn decoding(&self) -> &DecodingKey {
        &self.decoding
    }

    /// `None` for what verifies none of the signatures that are accepted: secrets, other curves, keys for encryption.
    fn of(jwk: &Jwk) -> Option<Self> {
        let common = &jwk.common;
        let for_signatures = common.public_key_use.as_ref().is_none_or(|used| *used == PublicKeyUse::Signature);
        let verifies = common.key_operations.as_ref().is_none_or(|all| all.contains(&KeyOperations::Verify));
        if !for_signatures || !verifies {
            return None;
        }
        let mut algorithms: Vec<Algorithm> = match &jwk.algorithm {
            AlgorithmParameters::RSA(_) => ALGORITHMS[..6].to_vec(),
            AlgorithmParameters::EllipticCurve(curve) => match curve.curve {
                EllipticCurve::P256 => vec![Algorithm::ES256],
                EllipticCurve::P384 => vec![Algorithm::ES384],
                _ => return None,
            },
            AlgorithmParameters::OctetKeyPair(pair) if pair.curve == EllipticCurve::Ed25519 => vec![Algorithm::EdDSA],
            _ => return None,
        };
        if let Some(stated) = common.key_algorithm {
            let stated = Algorithm::try_from(stated).ok()?;
            algorithms.retain(|algorithm| *algorithm == stated);
        }
        let decoding = DecodingKey::from_jwk(jwk).ok()?;
        (!algorithms.is_empty()).then(|| Self { kid: common.key_id.clone(), algorithms, decoding })
    }
}

/// The document.
#[derive(Deserialize)]
struct Document {
    keys: Vec<Value>,
}

/// The keys of an issuer.
#[derive(Default)]
pub(super) struct KeySet(Vec<Arc<VerifyingKey>>);

impl KeySet {
    /// Reads a document. A key that is not understood costs itself: issuers publish others beside those for tokens.
    /// Without any, an issuer has taken its keys back, and nothing of its is believed.
    pub(super) fn read(document: &[u8]) -> Result<Self, serde_json::Error> {
        let document: Document = serde_json::from_slice(document)?;
        let keys = document.keys.into_iter().filter_map(|key| VerifyingKey::of(&serde_json::from_value(key).ok()?));
        Ok(Self(keys.take(MAX_KEYS).map(Arc::new).collect()))
    }

    pub(super) fn len(&self) -> usize {
        self.0.len()
    }

    /// The key for a token whose header says so. `None`: the issuer may have published it since.
    pub(super) fn find(
        &self,
        kid: Option<&str>,
        algorithm: Algorithm,
    ) -> Option<Result<Arc<VerifyingKey>, TokenError>> {
        let fits = |key: &&Arc<VerifyingKey>| key.algorithms.contains(&algorithm);
        let Some(kid) = kid else {
            let mut fitting = self.0.iter().filter(fits);
            return Some(match (fitting.next(), fitting.next()) {
                (Some(key), None) => Ok(Arc::clone(key)),
                _ => Err(TokenError::NoKey),
            });
        };
        let named = || self.0.iter().filter(|key| key.kid.as_deref() == Some(kid));
        match named().find(fits) {
            Some(key) => Some(Ok(Arc::clone(key))),
            None => named().next().map(|_| Err(not_accepted(&format!("{algorithm:?}")))),
        }
    }
}
