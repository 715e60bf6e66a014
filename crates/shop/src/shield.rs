//! Which features an operator has switched off for a while: the front door says it with a header
//! on the request, and takes that header away from everybody else.
//!
//! A page that leaves something out is another page, rendered once and kept beside the full one,
//! so that a switch that is on costs no more than one that is off.

use crate::pages::Look;
use hyper::HeaderMap;
use hyper::header::HeaderName;

const HEADER: HeaderName = HeaderName::from_static("seawall-shield");

/// One bit a feature. None is set in the usual case, and then no header was read.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Shield(u8);

const RECOMMENDATIONS: u8 = 1;
const LIVE_STOCK: u8 = 2;
const RICH_PAGES: u8 = 4;

impl Shield {
    /// Names of features that this shop does not have are somebody else's.
    pub fn of(headers: &HeaderMap) -> Shield {
        let mut shield = Shield::default();
        for value in headers.get_all(&HEADER) {
            let names = value.to_str().unwrap_or_default().split(',');
            for name in names {
                shield.0 |= match name.trim() {
                    "recommendations" => RECOMMENDATIONS,
                    "live-stock" => LIVE_STOCK,
                    // Without scripts there is no live stock either.
                    "rich-pages" => RICH_PAGES | LIVE_STOCK,
                    _ => 0,
                };
            }
        }
        shield
    }

    pub fn recommendations(self) -> bool {
        self.0 & RECOMMENDATIONS != 0
    }
    pub fn live_stock(self) -> bool {
        self.0 & LIVE_STOCK != 0
    }

    pub fn look(self) -> Look {
        Look {
            rich: self.0 & RICH_PAGES == 0,
            live: !self.live_stock(),
        }
    }

    /// The name of a page under which its variant is kept. Paths begin with a slash, so that no
    /// path is the name of another one's variant.
    pub fn key(self, path: String) -> String {
        match self.0 {
            0 => path,
            bits => format!("{bits}{path}"),
        }
    }

    /// For a page without recommendations of its own: switching them changes nothing there.
    #[must_use]
    pub fn of_hall(self) -> Shield {
        Shield(self.0 & !RECOMMENDATIONS)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use hyper::header::HeaderValue;

    fn check(value: &'static str, recommendations: bool, live: bool, rich: bool) {
        let mut headers = HeaderMap::new();
        headers.insert(HEADER, HeaderValue::from_static(value));
        let shield = Shield::of(&headers);
        assert_eq!(shield.recommendations(), recommendations, "{value}");
        assert_eq!(shield.look(), Look { rich, live }, "{value}");
    }

    #[test]
    fn the_header_names_what_is_left_out() {
        assert_eq!(Shield::of(&HeaderMap::new()), Shield::default());
        assert_eq!(Shield::default().look(), Look::FULL);
        check("recommendations", true, true, true);
        check("live-stock", false, false, true);
        check("rich-pages", false, false, false);
        check("live-stock, recommendations", true, false, true);
        check("reviews,search", false, true, true);
        check("", false, true, true);
    }

    #[test]
    fn each_variant_has_a_name_of_its_own() {
        let names: std::collections::BTreeSet<String> = (0..8)
            .map(|bits| Shield(bits).key("/p/a".to_owned()))
            .collect();
        assert_eq!(names.len(), 8);
        assert!(names.contains("/p/a"));
        assert_eq!(Shield(7).of_hall().key("/".to_owned()), "6/");
    }
}
