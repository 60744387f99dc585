//! What may be chosen for an end.

use std::time::Duration;

/// What may be chosen for an end that is exported or imported.
///
/// ```
/// use handover_remote::Options;
/// use std::time::Duration;
///
/// let options = Options { grace: Duration::from_secs(30), ..Options::default() };
/// assert_eq!(options.max_batch_bytes, 8 << 20);
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Options {
    /// A peer that cannot be reached may take so long to come back before it counts as dead: 2 seconds by default. Within it, cut links
    /// do no harm. With zero, the end comes with the first sign of death.
    pub grace: Duration,
    /// A question without an answer is asked again after so long, under the same number: 5 seconds by default. A producer that takes longer
    /// is no failure.
    pub ask: Duration,
    /// An answer has no more bytes than this: 8 MiB by default. A larger batch is handed over in several; a single item above the bound is
    /// [`Error::TooLarge`](crate::Error::TooLarge). While an answer is sent, it may block the thread of the driver.
    pub max_batch_bytes: usize,
}

impl Default for Options {
    fn default() -> Self {
        let (grace, ask) = (Duration::from_secs(2), Duration::from_secs(5));
        Self { grace, ask, max_batch_bytes: 8 << 20 }
    }
}
