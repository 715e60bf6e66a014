//! The campaign file, first version: what is sold from when, what demand is expected, and what a
//! rehearsal has to show.
//!
//! One file that a merchandiser can read and a pipeline can check. Unknown keys are refused and
//! all problems come at once, each with its line. It knows the shape of a campaign, not how one
//! is run; the catalogue that it names is read by whoever needs the products.

pub mod brief;
mod check;
pub mod keys;
pub mod limits;
pub mod tree;

use crate::gateway::scalar::Instant;
use crate::gateway::shape::{Mapping, Take};
use crate::gateway::source::Source;
use brief::Brief;
use sale::{At, Currency, Money, Qty};
use std::path::{Path, PathBuf};
use tree::{Field, Fields, Reader, number, offset_ms, text, whole};
pub use tree::{Problem, Problems};

/// Buyers of one campaign: ten million orders is what one cell holds.
pub const BUYERS_MAX: u64 = 10_000_000;
/// Requests a second that a curve may ask for: far above what one generator can send.
pub const RATE_PER_S_MAX: u64 = 1_000_000;
/// Points of a curve.
pub const CURVE_POINTS_MAX: usize = 1_000;
/// Requests of one rehearsal: every arrival is planned in memory, 24 bytes each.
pub const ARRIVALS_MAX: u64 = 50_000_000;
/// Coupons of one file.
pub const COUPONS_MAX: usize = 1_000;
/// Offsets from T0 in milliseconds: a day on both sides.
pub const OFFSET_MS_MAX: i64 = 24 * 3_600_000;
/// Bytes of a campaign file.
pub const FILE_BYTES_MAX: u64 = 4 << 20;
/// Lines of a basket that the mix may ask for.
pub const BASKET_LINES_MAX: usize = 10;

/// A campaign without holes.
#[derive(Clone, Debug, PartialEq)]
pub struct Campaign {
    /// The file it came from; relative paths inside count from its folder.
    pub file: PathBuf,
    pub name: String,
    pub title: String,
    /// The instant the sale opens.
    pub t0: At,
    pub catalogue: PathBuf,
    pub coupons: Vec<Coupon>,
    pub buyers: u32,
    pub demand: Curve,
    pub journeys: Journeys,
    pub rehearsal: Rehearsal,
    /// What the team agreed on; all of it may be absent.
    pub brief: Brief,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Coupon {
    pub code: String,
    pub quota: Qty,
    pub amount_off: Money,
    pub minimum_total: Money,
    pub currency: Currency,
}

/// Requests a second over time: straight lines between points, a step where two points share an
/// offset.
#[derive(Clone, Debug, PartialEq)]
pub struct Curve {
    pub points: Vec<Point>,
}

#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Point {
    /// Milliseconds from T0; negative is before.
    pub offset_ms: i64,
    pub per_second: f64,
}

/// What buyers do. Shares are from 0 to 1; mixes are weights of any sum.
#[derive(Clone, Debug, PartialEq)]
pub struct Journeys {
    pub before_t0: Mix,
    pub after_t0: Mix,
    /// How uneven demand is over products: weight of the n-th is `1 / n^zipf`.
    pub zipf: f64,
    /// Weights that replace the rank's weight for single SKUs.
    pub weights: Vec<(String, f64)>,
    /// Weights of baskets with 1, 2, 3 … lines.
    pub lines: Vec<f64>,
    /// Of those who got their order: who never pays, and who cancels. The rest pays.
    pub abandon: f64,
    pub cancel: f64,
    /// From this offset on nobody abandons or cancels any more.
    pub abandon_until_ms: i64,
    pub coupon: f64,
    /// Orders sent twice with the same key.
    pub repeat: f64,
    /// How long a buyer thinks before paying: shortest and longest.
    pub think_ms: (u64, u64),
}

/// How many of a hundred arrivals do what.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Mix {
    pub sign_in: f64,
    pub browse: f64,
    pub order: f64,
}

/// What a rehearsal does to the shop and expects of it.
#[derive(Clone, Debug, PartialEq)]
pub struct Rehearsal {
    pub kill_at_ms: Option<i64>,
    /// Replaces the holds of the catalogue, so that they end and sell again within the run.
    pub hold_ms: Option<u64>,
    pub expectations: Expectations,
}

