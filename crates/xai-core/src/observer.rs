//! What happens during a run, for progress bars and logs.

use std::ops::ControlFlow;

/// What happens during a run.
#[derive(Clone, Copy, Debug, PartialEq)]
#[non_exhaustive]
pub enum Event<'a> {
    /// The run begins.
    Started {
        /// The method's name.
        method: &'a str,
    },
    /// Some work is done.
    Step {
        /// Steps done, in the method's own unit.
        done: u64,
        /// Steps in all, when known.
        total: Option<u64>,
    },
    /// The answer is there.
    Finished {
        /// Rows the model was asked for.
        queries: u64,
    },
}

/// Receives the events of one run and may stop it. Implemented for closures.
pub trait Observer {
    /// Receives an event; `Break` ends the run at the next clean point.
    fn on(&mut self, event: Event<'_>) -> ControlFlow<()>;
}

impl<F: FnMut(Event<'_>) -> ControlFlow<()>> Observer for F {
    fn on(&mut self, event: Event<'_>) -> ControlFlow<()> {
        self(event)
    }
}

/// Receives the events of many inputs, from any thread, and may stop each of them. Implemented for closures.
///
/// The order of the events of different inputs depends on the threads; the explanations do not.
pub trait InputObserver: Sync {
    /// Receives an event of the input at this place, counted from 0; `Break` ends the run of that input.
    fn on(&self, index: usize, event: Event<'_>) -> ControlFlow<()>;
}

impl<F: Fn(usize, Event<'_>) -> ControlFlow<()> + Sync> InputObserver for F {
    fn on(&self, index: usize, event: Event<'_>) -> ControlFlow<()> {
        self(index, event)
    }
}

/// Who receives the events of a run.
pub(crate) enum RunObserver<'o> {
    One(&'o mut dyn Observer),
    OfInput(usize, &'o dyn InputObserver),
}

impl RunObserver<'_> {
    pub(crate) fn on(&mut self, event: Event<'_>) -> ControlFlow<()> {
        match self {
            RunObserver::One(observer) => observer.on(event),
            RunObserver::OfInput(index, observer) => observer.on(*index, event),
        }
    }
}
