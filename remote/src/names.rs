//! The keys below a user's key, and the ids that stand in them.
//!
//! | key | what stands there |
//! |---|---|
//! | `<key>/@handover/answers/<epoch>` | one life of an exporting end: its token, and the questions to it |
//! | `<key>/@handover/asks/<id>` | an importing end: its token |

use std::collections::hash_map::RandomState;
use std::hash::{BuildHasher, Hasher};
use std::process;
use std::time::SystemTime;

use zenoh::key_expr::KeyExpr;

use crate::error::Error;

#[derive(Clone, Debug)]
pub(crate) struct Names {
    answerers: String,
    askers: String,
}

impl Names {
    pub(crate) fn new(key: &str) -> Result<Self, Error> {
        let expression = KeyExpr::new(key).map_err(|error| Error::Key(error.to_string()))?;
        if expression.is_wild() {
            return Err(Error::Key(format!("`{key}` has a wildcard")));
        }
        let answerers = format!("{key}/@handover/answers");
        Ok(Self { answerers, askers: format!("{key}/@handover/asks") })
    }

    pub(crate) fn answerers(&self) -> &str {
        &self.answerers
    }

    pub(crate) fn askers(&self) -> &str {
        &self.askers
    }

    pub(crate) fn answerer(&self, epoch: u64) -> String {
        format!("{}/{epoch}", self.answerers)
    }

    pub(crate) fn asker(&self, id: u64) -> String {
        format!("{}/{id}", self.askers)
    }
}

/// An id that no other process and no other call gives: the standard library's random keys, the process and the time.
pub(crate) fn fresh_id() -> u64 {
    let mut hasher = RandomState::new().build_hasher();
    hasher.write_u32(process::id());
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
    hasher.write_u128(now.map_or(0, |since| since.as_nanos()));
    hasher.finish()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_must_be_a_plain_one() {
        assert!(Names::new("a/b").is_ok());
        for key in ["", "/a", "a/", "a//b", "a/*", "a/**", "a/$*", "a?b", "a#b"] {
            assert!(matches!(Names::new(key), Err(Error::Key(_))), "{key:?}");
        }
    }
}