#[derive(Clone, Debug, PartialEq)]
pub struct Expectations {
    /// Requests sent in the first second from T0.
    pub min_rps_at_t0: u64,
    /// Of the planned arrivals, how many the generator must have sent.
    pub sent_share: f64,
    /// Failed requests outside the kill, at most.
    pub error_share_max: f64,
    /// SKUs with this many times their stock in demand must sell out.
    pub sold_out_at_demand: f64,
}

impl Default for Expectations {
    fn default() -> Self {
        Expectations {
            min_rps_at_t0: 15_000,
            sent_share: 0.99,
            error_share_max: 0.01,
            sold_out_at_demand: 2.0,
        }
    }
}

impl Campaign {
    /// Reads and checks a file.
    pub fn load(path: &Path) -> Result<Campaign, Problems> {
        let failed =
            |error: std::io::Error| Problems::one(path, 0, format!("not readable: {error}"));
        let size = std::fs::metadata(path).map_err(failed)?.len();
        if size > FILE_BYTES_MAX {
            let what = format!("found {size} bytes, expected at most {FILE_BYTES_MAX}");
            return Err(Problems::one(path, 0, what));
        }
        Campaign::parse(path, &std::fs::read_to_string(path).map_err(failed)?)
    }

    /// Checks `text` as the content of `path`, which only names it and roots relative paths.
    pub fn parse(path: &Path, text: &str) -> Result<Campaign, Problems> {
        let tree = Reader::parse(path, text)?;
        let mut reader = Reader::new(path);
        let campaign = read_campaign(&mut reader, &tree, path);
        reader.finish(campaign)
    }
}

fn read_campaign(r: &mut Reader, tree: &tree::Node, path: &Path) -> Option<Campaign> {
    let mut top = r.map(tree, "")?;
    let version = top.get(r, "version", whole(1, 1));
    let name = top.get(r, "name", text(64));
    let title = top
        .optional("title")
        .map(|f| r.scalar(f.node, "title", text(200)));
    let t0 = top.get(r, "t0", instant);
    let catalogue = top.get(r, "catalogue", text(4_096));
    let coupons = read_coupons(r, &mut top);
    let buyers = top.get(r, "buyers", whole(1, BUYERS_MAX));
    let demand = read_curve(r, &mut top);
    let journeys = read_journeys(r, &mut top);
    let rehearsal = read_rehearsal(r, &mut top);
    let brief = read_brief(r, &mut top, tree, path, t0);
    top.done(r);
    version?;
    let name = name?;
    Some(Campaign {
        file: path.to_path_buf(),
        title: title.flatten().unwrap_or_else(|| name.clone()),
        name,
        t0: t0?,
        catalogue: path.parent().unwrap_or(Path::new("")).join(catalogue?),
        coupons: coupons?,
        buyers: u32::try_from(buyers?).ok()?,
        demand: demand?,
        journeys: journeys?,
        rehearsal: rehearsal?,
        brief: brief?,
    })
}

/// The sections of the brief, with what they disagree on; they stand among the other keys.
fn read_brief(
    r: &mut Reader,
    top: &mut Fields<'_>,
    tree: &tree::Node,
    path: &Path,
    t0: Option<At>,
) -> Option<Brief> {
    let keys: Vec<&'static str> = Brief::SHAPE.keys.iter().map(|key| key.name()).collect();
    for key in &keys {
        top.optional(key);
    }
    let mut source = Source::new(path);
    source.note("", tree.line);
    let brief = Brief::take(&mut source, &Brief::ITEM, &tree.only(&keys), "");
    if let Some(brief) = &brief {
        check::brief(&mut source, brief, t0.map(|t0| Instant(t0.0)));
    }
    r.also(source.finished());
    brief
}

/// An instant with its zone, as RFC 3339 writes it.
fn instant(text: &str) -> Result<At, String> {
    let expected = || "an instant with its zone such as 2026-11-11T00:00:00+01:00".to_owned();
    let stamp: jiff::Timestamp = text.parse().map_err(|_| expected())?;
    u64::try_from(stamp.as_millisecond())
        .map(At)
        .map_err(|_| expected())
}

