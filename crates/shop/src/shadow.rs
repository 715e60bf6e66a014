//! The shadow of the shop: a second shop in the same process, with books, buyers, sessions and a
//! bank of its own, for requests that the door found to belong to a rehearsal.
//!
//! A marked request is served by the shadow of its run or refused; no path leads from here to the
//! real shop. Whether a request is marked comes in from the door, never from its headers. Requests
//! without a mark do not come here, so nothing of this costs them anything.
//! It must not know how a shadow is made, or what a mark looks like.

use crate::answer::Problem;
use crate::limits::SHADOW_ANSWER_MS_MAX;
use crate::service::{Front, ShopService, buyer};
use crate::shop::Shop;
use host::http::Body;
use hyper::Response;
use hyper::body::Incoming;
use hyper::http::request::Parts;
use sale::BuyerId;
use std::cell::RefCell;
use std::rc::Rc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;
use tokio::sync::watch;
use wire::problem::Code;

/// One run's shadow.
#[derive(Debug)]
pub struct Shadow {
    /// Whose marks it serves, once it is proven to be apart.
    pub run: String,
    /// The run of the requests that prove it: served from the start.
    pub probe: String,
    pub shop: Arc<Shop>,
    pub requests: AtomicU64,
    proven: AtomicBool,
    broken: Arc<AtomicBool>,
    closed: watch::Sender<bool>,
}

/// How far a shadow is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Standing {
    Unproven,
    Proven,
    /// Its journal or its projection failed; it serves nobody.
    Broken,
}

impl Standing {
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Standing::Unproven => "unproven",
            Standing::Proven => "proven",
            Standing::Broken => "broken",
        }
    }
}

impl Shadow {
    /// `broken` is set when its journal or its projection fails: nobody is served from then on.
    #[must_use]
    pub fn new(
        run: String,
        probe: String,
        shop: Arc<Shop>,
        broken: Arc<AtomicBool>,
    ) -> Arc<Shadow> {
        Arc::new(Shadow {
            run,
            probe,
            shop,
            requests: AtomicU64::new(0),
            proven: AtomicBool::new(false),
            broken,
            closed: watch::Sender::new(false),
        })
    }

    pub fn standing(&self) -> Standing {
        match self.broken.load(Ordering::Acquire) {
            true => Standing::Broken,
            false if self.proven.load(Ordering::Acquire) => Standing::Proven,
            false => Standing::Unproven,
        }
    }
    /// An order of its probe was found here and nowhere else.
    pub fn prove(&self) {
        self.proven.store(true, Ordering::Release);
    }
    /// Every worker lets go of it, after its last answers.
    pub fn end(&self) {
        self.shop.end();
        self.closed.send_replace(true);
    }

    fn takes(&self, run: &str) -> Result<(), Problem> {
        let no = |code, detail: &str| Err(Problem::new(code).with("run", run).detail(detail));
        match self.standing() {
            Standing::Broken => no(Code::NoShadow, "The shadow of this run broke."),
            Standing::Unproven | Standing::Proven if run == self.probe => Ok(()),
            _ if run != self.run => no(Code::NoShadow, "The shadow of another run is open."),
            Standing::Proven => Ok(()),
            Standing::Unproven => no(
                Code::ShadowUnproven,
                "No canary has shown on this instance that the shadow is apart.",
            ),
        }
    }
}

/// The place of the shadow; there is one at a time.
#[derive(Debug, Default)]
pub struct Shadows {
    place: RwLock<Option<Arc<Shadow>>>,
    /// Marked requests that no shadow took.
    pub refused: AtomicU64,
}

impl Shadows {
    #[must_use]
    pub fn current(&self) -> Option<Arc<Shadow>> {
        let place = self.place.read().unwrap_or_else(PoisonError::into_inner);
        place.clone()
    }

