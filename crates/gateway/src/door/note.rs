//! What is noted about a request on its way in, for those few that somebody wants to know more of:
//! recorded ones, and those of a rehearsal.

use super::answers::No;
use super::ending::Recording;
use super::incoming;
use super::line::Told;
use super::running::Running;
use super::service::{DoorService, InProcess};
use crate::config::TargetSpec;
use crate::recorder::Tap;
use hyper::body::{Body as _, Incoming};
use hyper::header::HeaderValue;
use hyper::http::request::Parts;
use std::net::IpAddr;
use wire::problem::DoorCode;

impl<S: InProcess> DoorService<S> {
    /// Believes a mark that is ours, and takes every other one out. Behind the door it stands
    /// beside the headers, where nobody outside can put one. Gives what answers to it carry.
    pub(super) fn admit_mark(&self, parts: &mut Parts, told: &Told) -> Option<HeaderValue> {
        let now_s = self.door.clocks.both().unix_us / 1_000_000;
        let running = self.door.running();
        let verified = running.extras.marks.admit(&mut parts.headers, now_s)?;
        told.run.set(Some(verified.run));
        let acknowledgement = verified.acknowledgement.clone();
        parts.extensions.insert(verified);
        Some(acknowledgement)
    }

    /// Begins to record a request, if the sample takes it.
    pub(super) fn record(
        &self,
        tap: &Tap,
        running: &Running,
        parts: &Parts,
        buyer: Option<&str>,
        told: &Told,
    ) {
        // A swap in between: it is known already.
        if told.recording.borrow().is_some() {
            return;
        }
        let now = self.door.clocks.both();
        // Whatever tells clients apart best.
        let client = || match (buyer, running.identity.device(&parts.headers)) {
            (Some(buyer), _) => buyer.as_bytes().to_vec(),
            (None, Some(device)) => device.as_bytes().to_vec(),
            (None, None) => match told.client.get() {
                IpAddr::V4(address) => address.octets().to_vec(),
                IpAddr::V6(address) => address.octets().to_vec(),
            },
        };
        let capture = tap.take_of(parts, client, now.unix_us / 1_000);
        let recording = capture.map(|capture| Recording::new(capture, now.nanos));
        *told.recording.borrow_mut() = recording;
    }

    /// The body of a request; of a recorded one, it is looked at on its way. `None`: it is lost.
    pub(super) async fn body(&self, body: Incoming, told: &Told) -> Option<Incoming> {
        let see = match &*told.recording.borrow() {
            Some(recording) if !body.is_end_stream() => recording.sees(),
            Some(_) | None => return Some(body),
        };
        // Boxed: few are recorded, and all of them would carry its room.
        let (body, flow) = Box::pin(incoming::shown(body, see)).await?;
        if let Some(recording) = &mut *told.recording.borrow_mut() {
            recording.flow = Some(flow);
        }
        Some(body)
    }
}

/// Whether the door itself answered a request that it let in. It acknowledges those marks; of all
/// other answers, whoever made them does.
pub(super) fn is_own(running: &Running, told: &Told) -> bool {
    let route = told.route.get().map(|id| usize::from(id.0));
    let target = route.and_then(|place| running.compiled.routes.get(place));
    let stands_here = target.is_some_and(|route| {
        matches!(
            route.target,
            TargetSpec::Static | TargetSpec::Redirect { .. }
        )
    });
    stands_here || told.code.get().is_some()
}

pub(super) fn broken_off() -> No<'static> {
    No::new(DoorCode::BadRequest, "The body broke off.")
}