fn read_coupons(r: &mut Reader, top: &mut Fields<'_>) -> Option<Vec<Coupon>> {
    let Some(field) = top.optional("coupons") else {
        return Some(Vec::new());
    };
    let nodes = r.list(field.node, "coupons")?;
    if nodes.len() > COUPONS_MAX {
        r.wrong(
            field.line,
            "coupons",
            &nodes.len().to_string(),
            "at most 1000 coupons",
        );
        return None;
    }
    let mut coupons: Vec<Coupon> = Vec::with_capacity(nodes.len());
    let mut whole_list = true;
    for (index, node) in nodes.iter().enumerate() {
        match read_coupon(r, node, &format!("coupons[{index}]")) {
            Some(coupon) if coupons.iter().any(|other| other.code == coupon.code) => {
                let what = format!("found {:?} twice, expected each code once", coupon.code);
                r.problem(node.line, format!("coupons[{index}].code"), what);
                whole_list = false;
            }
            Some(coupon) => coupons.push(coupon),
            None => whole_list = false,
        }
    }
    whole_list.then_some(coupons)
}

fn read_coupon(r: &mut Reader, node: &tree::Node, path: &str) -> Option<Coupon> {
    let price = sale::limits::PRICE_MINOR_MAX as u64;
    let mut fields = r.map(node, path)?;
    let code = fields.get(r, "code", text(sale::limits::TEXT_BYTES_MAX));
    let quota = fields.get(r, "quota", whole(1, u64::from(u32::MAX)));
    let amount_off = fields.get(r, "amount_off", whole(1, price));
    let minimum_total = fields.get(r, "minimum_total", whole(1, price));
    let currency = fields.get(r, "currency", |text| {
        Currency::new(text).ok_or_else(|| "three capital letters such as EUR".to_owned())
    });
    let line = fields.line;
    fields.done(r);
    let (amount_off, minimum_total) = (amount_off?, minimum_total?);
    if minimum_total <= amount_off {
        let found = minimum_total.to_string();
        let expected = format!("more than amount_off, {amount_off}");
        r.wrong(line, &format!("{path}.minimum_total"), &found, &expected);
        return None;
    }
    Some(Coupon {
        code: code?,
        quota: Qty(u32::try_from(quota?).ok()?),
        amount_off: Money(i64::try_from(amount_off).ok()?),
        minimum_total: Money(i64::try_from(minimum_total).ok()?),
        currency: currency?,
    })
}

fn read_curve(r: &mut Reader, top: &mut Fields<'_>) -> Option<Curve> {
    let field = top.required(r, "demand")?;
    let mut demand = r.map(field.node, "demand")?;
    let curve = demand.required(r, "curve");
    demand.done(r);
    let Field { node, line } = curve?;
    let nodes = r.list(node, "demand.curve")?;
    if !(2..=CURVE_POINTS_MAX).contains(&nodes.len()) {
        let expected = format!("from 2 to {CURVE_POINTS_MAX} points [offset, requests a second]");
        r.wrong(line, "demand.curve", &nodes.len().to_string(), &expected);
        return None;
    }
    let points: Vec<Option<Point>> = nodes
        .iter()
        .enumerate()
        .map(|(index, node)| read_point(r, node, index))
        .collect();
    let points: Vec<Point> = points.into_iter().collect::<Option<_>>()?;
    for (index, pair) in points.windows(2).enumerate() {
        if pair[1].offset_ms < pair[0].offset_ms {
            let key = format!("demand.curve[{}]", index + 1);
            let found = format!("{} ms after {} ms", pair[1].offset_ms, pair[0].offset_ms);
            r.wrong(
                nodes[index + 1].line,
                &key,
                &found,
                "offsets that do not go back",
            );
            return None;
        }
    }
    let curve = Curve { points };
    let total = curve.total();
    if total < 1.0 || total > ARRIVALS_MAX as f64 {
        let expected = format!("a curve of 1 to {ARRIVALS_MAX} requests in all");
        r.wrong(line, "demand.curve", &format!("{total:.1}"), &expected);
        return None;
    }
    Some(curve)
}

