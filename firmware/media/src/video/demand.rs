//! What is wanted of a pipeline, and the threads that wait for it.

use parking_lot::{Condvar, Mutex};

use super::rung::{Rung, RungTarget};

/// Who wants what: a target for each rung somebody watches, and still pictures.
#[derive(Debug, Default)]
pub(super) struct Demand {
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Debug, Default)]
struct State {
    targets: [Option<RungTarget>; 2],
    stills: usize,
    stopping: bool,
}

impl Demand {
    /// Sets the target of a rung; `tell` learns under the lock whether anything is wanted now. True
    /// when the rung was not wanted before and is now.
    pub(super) fn set_target(
        &self,
        rung: Rung,
        target: Option<RungTarget>,
        tell: impl FnOnce(bool),
    ) -> bool {
        let mut state = self.state.lock();
        let before = std::mem::replace(&mut state.targets[rung.index()], target);
        tell(state.any());
        self.changed.notify_all();
        before.is_none() && target.is_some()
    }

    /// Somebody begins to wait for a still picture.
    pub(super) fn want_still(&self, tell: impl FnOnce(bool)) {
        let mut state = self.state.lock();
        state.stills += 1;
        tell(state.any());
    }

    /// Somebody no longer waits for a still picture.
    pub(super) fn leave_still(&self, tell: impl FnOnce(bool)) {
        let mut state = self.state.lock();
        state.stills = state.stills.saturating_sub(1);
        tell(state.any());
    }

    /// Ends all waits for ever.
    pub(super) fn stop(&self) {
        self.state.lock().stopping = true;
        self.changed.notify_all();
    }

    /// What a rung's encoder is to give; `None` when nobody watches it.
    pub(super) fn target(&self, rung: Rung) -> Option<RungTarget> {
        let state = self.state.lock();
        state.targets[rung.index()].filter(|_| !state.stopping)
    }

    /// The target of the best rung that somebody watches.
    pub(super) fn best(&self) -> Option<RungTarget> {
        Rung::ALL.into_iter().find_map(|rung| self.target(rung))
    }

    /// Waits until somebody watches the rung; false when the pipeline stops instead.
    pub(super) fn wait(&self, rung: Rung) -> bool {
        let mut state = self.state.lock();
        while state.targets[rung.index()].is_none() && !state.stopping {
            self.changed.wait(&mut state);
        }
        !state.stopping
    }
}

impl State {
    fn any(&self) -> bool {
        self.stills > 0 || self.targets.iter().any(Option::is_some)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TARGET: RungTarget = RungTarget { bitrate: 1, fps: 1 };

    #[test]
    fn anything_wanted_keeps_the_source_open() {
        let demand = Demand::default();
        let told = Mutex::new(false);
        let tell = |any| *told.lock() = any;
        assert!(demand.set_target(Rung::Main, Some(TARGET), tell));
        assert!(!demand.set_target(Rung::Main, Some(TARGET), tell));
        demand.want_still(tell);
        demand.set_target(Rung::Main, None, tell);
        assert!(*told.lock() && demand.best().is_none());
        demand.leave_still(tell);
        assert!(!*told.lock());
        assert!(demand.set_target(Rung::Sub, Some(TARGET), tell));
        assert_eq!(
            (demand.best(), demand.target(Rung::Main)),
            (Some(TARGET), None)
        );
    }

    #[test]
    fn stopping_ends_every_wait_and_every_demand() {
        let demand = Demand::default();
        demand.set_target(Rung::Sub, Some(TARGET), |_| {});
        assert!(demand.wait(Rung::Sub));
        demand.stop();
        assert!(!demand.wait(Rung::Sub) && !demand.wait(Rung::Main));
        assert_eq!(demand.best(), None);
    }
}
