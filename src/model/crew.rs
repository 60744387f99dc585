//! Threads that are used again by the next runs: to start one costs as much as twenty turns.

use std::sync::Arc;
use std::thread::{self, JoinHandle};

use parking_lot::Mutex;

use super::seat::Seat;

type Job = Box<dyn FnOnce() + Send>;

/// What a worker does next.
enum Order {
    Nothing,
    Run(Job),
    Stop,
}

struct Worker {
    order: Arc<Mutex<Order>>,
    stack_size: Option<usize>,
    handle: JoinHandle<()>,
}

impl Worker {
    fn start(stack_size: Option<usize>) -> std::io::Result<Self> {
        let order = Arc::new(Mutex::new(Order::Nothing));
        let its_order = Arc::clone(&order);
        let mut builder = thread::Builder::new();
        if let Some(size) = stack_size {
            builder = builder.stack_size(size);
        }
        let handle = builder.spawn(move || work(&its_order))?;
        Ok(Self { order, stack_size, handle })
    }
}

/// The threads of one exploration. Dropped, it ends those that are idle.
#[derive(Default)]
pub(super) struct Crew {
    idle: Mutex<Vec<Worker>>,
    /// The workers that are busy, by the address of their order.
    busy: Mutex<Vec<Worker>>,
}

impl std::fmt::Debug for Crew {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Crew").finish_non_exhaustive()
    }
}

impl Crew {
    /// Gives a job to a worker, which begins it when the party gets its first turn. When the job has called its argument, the worker may have the next one.
    pub(super) fn run(
        self: &Arc<Self>,
        seat: &Seat,
        stack_size: Option<usize>,
        job: impl FnOnce(&dyn Fn()) + Send + 'static,
    ) -> std::io::Result<()> {
        let worker = match self.take_idle(stack_size) {
            Some(worker) => worker,
            None => Worker::start(stack_size)?,
        };
        seat.turn.set_thread(worker.handle.thread().clone());
        let (crew, its_order) = (Arc::clone(self), Arc::clone(&worker.order));
        let job: Job = Box::new(move || job(&|| crew.is_done(&its_order)));
        *worker.order.lock() = Order::Run(job);
        if seat.run.is_ending() {
            worker.handle.thread().unpark();
        }
        self.busy.lock().push(worker);
        Ok(())
    }

    fn take_idle(&self, stack_size: Option<usize>) -> Option<Worker> {
        let mut idle = self.idle.lock();
        let at = idle.iter().rposition(|worker| worker.stack_size == stack_size)?;
        Some(idle.swap_remove(at))
    }

    fn is_done(&self, order: &Arc<Mutex<Order>>) {
        let mut busy = self.busy.lock();
        let at = busy.iter().position(|worker| Arc::ptr_eq(&worker.order, order));
        let worker = at.map(|at| busy.swap_remove(at));
        drop(busy);
        self.idle.lock().extend(worker);
    }

    /// Ends the workers that are idle, and waits for them. One that is stuck is left.
    pub(super) fn stop(&self) {
        for worker in std::mem::take(&mut *self.idle.lock()) {
            *worker.order.lock() = Order::Stop;
            worker.handle.thread().unpark();
            _ = worker.handle.join();
        }
        self.busy.lock().clear();
    }
}

fn work(order: &Mutex<Order>) {
    loop {
        let next = std::mem::replace(&mut *order.lock(), Order::Nothing);
        match next {
            Order::Nothing => thread::park(),
            Order::Run(job) => job(),
            Order::Stop => return,
        }
    }
}