fn read_point(r: &mut Reader, node: &tree::Node, index: usize) -> Option<Point> {
    let path = format!("demand.curve[{index}]");
    let pair = r.list(node, &path)?;
    let [offset, rate] = pair else {
        r.wrong(
            node.line,
            &path,
            &format!("a list of {}", pair.len()),
            "[offset, requests/s]",
        );
        return None;
    };
    let offset = r.scalar(offset, &path, offset_ms(-OFFSET_MS_MAX, OFFSET_MS_MAX));
    let rate = r.scalar(rate, &path, number(0.0, RATE_PER_S_MAX as f64));
    Some(Point {
        offset_ms: offset?,
        per_second: rate?,
    })
}

fn read_journeys(r: &mut Reader, top: &mut Fields<'_>) -> Option<Journeys> {
    let field = top.required(r, "journeys")?;
    let mut j = r.map(field.node, "journeys")?;
    let share = || number(0.0, 1.0);
    let before_t0 = read_mix(r, &mut j, "before_t0");
    let after_t0 = read_mix(r, &mut j, "after_t0");
    let zipf = j.get_or(r, "zipf", 0.9, number(0.0, 4.0));
    let weights = read_weights(r, &mut j);
    let lines = read_lines(r, &mut j);
    let abandon = j.get_or(r, "abandon", 0.0, share());
    let cancel = j.get_or(r, "cancel", 0.0, share());
    let until = offset_ms(-OFFSET_MS_MAX, OFFSET_MS_MAX);
    let abandon_until_ms = j.get_or(r, "abandon_until", OFFSET_MS_MAX, until);
    let coupon = j.get_or(r, "coupon", 0.0, share());
    let repeat = j.get_or(r, "repeat", 0.0, share());
    let think_min = j.get_or(r, "think_min", 300, offset_ms(0, 3_600_000));
    let think_max = j.get_or(r, "think_max", 3_000, offset_ms(0, 3_600_000));
    let line = j.line;
    j.done(r);
    let (abandon, cancel) = (abandon?, cancel?);
    if abandon + cancel > 1.0 {
        let found = format!("{}", abandon + cancel);
        r.wrong(
            line,
            "journeys.abandon",
            &found,
            "abandon and cancel of at most 1 together",
        );
        return None;
    }
    let (think_min, think_max) = (think_min?, think_max?);
    if think_min > think_max {
        let found = format!("{think_min} ms");
        r.wrong(
            line,
            "journeys.think_min",
            &found,
            &format!("at most think_max, {think_max} ms"),
        );
        return None;
    }
    Some(Journeys {
        before_t0: before_t0?,
        after_t0: after_t0?,
        zipf: zipf?,
        weights: weights?,
        lines: lines?,
        abandon,
        cancel,
        abandon_until_ms: abandon_until_ms?,
        coupon: coupon?,
        repeat: repeat?,
        think_ms: (think_min.unsigned_abs(), think_max.unsigned_abs()),
    })
}

fn read_mix(r: &mut Reader, journeys: &mut Fields<'_>, key: &'static str) -> Option<Mix> {
    let field = journeys.required(r, key)?;
    let path = journeys.path(key);
    let mut fields = r.map(field.node, &path)?;
    let weight = || number(0.0, 1_000_000.0);
    let sign_in = fields.get_or(r, "sign_in", 0.0, weight());
    let browse = fields.get_or(r, "browse", 0.0, weight());
    let order = fields.get_or(r, "order", 0.0, weight());
    fields.done(r);
    let mix = Mix {
        sign_in: sign_in?,
        browse: browse?,
        order: order?,
    };
    if mix.sign_in + mix.browse + mix.order <= 0.0 {
        r.wrong(
            field.line,
            &path,
            "no weight",
            "sign_in, browse or order above 0",
        );
        return None;
    }
    Some(mix)
}

fn read_weights(r: &mut Reader, journeys: &mut Fields<'_>) -> Option<Vec<(String, f64)>> {
    let Some(field) = journeys.optional("weights") else {
        return Some(Vec::new());
    };
    let Some(entries) = field.node.entries() else {
        r.wrong(field.line, "journeys.weights", "no mapping", "SKU: weight");
        return None;
    };
    let mut weights = Vec::with_capacity(entries.len());
    let mut good = true;
    for (_, sku, node) in entries {
        let path = format!("journeys.weights.{sku}");
        match r.scalar(node, &path, number(0.0, 1_000_000.0)) {
            Some(weight) => weights.push((sku.clone(), weight)),
            None => good = false,
        }
    }
    good.then_some(weights)
}

