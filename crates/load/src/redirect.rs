//! Redirects: where the next request of a buyer goes, and how many are followed.
//!
//! Only the target itself is followed: another host has not said that it wants load. It must not
//! know about connections or figures.

use crate::answer::Answer;
use crate::request::resolved;
use crate::rng::Rng;
use crate::run::Target;
use hyper::{Method, StatusCode};

/// A request that may be redirected, under way. Kept by its buyer until it has its last answer.
#[derive(Clone, Debug)]
pub(crate) struct Way {
    /// Of the request under way.
    pub path: String,
    /// Redirects so far.
    pub hops: u32,
    /// Without its body, and GET.
    pub bare: bool,
    /// Chance as it was before the first request was written, so that a repeated one is the same.
    pub rng: Rng,
}

/// What an answer means for a request that may be redirected.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Led {
    /// It is the last one.
    Here,
    /// The way leads on.
    On,
    /// To another host, or further than is followed: an error, and its reason.
    Astray(&'static str),
}

impl Way {
    /// Goes on if the answer is a redirect that is followed.
    pub fn led(&mut self, answer: &Answer<'_>, method: &Method, most: u32, to: &Target) -> Led {
        let bare = match answer.status {
            // As browsers do it; RFC 9110, 15.4 allows it.
            StatusCode::MOVED_PERMANENTLY | StatusCode::FOUND => {
                self.bare || *method == Method::POST
            }
            StatusCode::SEE_OTHER => true,
            StatusCode::TEMPORARY_REDIRECT | StatusCode::PERMANENT_REDIRECT => self.bare,
            _ => return Led::Here,
        };
        let Some(location) = answer.header("location").next() else {
            return Led::Here;
        };
        if self.hops >= most {
            return Led::Astray("too many redirects");
        }
        let Some(path) = resolved(location, &self.path, to) else {
            return Led::Astray("redirected to another host");
        };
        (self.path, self.bare) = (path, bare);
        self.hops += 1;
        Led::On
    }
}
