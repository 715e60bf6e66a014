//! One coordinator at an agent: its scenario, its plans, and the end.
//!
//! Nothing is sent to a target that `seawall load run` on this machine would refuse. A coordinator
//! that is gone or silent leaves no load behind: the run is stopped, and the agent is free again
//! when the last request is over.

use super::bundle::Bundle;
use super::frames::{FileHead, Frame, Message, PlanShape};
use super::limits::{
    FILES_BYTES_MAX, FILES_MAX, LOOK_MS, PREPARE_MS_MAX, SECONDS_PER_FRAME, SILENT_MS_MAX,
};
use super::link::{Incoming, Outgoing};
use super::serve::Desk;
use crate::arrivals::{Plan, Segment, Spacing};
use crate::compile::Compiled;
use crate::consent;
use crate::run::{Control, Run, Share, Target};
use crate::script::Script;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

/// A scenario that may be sent.
struct Ready {
    script: Arc<Script>,
    compiled: Compiled,
    target: Arc<Target>,
    /// Arrivals a second of all agents, and until when, in seconds of Unix time.
    ceiling: Option<(u64, u64)>,
}

/// A plan under way.
struct Under {
    id: u32,
    run: Run,
    control: Control,
    /// Seconds that the coordinator has.
    told: usize,
}

pub(super) async fn session(
    desk: &Desk,
    mut from: Incoming,
    mut to: Outgoing,
) -> Result<(), String> {
    let most = Duration::from_millis(PREPARE_MS_MAX);
    let late = |_| Err("the scenario took too long".to_owned());
    let prepared = tokio::time::timeout(most, prepare(desk, &mut from)).await;
    let ready = match prepared.unwrap_or_else(late) {
        Ok(ready) => ready,
        Err(why) => {
            let _ = to.tell(&Message::Refused { why: why.clone() }).await;
            return Err(why);
        }
    };
    to.tell(&Message::Prepared {}).await?;
    let mut under = None;
    let ended = lead(desk, &ready, &mut from, &mut to, &mut under).await;
    if let Err(why) = &ended {
        let _ = to.tell(&Message::Refused { why: why.clone() }).await;
    }
    let Some(Under { run, control, .. }) = under else {
        return ended;
    };
    control.stop();
    while !run.is_over() {
        tokio::time::sleep(Duration::from_millis(LOOK_MS)).await;
    }
    let sent = run.join().map(|measured| measured.arrived);
    let sent = sent.map_or_else(|error| error.to_string(), |sent| sent.to_string());
    (desk.say)(&format!("the run was stopped after {sent} arrivals"));
    ended
}

/// Does what the coordinator says until it says goodbye, or is gone.
async fn lead(
    desk: &Desk,
    ready: &Ready,
    from: &mut Incoming,
    to: &mut Outgoing,
    under: &mut Option<Under>,
) -> Result<(), String> {
    let mut look = tokio::time::interval(Duration::from_millis(LOOK_MS));
    look.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    let mut heard = Instant::now();
    loop {
        tokio::select! {
            frame = from.next() => {
                let frame = frame.map_err(|why| format!("the coordinator is gone: {why}"))?;
                heard = Instant::now();
                let Frame::Message(message) = frame else {
                    return Err("a piece of a file came that nobody announced".to_owned());
                };
                match *message {
                    Message::Beat { count } => {
                        let at_us = desk.now_us();
                        to.tell(&Message::Beaten { count, at_us }).await?;
                    }
                    Message::Begin { run, at_us, first, of, plan } if under.is_none() => {
                        *under = Some(begin(desk, ready, run, at_us, Share { first, of }, &plan)?);
                        (desk.say)(&format!("run {run} begins"));
                    }
                    Message::Stop { run } => {
                        if let Some(under) = under.as_ref().filter(|under| under.id == run) {
                            under.control.stop();
                        }
                        to.tell(&Message::Stopped { run }).await?;
                    }
                    Message::Bye {} => return Ok(()),
                    other => {
                        let what = format!("{other:?}").chars().take(60).collect::<String>();
                        return Err(format!("a message at the wrong time: {what}"));
                    }
                }
            }
            _ = look.tick() => {
                if let Some(at) = under.as_mut() && tell(at, to).await?
                    && let Some(done) = under.take() {
                    let (run, arrived) = (done.id, finish(done, to).await?);
                    (desk.say)(&format!("run {run} is over: {arrived} arrivals"));
                }
                if heard.elapsed() > Duration::from_millis(SILENT_MS_MAX) {
                    let seconds = SILENT_MS_MAX / 1_000;
                    return Err(format!("the coordinator was silent for {seconds} s"));
                }
                if desk.stop.load(Ordering::Relaxed) {
                    return Err("the agent was told to end".to_owned());
                }
            }
        }
    }
}