fn read_lines(r: &mut Reader, journeys: &mut Fields<'_>) -> Option<Vec<f64>> {
    let Some(field) = journeys.optional("lines") else {
        return Some(vec![1.0]);
    };
    let path = "journeys.lines";
    let nodes = r.list(field.node, path)?;
    let weights: Vec<Option<f64>> = nodes
        .iter()
        .map(|node| r.scalar(node, path, number(0.0, 1_000_000.0)))
        .collect();
    let weights: Vec<f64> = weights.into_iter().collect::<Option<_>>()?;
    if weights.len() > BASKET_LINES_MAX || weights.iter().sum::<f64>() <= 0.0 {
        let expected = format!("1 to {BASKET_LINES_MAX} weights of baskets with 1, 2, 3 … lines");
        r.wrong(field.line, path, &format!("{weights:?}"), &expected);
        return None;
    }
    Some(weights)
}

fn read_rehearsal(r: &mut Reader, top: &mut Fields<'_>) -> Option<Rehearsal> {
    let standard = Expectations::default();
    let Some(field) = top.optional("rehearsal") else {
        return Some(Rehearsal {
            kill_at_ms: None,
            hold_ms: None,
            expectations: standard,
        });
    };
    let mut fields = r.map(field.node, "rehearsal")?;
    let span = || offset_ms(-OFFSET_MS_MAX, OFFSET_MS_MAX);
    let kill = fields
        .optional("kill_at")
        .map(|f| r.scalar(f.node, "rehearsal.kill_at", span()));
    let (low, high) = (
        sale::limits::HOLD_MS_MIN as i64,
        sale::limits::HOLD_MS_MAX as i64,
    );
    let hold = fields
        .optional("hold")
        .map(|f| r.scalar(f.node, "rehearsal.hold", offset_ms(low, high)));
    let expected = fields.optional("expectations");
    fields.done(r);
    let expectations = match expected {
        None => Some(standard),
        Some(field) => read_expectations(r, field, &standard),
    };
    // A key that is there and wrong is no key that is not there.
    let kill_at_ms = kill.map_or(Some(None), |offset| offset.map(Some));
    let hold_ms = hold.map_or(Some(None), |ms| ms.map(|ms| Some(ms.unsigned_abs())));
    Some(Rehearsal {
        kill_at_ms: kill_at_ms?,
        hold_ms: hold_ms?,
        expectations: expectations?,
    })
}

fn read_expectations(
    r: &mut Reader,
    field: Field<'_>,
    standard: &Expectations,
) -> Option<Expectations> {
    let mut e = r.map(field.node, "rehearsal.expectations")?;
    let rps = whole(0, RATE_PER_S_MAX);
    let min_rps_at_t0 = e.get_or(r, "min_rps_at_t0", standard.min_rps_at_t0, rps);
    let sent_share = e.get_or(r, "sent_share", standard.sent_share, number(0.0, 1.0));
    let errors = number(0.0, 1.0);
    let error_share_max = e.get_or(r, "error_share_max", standard.error_share_max, errors);
    let times = number(1.0, 1_000.0);
    let sold_out = e.get_or(r, "sold_out_at_demand", standard.sold_out_at_demand, times);
    e.done(r);
    Some(Expectations {
        min_rps_at_t0: min_rps_at_t0?,
        sent_share: sent_share?,
        error_share_max: error_share_max?,
        sold_out_at_demand: sold_out?,
    })
}

