//! What switches say about one request, copied out of their lock.

use super::running::Running;
use guard::switches::Action;
use hyper::header::HeaderValue;

/// What switches say about one request, copied out of their lock.
pub(super) struct Acts {
    pub answer: Option<Action>,
    /// What is kept is good enough, however old.
    pub stale: bool,
    shields: [Option<guard::switches::FeatureId>; SHIELDS],
}

/// Features of one request that are passed on as shielded; more would be a page of its own.
const SHIELDS: usize = 8;

impl Acts {
    pub fn of(actions: &[Action]) -> Acts {
        let mut acts = Acts {
            answer: actions.iter().copied().find(|action| action.is_answer()),
            stale: actions.contains(&Action::ServeStale),
            shields: [None; SHIELDS],
        };
        let features = actions.iter().filter_map(|action| match action {
            Action::Shield(feature) => Some(*feature),
            _ => None,
        });
        for (place, feature) in acts.shields.iter_mut().zip(features) {
            *place = Some(feature);
        }
        acts
    }

    pub fn shield(&self, running: &Running) -> Option<HeaderValue> {
        let features = &running.compiled.switches.set.features;
        let names: Vec<&str> = self
            .shields
            .iter()
            .flatten()
            .filter_map(|id| features.get(usize::from(id.0)))
            .map(|feature| feature.name.as_str())
            .collect();
        if names.is_empty() {
            return None;
        }
        HeaderValue::from_str(&names.join(", ")).ok()
    }
}