/// What is new; whether that was all.
async fn tell(under: &mut Under, to: &mut Outgoing) -> Result<bool, String> {
    // Before the look at the seconds, so that the last ones are seen.
    let over = under.run.is_over();
    let fresh = under.control.seconds(under.told);
    for seconds in fresh.chunks(SECONDS_PER_FRAME) {
        let message = Message::Seconds {
            run: under.id,
            from: under.told,
            seconds: seconds.to_vec(),
        };
        under.told += seconds.len();
        to.tell(&message).await?;
    }
    Ok(over)
}

/// All figures; how many arrived.
async fn finish(under: Under, to: &mut Outgoing) -> Result<u64, String> {
    let run = under.id;
    let measured = under.run.join().map_err(|error| error.to_string())?;
    let (mut measured, mut from) = (measured, 0);
    for seconds in std::mem::take(&mut measured.seconds).chunks(SECONDS_PER_FRAME) {
        let seconds = seconds.to_vec();
        let message = Message::Final { run, from, seconds };
        to.tell(&message).await?;
        from += SECONDS_PER_FRAME;
    }
    for named in std::mem::take(&mut measured.named) {
        let named = Box::new(named);
        to.tell(&Message::Named { run, named }).await?;
    }
    let (arrived, measured) = (measured.arrived, Box::new(measured));
    to.tell(&Message::Done { run, measured }).await?;
    Ok(arrived)
}

fn begin(
    desk: &Desk,
    ready: &Ready,
    id: u32,
    at_us: u64,
    share: Share,
    plan: &PlanShape,
) -> Result<Under, String> {
    let plan = Plan::try_from(plan)?;
    let workers = desk.workers();
    if share
        .first
        .checked_add(workers)
        .is_none_or(|last| last > share.of)
    {
        let Share { first, of } = share;
        return Err(format!(
            "a share of workers {first} and on of {of} for {workers} workers"
        ));
    }
    if let Some((ceiling, until_s)) = ready.ceiling {
        let peak = plan.peak_per_s();
        if peak > ceiling as f64 {
            return Err(format!(
                "the plan goes to {peak:.0}/s and the target allows {ceiling}/s"
            ));
        }
        if now_s() >= until_s {
            return Err("the note of the target is over".to_owned());
        }
    }
    let now_us = desk.now_us();
    let Some(ahead_us) = at_us.checked_sub(now_us) else {
        let late = (now_us - at_us) / 1_000;
        return Err(format!(
            "the order to begin came {late} ms after the instant to begin"
        ));
    };
    let mut options = ready.compiled.options.clone();
    (options.workers, options.share) = (workers, Some(share));
    let start = Instant::now() + Duration::from_micros(ahead_us);
    let (script, target) = (Arc::clone(&ready.script), Arc::clone(&ready.target));
    let run = Run::start_at(script, plan, target, &options, start);
    let (control, told) = (run.control(), 0);
    Ok(Under {
        id,
        run,
        control,
        told,
    })
}

/// Takes the scenario with its files; whatever blocks is done elsewhere.
async fn prepare(desk: &Desk, from: &mut Incoming) -> Result<Ready, String> {
    let Frame::Message(message) = from.next().await? else {
        return Err("a piece of a file came before the scenario".to_owned());
    };
    let Message::Scenario {
        name,
        text,
        url,
        files: heads,
    } = *message
    else {
        return Err("something else than a scenario came".to_owned());
    };
    let bytes = heads
        .iter()
        .try_fold(0_u64, |sum, head| sum.checked_add(head.bytes));
    if heads.len() > FILES_MAX || bytes.is_none_or(|bytes| bytes > FILES_BYTES_MAX) {
        return Err(format!(
            "too much to take: at most {FILES_MAX} files of {FILES_BYTES_MAX} bytes together"
        ));
    }
    let mut files = Vec::new();
    for FileHead { name, bytes } in heads {
        let mut content = Vec::new();
        while (content.len() as u64) < bytes {
            let Frame::Piece(piece) = from.next().await? else {
                return Err(format!("{name}: something else than its pieces came"));
            };
            content.extend_from_slice(&piece);
            if piece.is_empty() || content.len() as u64 > bytes {
                return Err(format!("{name}: its pieces are not its {bytes} bytes"));
            }
        }
        files.push((name, content));
    }
    let bundle = Bundle {
        name,
        text,
        url,
        files,
    };
    let key = desk.agent.key.clone();
    let read = tokio::task::spawn_blocking(move || ready(&bundle, key.as_deref())).await;
    read.map_err(|error| format!("reading the scenario went wrong: {error}"))?
}