impl Curve {
    pub fn start_ms(&self) -> i64 {
        self.points.first().map_or(0, |point| point.offset_ms)
    }
    pub fn end_ms(&self) -> i64 {
        self.points.last().map_or(0, |point| point.offset_ms)
    }
    /// Requests in all: the area under the curve.
    pub fn total(&self) -> f64 {
        self.points
            .windows(2)
            .map(|pair| Curve::area(pair[0], pair[1]))
            .sum()
    }
    /// Requests between two neighbouring points.
    pub fn area(from: Point, to: Point) -> f64 {
        let seconds = (to.offset_ms - from.offset_ms) as f64 / 1_000.0;
        seconds * (from.per_second + to.per_second) / 2.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const GOOD: &str = "\
version: 1
name: small
t0: 2026-11-11T00:00:00+01:00
catalogue: catalogue.csv
coupons:
  - {code: TEN, quota: 5, amount_off: 100, minimum_total: 500, currency: EUR}
buyers: 100
demand:
  curve:
    - [-1s, 10]
    - [0s, 10]
    - [0s, 100]
    - [+2s, 100]
journeys:
  before_t0: {browse: 1}
  after_t0: {order: 1}
rehearsal:
  kill_at: +1s
  expectations: {min_rps_at_t0: 50}
";

    fn problems(text: &str) -> Vec<String> {
        match Campaign::parse(Path::new("dir/campaign.yaml"), text) {
            Ok(_) => Vec::new(),
            Err(problems) => problems.0.iter().map(ToString::to_string).collect(),
        }
    }

    #[test]
    fn a_good_file_is_read() {
        let campaign = Campaign::parse(Path::new("dir/campaign.yaml"), GOOD).unwrap();
        assert_eq!(campaign.catalogue, Path::new("dir/catalogue.csv"));
        assert_eq!(campaign.t0, At(1_794_351_600_000));
        assert_eq!(campaign.demand.total(), 210.0);
        assert_eq!(campaign.rehearsal.kill_at_ms, Some(1_000));
        assert_eq!(campaign.rehearsal.expectations.sent_share, 0.99);
        assert_eq!(campaign.coupons[0].quota, Qty(5));
    }

    #[test]
    fn problems_name_line_and_expectation() {
        let rows = [
            (
                "buyers: 100",
                "buyers: abc",
                "7: buyers: found \"abc\", expected a whole \
                 number from 1 to 10000000",
            ),
            (
                "buyers: 100",
                "buyers: 0",
                "7: buyers: found \"0\", expected a whole \
                 number from 1 to 10000000",
            ),
            ("name: small", "nmae: small", "1: name: missing"),
            (
                "t0: 2026-11-11T00:00:00+01:00",
                "t0: 2026-11-11T00:00:00",
                "3: t0: found \"2026-11-11T00:00:00\", expected an instant with its \
              zone such as 2026-11-11T00:00:00+01:00",
            ),
            (
                "[+2s, 100]",
                "[-2s, 100]",
                "13: demand.curve[3]: found -2000 ms after 0 ms, expected offsets \
              that do not go back",
            ),
            (
                "[+2s, 100]",
                "[2 s]",
                "13: demand.curve[3]: found a list of 1, expected [offset, requests/s]",
            ),
            (
                "amount_off: 100",
                "amount_off: 500",
                "6: coupons[0].minimum_total: found 500, expected more than \
              amount_off, 500",
            ),
            (
                "after_t0: {order: 1}",
                "after_t0: {order: 0}",
                "16: journeys.after_t0: found no weight, expected sign_in, browse or \
              order above 0",
            ),
            (
                "kill_at: +1s",
                "kill_at: soon",
                "18: rehearsal.kill_at: found \"soon\", expected a duration such as \
              8s, 300ms or 2m from -86400000 ms to 86400000 ms",
            ),
            (
                "version: 1",
                "version: 2",
                "1: version: found \"2\", expected a whole number from 1 to 1",
            ),
        ];
        for (from, to, expected) in rows {
            let found = problems(&GOOD.replace(from, to));
            let expected = format!("dir/campaign.yaml:{expected}");
            assert_eq!(found.first(), Some(&expected), "{to}");
        }
    }

    #[test]
    fn all_problems_come_at_once() {
        let text = GOOD
            .replace("name: small", "nmae: small")
            .replace("quota: 5", "quota: -5")
            .replace("browse: 1", "brwose: 1")
            .replace("min_rps_at_t0: 50", "min_rps_at_t0: many");
        let lines: Vec<String> = problems(&text)
            .iter()
            .map(|p| p.split(':').nth(1).unwrap().to_owned())
            .collect();
        assert_eq!(
            lines,
            ["1", "2", "6", "15", "15", "19"],
            "{:#?}",
            problems(&text)
        );
    }

    #[test]
    fn what_is_not_yaml_says_where() {
        let found = problems("name: [1, 2\nbuyers: 3\n");
        assert!(found[0].contains("not readable as YAML"), "{found:?}");
        assert_eq!(problems("- 1\n- 2\n").len(), 1);
    }
}
