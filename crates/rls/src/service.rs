//! The two services of the port: `ShouldRateLimit`, and the health check that Envoy asks its
//! clusters by.

use crate::Counts;
use crate::answer::{decided, unlimited};
use crate::entries::{Entries, describe};
use crate::grpc::{Failure, answer, fail, is_grpc, plain, unframed};
use crate::limits::{
    DESCRIPTORS_MAX, ENTRIES_PER_DESCRIPTOR_MAX, MESSAGE_BYTES_MAX, MESSAGE_MS_MAX,
};
use crate::message::{HealthRequest, HealthResponse, Request as Asked, Response as Told, Serving};
use bytes::Bytes;
use gateway::door::Door;
use guard::Description;
use host::Drain;
use host::http::{Body, BodyError, Service, read_body};
use hyper::body::Incoming;
use hyper::{Method, Request, Response, StatusCode};
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

const SHOULD_RATE_LIMIT: &str = "/envoy.service.ratelimit.v3.RateLimitService/ShouldRateLimit";
const HEALTH_CHECK: &str = "/grpc.health.v1.Health/Check";
/// What may be asked about in a health check; no name asks about all.
const SERVICES: [&str; 2] = ["", "envoy.service.ratelimit.v3.RateLimitService"];

pub(crate) struct RateLimitService {
    pub door: Arc<Door>,
    pub counts: Arc<Counts>,
    pub domains: Arc<[String]>,
    pub entries: Arc<Entries>,
    pub drain: Drain,
}

impl Service for RateLimitService {
    async fn call(&self, request: Request<Incoming>, _peer: SocketAddr) -> Response<Body> {
        if request.method() != Method::POST {
            add(&self.counts.malformed, 1);
            return plain(StatusCode::METHOD_NOT_ALLOWED);
        }
        if !is_grpc(request.headers()) {
            add(&self.counts.malformed, 1);
            return plain(StatusCode::UNSUPPORTED_MEDIA_TYPE);
        }
        let (head, body) = request.into_parts();
        let done = match head.uri.path() {
            SHOULD_RATE_LIMIT => read(body).await.and_then(|body| self.limit(&body)),
            HEALTH_CHECK => read(body).await.and_then(|body| self.health(&body)),
            _ => Err(Failure::Unimplemented(
                "expected ShouldRateLimit or a health check",
            )),
        };
        done.unwrap_or_else(|failure| {
            add(&self.counts.malformed, 1);
            fail(failure)
        })
    }
}

impl RateLimitService {
    fn limit(&self, body: &Bytes) -> Result<Response<Body>, Failure> {
        let mut asked: Asked = unframed(body)?;
        let descriptors = asked.descriptors.len();
        if descriptors > DESCRIPTORS_MAX {
            return Err(Failure::ResourceExhausted("too many descriptors"));
        }
        let long =
            |one: &crate::message::Descriptor| one.entries.len() > ENTRIES_PER_DESCRIPTOR_MAX;
        if asked.descriptors.iter().any(long) {
            return Err(Failure::ResourceExhausted(
                "a descriptor has too many entries",
            ));
        }
        if !self.domains.contains(&asked.domain) {
            add(&self.counts.unknown_domain, 1);
            return Ok(answer(&unlimited(descriptors)));
        }
        add(&self.counts.descriptors, descriptors);
        let refunds: Vec<bool> = asked
            .descriptors
            .iter()
            .map(|d| d.is_negative_hits)
            .collect();
        let back = refunds.iter().filter(|refund| **refund).count();
        add(&self.counts.refunds_ignored, back);
        asked
            .descriptors
            .retain(|descriptor| !descriptor.is_negative_hits);
        let own = asked.descriptors.iter().filter(|d| d.limit.is_some());
        add(&self.counts.overrides, own.count());
        let mut told = self.decide(&asked);
        // Envoy expects a status in the place of each descriptor.
        for (place, _) in refunds.iter().enumerate().filter(|(_, refund)| **refund) {
            let ok = unlimited(1).statuses.pop().unwrap_or_default();
            told.statuses.insert(place, ok);
        }
        let ended = match told.overall_code() {
            crate::message::Code::OverLimit => &self.counts.over_limit,
            crate::message::Code::Ok | crate::message::Code::Unknown => &self.counts.ok,
        };
        add(ended, 1);
        Ok(answer(&told))
    }

    fn decide(&self, asked: &Asked) -> Told {
        let mut told = vec![None; asked.descriptors.len()];
        let (answer, unknown) = self.door.with_limits(|limits, terms, now| {
            let (described, unknown): (Vec<Description>, u64) =
                describe(asked, &self.entries, terms);
            let allowed = limits.ask_together(&described, now, &mut told);
            (decided(allowed, &told, limits), unknown)
        });
        self.counts
            .unknown_entries
            .fetch_add(unknown, Ordering::Relaxed);
        answer
    }

    fn health(&self, body: &Bytes) -> Result<Response<Body>, Failure> {
        let asked: HealthRequest = unframed(body)?;
        add(&self.counts.health_checks, 1);
        if !SERVICES.contains(&asked.service.as_str()) {
            return Err(Failure::NotFound("there is no such service here"));
        }
        let status = match self.drain.is_draining() {
            true => Serving::NotServing,
            false => Serving::Serving,
        };
        Ok(answer(&HealthResponse {
            status: status.into(),
        }))
    }
}

async fn read(body: Incoming) -> Result<Bytes, Failure> {
    let read = read_body(
        body,
        MESSAGE_BYTES_MAX,
        Duration::from_millis(MESSAGE_MS_MAX),
    )
    .await;
    read.map_err(|error| match error {
        BodyError::TooLarge { .. } => Failure::ResourceExhausted("the message is too long"),
        BodyError::TooSlow { .. } => Failure::DeadlineExceeded,
        BodyError::Broken => Failure::InvalidArgument("the message was cut short"),
    })
}

fn add(counter: &AtomicU64, by: usize) {
    counter.fetch_add(by as u64, Ordering::Relaxed);
}
