//! Values that are counted.

use std::fmt;
use std::sync::{Arc, Mutex};

use super::progress;

/// Makes values and sees that each is dropped once.
#[derive(Clone, Debug, Default)]
pub(crate) struct Census {
    drops: Arc<Mutex<Vec<usize>>>,
}

/// A value with a number. Not `Clone`, nor `Copy`; its `Debug` is only for the tests.
pub(crate) struct Counted {
    pub(crate) id: usize,
    drops: Arc<Mutex<Vec<usize>>>,
}

impl Census {
    pub(crate) fn new() -> Self {
        Self::default()
    }

    /// The next value: 0, 1, 2 ...
    pub(crate) fn make(&self) -> Counted {
        progress();
        let mut drops = self.drops.lock().unwrap();
        drops.push(0);
        Counted { id: drops.len() - 1, drops: Arc::clone(&self.drops) }
    }

    /// The next value, and its number.
    pub(crate) fn next(&self) -> (usize, Counted) {
        let value = self.make();
        (value.id, value)
    }

    pub(crate) fn made(&self) -> usize {
        self.drops.lock().unwrap().len()
    }

    /// How many have been dropped.
    pub(crate) fn gone(&self) -> usize {
        self.drops.lock().unwrap().iter().sum()
    }

    /// Each value was dropped exactly once.
    #[track_caller]
    pub(crate) fn assert_settled(&self) {
        let drops = self.drops.lock().unwrap();
        assert!(drops.iter().all(|&n| n == 1), "drops of each value: {drops:?}");
    }

    /// No value was dropped more often than once.
    #[track_caller]
    pub(crate) fn assert_alive(&self, alive: usize) {
        let drops = self.drops.lock().unwrap();
        assert!(drops.iter().all(|&n| n <= 1), "drops of each value: {drops:?}");
        assert_eq!(drops.iter().filter(|&&n| n == 0).count(), alive, "drops: {drops:?}");
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        progress();
        if let Ok(mut drops) = self.drops.lock() {
            drops[self.id] += 1;
        }
    }
}

impl PartialEq<usize> for Counted {
    fn eq(&self, id: &usize) -> bool {
        self.id == *id
    }
}

impl fmt::Debug for Counted {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "#{}", self.id)
    }
}
