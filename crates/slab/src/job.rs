//! How closures reach the writer thread and their results come back.
//!
//! A blocking call keeps the closure and the place for its result on the caller's stack and sends a pointer: no allocation.
//! An async call shares both behind an `Arc`. A closure that panics costs its own call an error, and nothing else.

use std::cell::UnsafeCell;
use std::panic::AssertUnwindSafe;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll, Waker};
use std::thread::Thread;

use myelin_error::{Error, Result, err};
use parking_lot::Mutex;

use crate::writer::WriteCx;

/// Work for the writer.
pub(crate) enum Job {
    Stack(StackPtr),
    Shared(Arc<dyn Work + Send + Sync>),
    /// A step that only the writer's own thread may take, for a thread that has borrowed the context.
    Step(StepPtr),
    /// Nothing but a reason to look: a borrowed context has come back, or has something to commit by and by.
    Wake,
}

pub(crate) trait Work {
    /// Runs the closure and keeps its result.
    fn execute(&self, cx: &mut WriteCx);
    /// Tells the waiting caller; with an error, that is its result. Nothing may touch the work afterwards.
    fn done(&self, fail: Option<Error>);
}

/// A pointer to work on the stack of a thread that waits for `done`.
pub(crate) struct StackPtr(*const (dyn Work + 'static));

// SAFETY: the closure and its result are Send (see `StackJob::run`), and the pointee waits until `done`.
unsafe impl Send for StackPtr {}

impl Drop for StackPtr {
    /// A job that was sent just when the writer ended lies in its queue for ever: whoever waits for it is told.
    fn drop(&mut self) {
        // SAFETY: a job that is done is forgotten and not dropped, so that its frame still waits.
        unsafe { &*self.0 }.done(Some(crate::writer::fini_error()));
    }
}

impl Job {
    pub fn execute(&self, cx: &mut WriteCx) {
        match self {
            // SAFETY: the caller's stack frame stays until `done` is called, which consumes the job.
            Job::Stack(ptr) => unsafe { &*ptr.0 }.execute(cx),
            Job::Shared(work) => work.execute(cx),
            Job::Step(_) | Job::Wake => {}
        }
    }

    pub fn done(self, fail: Option<Error>) {
        match &self {
            // SAFETY: as above; this is the last touch, since the job is forgotten below.
            Job::Stack(ptr) => unsafe { &*ptr.0 }.done(fail),
            Job::Shared(work) => work.done(fail),
            Job::Step(_) | Job::Wake => {}
        }
        match self {
            Job::Stack(ptr) => std::mem::forget(ptr),
            other => drop(other),
        }
    }

    pub fn fail(self, error: Error) {
        self.done(Some(error));
    }
}

/// Runs a closure on the writer's context; a panic is an error.
pub(crate) fn guarded<T>(cx: &mut WriteCx, func: impl FnOnce(&mut WriteCx) -> Result<T>) -> Result<T> {
    std::panic::catch_unwind(AssertUnwindSafe(|| func(cx))).unwrap_or_else(|panic| {
        let text = panic.downcast_ref::<String>().map(String::as_str).or(panic.downcast_ref::<&str>().copied());
        let text = text.unwrap_or("no message");
        tracing::error!(text, "a job of the writer panicked");
        Err(err!("SynErr", mesg = format!("A change failed inside: {text}.")))
    })
}

/// A closure that the writer's own thread runs at once, whatever else waits.
struct Step<'a> {
    func: UnsafeCell<&'a mut (dyn FnMut() + Send)>,
    done: AtomicBool,
    ran: AtomicBool,
    waiter: Thread,
}

/// A pointer to a step on the stack of a thread that waits for it.
pub(crate) struct StepPtr(*const Step<'static>);

// SAFETY: the closure is Send, and the pointee waits until the pointer is dropped.
unsafe impl Send for StepPtr {}

impl StepPtr {
    /// Runs it; the drop tells the waiting thread.
    pub fn execute(self) {
        // SAFETY: the frame waits for the drop below, and until then nobody else touches the closure.
        unsafe {
            (*(*self.0).func.get())();
            (*self.0).ran.store(true, Ordering::Release);
        }
    }
}

impl Drop for StepPtr {
    fn drop(&mut self) {
        // SAFETY: the frame is there until `done` is set, which is the last touch.
        let step = unsafe { &*self.0 };
        let waiter = step.waiter.clone();
        step.done.store(true, Ordering::Release);
        waiter.unpark();
    }
}

/// Has the writer's own thread run a closure and waits. False if that thread is gone.
pub(crate) fn step(func: &mut (dyn FnMut() + Send), send: impl FnOnce(Job) -> bool) -> bool {
    let step = Step {
        func: UnsafeCell::new(func),
        done: AtomicBool::new(false),
        ran: AtomicBool::new(false),
        waiter: std::thread::current(),
    };
    let ptr: *const Step<'_> = &step;
    // A job that could not be sent is dropped, which sets `done` as well.
    send(Job::Step(StepPtr(ptr.cast())));
    while !step.done.load(Ordering::Acquire) {
        std::thread::park();
    }
    step.ran.load(Ordering::Acquire)
}

pub(crate) struct StackJob<F, T> {
    func: UnsafeCell<Option<F>>,
    out: UnsafeCell<Option<Result<T>>>,
    done: AtomicBool,
    waiter: Thread,
}

impl<T: Send, F: FnOnce(&mut WriteCx) -> Result<T> + Send> StackJob<F, T> {
    pub fn run(func: F, send: impl FnOnce(Job) -> Result<()>) -> Result<T> {
        let job = StackJob {
            func: UnsafeCell::new(Some(func)),
            out: UnsafeCell::new(None),
            done: AtomicBool::new(false),
            waiter: std::thread::current(),
        };
        let ptr: *const (dyn Work + '_) = &job;
        // SAFETY: only the lifetime changes; the frame is not left before `done` is set, or the job was never sent.
        let ptr: *const (dyn Work + 'static) = unsafe { std::mem::transmute(ptr) };
        send(Job::Stack(StackPtr(ptr)))?;
        for _ in 0..200 {
            if job.done.load(Ordering::Acquire) {
                break;
            }
            std::hint::spin_loop();
        }
        while !job.done.load(Ordering::Acquire) {
            std::thread::park();
        }
        job.out.into_inner().unwrap_or_else(|| Err(err!("SynErr", mesg = "The writer dropped a job.")))
    }
}

impl<T: Send, F: FnOnce(&mut WriteCx) -> Result<T> + Send> Work for StackJob<F, T> {
    fn execute(&self, cx: &mut WriteCx) {
        // SAFETY: until `done` is set the writer alone touches the cells; the caller only waits.
        unsafe {
            if let Some(func) = (*self.func.get()).take() {
                *self.out.get() = Some(guarded(cx, func));
            }
        }
    }

    fn done(&self, fail: Option<Error>) {
        if let Some(error) = fail {
            // SAFETY: as in `execute`.
            unsafe { *self.out.get() = Some(Err(error)) };
        }
        // Kept apart: once `done` is set, `self` may be gone.
        let waiter = self.waiter.clone();
        self.done.store(true, Ordering::Release);
        waiter.unpark();
    }
}

pub(crate) struct AsyncJob<F, T> {
    func: Mutex<Option<F>>,
    slot: Mutex<(Option<Result<T>>, bool, Option<Waker>)>,
}

impl<T, F: FnOnce(&mut WriteCx) -> Result<T>> AsyncJob<F, T> {
    pub fn new(func: F) -> AsyncJob<F, T> {
        AsyncJob { func: Mutex::new(Some(func)), slot: Mutex::new((None, false, None)) }
    }
}

impl<T: Send, F: FnOnce(&mut WriteCx) -> Result<T> + Send> Work for AsyncJob<F, T> {
    fn execute(&self, cx: &mut WriteCx) {
        let func = self.func.lock().take();
        if let Some(func) = func {
            let out = guarded(cx, func);
            self.slot.lock().0 = Some(out);
        }
    }

    fn done(&self, fail: Option<Error>) {
        let mut slot = self.slot.lock();
        if let Some(error) = fail {
            slot.0 = Some(Err(error));
        }
        slot.1 = true;
        let waker = slot.2.take();
        drop(slot);
        if let Some(waker) = waker {
            waker.wake();
        }
    }
}

/// The future of an async job.
pub(crate) struct WaitFor<F, T>(pub Arc<AsyncJob<F, T>>);

impl<F, T> Future for WaitFor<F, T> {
    type Output = Result<T>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<T>> {
        let mut slot = self.0.slot.lock();
        if slot.1 {
            let lost = || Err(err!("SynErr", mesg = "The writer dropped a job."));
            return Poll::Ready(slot.0.take().unwrap_or_else(lost));
        }
        slot.2 = Some(cx.waker().clone());
        Poll::Pending
    }
}