    /// Puts a shadow in the place. `false`: it is taken.
    #[must_use]
    pub fn open(&self, shadow: &Arc<Shadow>) -> bool {
        let mut place = self.place.write().unwrap_or_else(PoisonError::into_inner);
        let free = place.is_none();
        if free {
            *place = Some(Arc::clone(shadow));
        }
        free
    }

    /// From now on its marks are refused; what was let in goes on.
    pub fn close(&self) -> Option<Arc<Shadow>> {
        let mut place = self.place.write().unwrap_or_else(PoisonError::into_inner);
        place.take()
    }

    fn of_run(&self, run: &str) -> Result<Arc<Shadow>, Problem> {
        let none = || {
            let detail = "No shadow is open on this instance.";
            Problem::new(Code::NoShadow).with("run", run).detail(detail)
        };
        let shadow = self.current().ok_or_else(none)?;
        shadow.takes(run).map(|()| shadow)
    }
}

/// One worker's way into the shadow.
#[derive(Debug)]
pub struct ShadowFronts {
    shadows: Arc<Shadows>,
    here: Rc<RefCell<Option<Here>>>,
}

#[derive(Debug)]
struct Here {
    shadow: Arc<Shadow>,
    front: Rc<Front>,
}

impl ShadowFronts {
    #[must_use]
    pub fn new(shadows: Arc<Shadows>) -> ShadowFronts {
        ShadowFronts {
            shadows,
            here: Rc::default(),
        }
    }

    /// Whose session of the shadow a marked request carries. Those of the real shop are signed
    /// with another key.
    #[must_use]
    pub fn buyer(&self, run: &str, parts: &Parts) -> Option<BuyerId> {
        let shadow = self.shadows.of_run(run).ok()?;
        buyer(&self.front(&shadow), parts)
    }

    /// Serves a request that the door found to belong to `run`. `Err` is a refusal that nobody
    /// may take for an answer of the shadow.
    pub async fn answer(
        &self,
        run: &str,
        parts: Parts,
        body: Incoming,
        session: Option<Option<BuyerId>>,
    ) -> Result<Response<Body>, Response<Body>> {
        let shadow = match self.shadows.of_run(run) {
            Ok(shadow) => shadow,
            Err(problem) => {
                self.shadows.refused.fetch_add(1, Ordering::Relaxed);
                return Err(problem.answer());
            }
        };
        shadow.requests.fetch_add(1, Ordering::Relaxed);
        let front = self.front(&shadow);
        let buyer = session.unwrap_or_else(|| buyer(&front, &parts));
        let service = ShopService(front);
        let answer = service.answer(parts, body, buyer);
        let patience = Duration::from_millis(SHADOW_ANSWER_MS_MAX);
        let answer = tokio::time::timeout(patience, answer).await;
        answer.map_err(|_| Problem::new(Code::OutcomeUnknown).answer())
    }

    fn front(&self, shadow: &Arc<Shadow>) -> Rc<Front> {
        let mut here = self.here.borrow_mut();
        if let Some(here) = &*here
            && Arc::ptr_eq(&here.shadow, shadow)
        {
            return Rc::clone(&here.front);
        }
        let front = Front::of(Arc::clone(&shadow.shop));
        *here = Some(Here {
            shadow: Arc::clone(shadow),
            front: Rc::clone(&front),
        });
        let (pumped, ours) = (Rc::clone(&front), Rc::downgrade(&self.here));
        let (shadow, mut closed) = (Arc::clone(shadow), shadow.closed.subscribe());
        tokio::task::spawn_local(async move {
            // The answers that came before the end are handed out first.
            tokio::select! {
                biased;
                () = pumped.desk.pump() => {}
                _ = closed.wait_for(|closed| *closed) => {}
            }
            if let Some(ours) = ours.upgrade() {
                ours.borrow_mut()
                    .take_if(|here| Arc::ptr_eq(&here.shadow, &shadow));
            }
        });
        front
    }
}
