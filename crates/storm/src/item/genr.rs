//! Generators: lazy sequences of items that a query holds in a variable or hands to a loop.

use std::sync::Arc;

use parking_lot::Mutex;

use super::Item;
use crate::ctl::Flow;

/// A lazy sequence of items.
pub trait ItemIter: Send {
    /// The next item, or nothing at the end.
    ///
    /// # Errors
    /// Whatever the computation of the item gives.
    fn next_item(&mut self) -> Flow<Option<Item>>;
}

/// A generator shared by everybody who holds the variable; each item goes to one of them.
#[derive(Clone)]
pub struct Genr(Arc<Mutex<Box<dyn ItemIter>>>);

impl Genr {
    /// A generator over a lazy sequence.
    pub fn new(iter: impl ItemIter + 'static) -> Genr {
        Genr(Arc::new(Mutex::new(Box::new(iter))))
    }

    /// A generator over items that are there.
    pub fn of(items: impl IntoIterator<Item = Item, IntoIter: Send + 'static>) -> Genr {
        Genr::new(Ready(items.into_iter()))
    }

    /// A generator over a closure that is asked until it gives nothing.
    pub fn from_fn(next: impl FnMut() -> Flow<Option<Item>> + Send + 'static) -> Genr {
        Genr::new(Ask(next))
    }

    /// The next item.
    ///
    /// # Errors
    /// Whatever the computation gives; `StormRuntimeError` when the generator is asked while it runs.
    pub fn next_item(&self) -> Flow<Option<Item>> {
        match self.0.try_lock() {
            Some(mut iter) => iter.next_item(),
            None => crate::fail!("StormRuntimeError", mesg = "The generator is already running."),
        }
    }

    /// Where it is, for identity.
    pub fn addr(&self) -> usize {
        Arc::as_ptr(&self.0).cast::<()>() as usize
    }
}

struct Ready<I>(I);

impl<I: Iterator<Item = Item> + Send> ItemIter for Ready<I> {
    fn next_item(&mut self) -> Flow<Option<Item>> {
        Ok(self.0.next())
    }
}

struct Ask<F>(F);

impl<F: FnMut() -> Flow<Option<Item>> + Send> ItemIter for Ask<F> {
    fn next_item(&mut self) -> Flow<Option<Item>> {
        (self.0)()
    }
}
