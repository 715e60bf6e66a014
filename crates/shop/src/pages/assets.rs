//! Style, script and signs of the pages, built into the binary, under names that carry the hash
//! of their content: a browser keeps them for ever and asks for a new name after an upgrade.

use super::rendered::{Rendered, hash16};
use bytes::Bytes;
use std::sync::LazyLock;

static CSS: &[u8] = include_bytes!("../../assets/app.css");
static SCRIPT: &[u8] = include_bytes!("../../assets/app.js");
static ICON: &[u8] = include_bytes!("../../assets/icon.svg");
static NO_PICTURE: &[u8] = include_bytes!("../../assets/no-picture.svg");

#[derive(Debug)]
pub struct Asset {
    /// `/assets/app.0123456789abcdef.css`
    pub path: String,
    pub file: Rendered,
}

#[derive(Debug)]
pub struct Assets {
    pub css: Asset,
    pub script: Asset,
    pub icon: Asset,
    pub no_picture: Asset,
}

/// Compressed once, at the first use; call it at start so that no buyer waits for it.
pub fn assets() -> &'static Assets {
    static ASSETS: LazyLock<Assets> = LazyLock::new(Assets::new);
    &ASSETS
}

impl Assets {
    fn new() -> Assets {
        Assets {
            css: asset("app", "css", "text/css; charset=utf-8", CSS),
            script: asset("app", "js", "text/javascript; charset=utf-8", SCRIPT),
            icon: asset("icon", "svg", "image/svg+xml", ICON),
            no_picture: asset("no-picture", "svg", "image/svg+xml", NO_PICTURE),
        }
    }

    /// The file under a path such as `/assets/app.….css`; nothing for names of another build.
    pub fn get(&self, path: &str) -> Option<&Rendered> {
        let all = [&self.css, &self.script, &self.icon, &self.no_picture];
        all.into_iter()
            .find(|asset| asset.path == path)
            .map(|asset| &asset.file)
    }
}

fn asset(stem: &str, ending: &str, kind: &'static str, body: &'static [u8]) -> Asset {
    let path = format!("/assets/{stem}.{}.{ending}", hash16(body));
    Asset {
        path,
        file: Rendered::immutable(Bytes::from_static(body), kind),
    }
}
