//! The operations: what the methods of the ends return, and what a caller then waits for as it likes.
//!
//! | call | waits |
//! |---|---|
//! | `op.await` | in a task, on any executor |
//! | `op.until(future).await` | in a task, until the future is done: an executor's sleep, a stop signal |
//! | `op.wait()` | blocks this thread |
//! | `op.wait_timeout(d)`, `op.wait_deadline(t)` | blocks this thread, not for ever |
//! | `op.now()` | not at all |
//!
//! An operation does nothing before it is first polled or waited for. Dropping it withdraws it: what it carries has then been
//! delivered, or is dropped with it; `reclaim()` tells which and gives it back.
//! See [the guide](crate::guide::foreign_select) for operations in a foreign `select!`.
//!
//! # What the compiler says where the waiting is missing
//!
//! An operation is not yet its result. Where a call of this table is left out, the compiler speaks of the type [`Op`]:
//!
//! | code | message | right |
//! |---|---|---|
//! | `server.send(1);` | unused `Op` that must be used | `server.send(1).wait()` or `.await` |
//! | `server.send(1)?;` | the `?` operator cannot be applied to type `Op<..>` | `server.send(1).wait()?` |
//! | `client.recv().unwrap()` | no method named `unwrap` found for struct `Op<S>` | `client.recv().await.unwrap()` |
//! | `while let Ok(item) = client.recv()` | expected `Op<..>`, found `Result<_, _>` | `while let Ok(item) = client.recv().await` |

pub use crate::lockstep::{Answer, Ask, Demand, Exchange, Recv, SendAll};
pub use crate::operation::{Op, Until};
pub use crate::pipe::Finished;
pub use crate::rendezvous::{Closed, Reserve, Send, SendEach, Take};
pub use crate::select::{Arm, Select};
#[cfg(feature = "sink")]
pub use crate::send_stream::{SendStream, SendStreamEach};
pub use crate::slot::{Left, PeerLeft};
pub use crate::stream::{
    Flush, Read, ReadInto, ReadOnce, ReadOne, SendOne, Wanted, Write, WriteLocal,
};
