//! What can go wrong between two processes.

use std::error;
use std::fmt;

use handover::Why;

/// Why an end could not be exported or imported, or why its driver stopped.
///
/// The local end is told [`Why::Dropped`] then, and the driver's output tells which of these it was.
///
/// ```
/// use handover_remote::Error;
///
/// let error = Error::TooLarge { bytes: 9_000_000, limit: 8_388_608 };
/// assert_eq!(error.to_string(), "an item of 9000000 bytes is above the bound of 8388608 bytes");
/// ```
#[derive(Debug)]
#[non_exhaustive]
pub enum Error {
    /// The key is no plain key: it is empty, has a wildcard, or begins or ends with a slash. With what is wrong.
    Key(String),
    /// Somebody else exports under this key, or has imported what is exported there.
    Taken,
    /// The peer speaks another version of the protocol: this one.
    Version(u8),
    /// An item or a demand cannot be written as bytes. With what its serializer says.
    Encode(String),
    /// Bytes of the peer are no item or no demand of this type. With what the deserializer says.
    Decode(String),
    /// An item, or a demand, is above [`max_batch_bytes`](crate::Options::max_batch_bytes).
    TooLarge {
        /// Its size.
        bytes: usize,
        /// The bound.
        limit: usize,
    },
    /// The peer was away for longer than [`grace`](crate::Options::grace): it died, its link did, or its driver was dropped.
    Gone,
    /// The peer went away, and another life of it has begun under the same key.
    Restarted,
    /// The peer was away for so long that it has forgotten this end: what this end holds was given to somebody else.
    Forgotten,
    /// The sharing end of jobs has ended, and not by saying that it was finished: jobs may be missing.
    Ended(Why),
    /// The peer gave up. With its error.
    Peer(String),
    /// The session failed, or was closed.
    Session(zenoh::Error),
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Error::Key(why) => write!(f, "no usable key: {why}"),
            Error::Taken => f.write_str("the key is taken by somebody else"),
            Error::Version(theirs) => write!(
                f,
                "the peer speaks version {theirs} of the protocol, this is version {}",
                crate::wire::VERSION
            ),
            Error::Encode(why) => write!(f, "a value cannot be written as bytes: {why}"),
            Error::Decode(why) => write!(f, "bytes of the peer are no value of this type: {why}"),
            Error::TooLarge { bytes, limit } => {
                write!(f, "an item of {bytes} bytes is above the bound of {limit} bytes")
            }
            Error::Gone => f.write_str("the peer was away for longer than the grace time"),
            Error::Restarted => f.write_str("the peer went away and was started anew"),
            Error::Forgotten => {
                f.write_str("the peer has forgotten this end, which was away for too long")
            }
            Error::Ended(why) => write!(f, "the sharing end has ended: {why}"),
            Error::Peer(why) => write!(f, "the peer gave up: {why}"),
            Error::Session(error) => write!(f, "the session failed: {error}"),
        }
    }
}

impl error::Error for Error {
    fn source(&self) -> Option<&(dyn error::Error + 'static)> {
        match self {
            Error::Session(error) => Some(&**error),
            _ => None,
        }
    }
}

impl Error {
    pub(crate) fn session_closed() -> Self {
        Error::Session("the session was closed".into())
    }
}