fn ready(bundle: &Bundle, key: Option<&[u8]>) -> Result<Ready, String> {
    let (compiled, target) = bundle.ready()?;
    let ceiling = match consent::is_own(target.address().ip()) {
        true => None,
        false => {
            let authority = target.authority();
            let no = |why: &str| {
                format!(
                    "{authority} is not this machine and does not say that it wants load: {why}"
                )
            };
            let key = key.ok_or_else(|| no("this agent has no key of notes (--key-file)"))?;
            let note = target.consent(key, now_s()).map_err(|why| no(&why))?;
            Some((note.ceiling_per_s, note.until_s))
        }
    };
    Ok(Ready {
        script: Arc::new(compiled.script.clone()),
        compiled,
        target: Arc::new(target),
        ceiling,
    })
}

impl TryFrom<&PlanShape> for Plan {
    type Error = String;

    fn try_from(shape: &PlanShape) -> Result<Plan, String> {
        let segments = shape.segments.iter().map(|&(from_per_s, to_per_s, us)| {
            let good = |rate: f64| (0.0..=wire::scenario::limits::RATE_PER_S_MAX).contains(&rate);
            match good(from_per_s) && good(to_per_s) && us > 0 {
                true => Ok(Segment {
                    from_per_s,
                    to_per_s,
                    us,
                }),
                false => Err(format!("no plan: {from_per_s} to {to_per_s}/s in {us} µs")),
            }
        });
        Ok(Plan {
            segments: segments.collect::<Result<_, _>>()?,
            spacing: shape
                .seed
                .map_or(Spacing::Even, |seed| Spacing::Poisson { seed }),
        })
    }
}

impl From<&Plan> for PlanShape {
    fn from(plan: &Plan) -> PlanShape {
        let segments = plan.segments.iter();
        PlanShape {
            segments: segments
                .map(|segment| (segment.from_per_s, segment.to_per_s, segment.us))
                .collect(),
            seed: match plan.spacing {
                Spacing::Even => None,
                Spacing::Poisson { seed } => Some(seed),
            },
        }
    }
}

fn now_s() -> u64 {
    let now = SystemTime::now().duration_since(UNIX_EPOCH);
    now.map_or(0, |now| now.as_secs())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bundle(url: &str, more: &str) -> Bundle {
        let text = format!(
            "version: 1\nname: s\ntarget: {{url: \"{url}\"}}\n\
             load: {{shape: {{constant: {{rate: 5, for: 1s}}}}}}\n{more}\
             journeys: [{{name: j, steps: [{{request: {{path: /}}}}]}}]\n"
        );
        Bundle {
            name: "s.yaml".into(),
            text,
            url: url.into(),
            files: Vec::new(),
        }
    }

    fn refused(bundle: &Bundle, key: Option<&[u8]>) -> String {
        match ready(bundle, key) {
            Ok(_) => panic!("it would be sent"),
            Err(why) => why,
        }
    }

    /// TEST-NET-1: nobody is there, and nobody is asked without a key.
    #[test]
    fn another_machine_is_not_loaded_without_its_consent() {
        let why = refused(&bundle("http://192.0.2.1:9", ""), None);
        assert!(why.contains("does not say that it wants load"), "{why}");
        assert!(ready(&bundle("http://127.0.0.1:9", ""), None).is_ok());
    }

    #[test]
    fn files_are_those_that_came_and_no_others() {
        let feeder = "feeders: [{name: f, file: /etc/passwd, format: csv, columns: {a: a}}]\n";
        let mut bundle = bundle("http://127.0.0.1:9", feeder);
        let why = refused(&bundle, None);
        assert!(why.contains("names 1 files, and 0 came"), "{why}");
        bundle.files = vec![("/etc/passwd".into(), b"a\nfrom the coordinator\n".to_vec())];
        let script = ready(&bundle, None).map(|ready| ready.script);
        let rows = script.unwrap().feeders[0].rows.len();
        assert_eq!(rows, 1);
    }

    #[test]
    fn a_plan_arrives_as_it_was_or_not_at_all() {
        let segment = |from_per_s, to_per_s| Segment {
            from_per_s,
            to_per_s,
            us: 1_500_000,
        };
        let plan = Plan {
            segments: vec![segment(0.1, 7.0 / 3.0), segment(7.0 / 3.0, 0.0)],
            spacing: Spacing::Poisson { seed: u64::MAX },
        };
        let text = serde_json::to_string(&PlanShape::from(&plan)).unwrap();
        let shape: PlanShape = serde_json::from_str(&text).unwrap();
        let got = Plan::try_from(&shape).unwrap();
        let instants = |plan: &Plan| plan.instants().collect::<Vec<_>>();
        assert_eq!(
            (instants(&got), got.spacing),
            (instants(&plan), plan.spacing)
        );
        for bad in [
            (-1.0, 1.0, 1),
            (1.0, 1e300, 1),
            (1.0, 1.0, 0),
            (f64::NAN, 1.0, 1),
        ] {
            let shape = PlanShape {
                segments: vec![bad],
                seed: None,
            };
            assert!(Plan::try_from(&shape).is_err(), "{bad:?}");
        }
    }
}
