//! `select`: one operation of several.

mod arms;
mod cancel;
mod cases;
mod claims;
mod ends;
mod fairness;
mod kept;
mod meetings;
mod model;
mod nested;
mod nested_model;
mod panics;
mod passed_over;
mod stress;
mod time;

use std::time::Duration;

/// How long a select waits that is not to happen.
const MOMENT: Duration = Duration::from_millis(2);
