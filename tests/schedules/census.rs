//! Items that are counted: a lost one and a doubled one are noticed.

use std::sync::Arc;
use std::sync::atomic::AtomicIsize;
use std::sync::atomic::Ordering::Relaxed;

/// Counts the items that live.
#[derive(Clone, Default)]
pub(crate) struct Census(Arc<AtomicIsize>);

impl Census {
    pub(crate) fn item(&self, source: usize, number: usize) -> Item {
        self.0.fetch_add(1, Relaxed);
        Item { source, number, census: self.clone() }
    }

    /// When all ends have gone: everything has been dropped, once.
    pub(crate) fn assert_empty(&self) {
        self.assert_at_most(0);
    }

    /// As `assert_empty`, but for so many that may be forgotten.
    pub(crate) fn assert_at_most(&self, forgotten: usize) {
        let live = self.0.load(Relaxed);
        let most = isize::try_from(forgotten).unwrap();
        assert!((0..=most).contains(&live), "{live} items live, {most} may be forgotten");
    }
}

/// The `number`th item of a source.
pub(crate) struct Item {
    pub(crate) source: usize,
    pub(crate) number: usize,
    census: Census,
}

impl Item {
    pub(crate) fn key(&self) -> (usize, usize) {
        (self.source, self.number)
    }
}

impl Drop for Item {
    fn drop(&mut self) {
        self.census.0.fetch_sub(1, Relaxed);
    }
}
